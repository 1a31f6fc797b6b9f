"""Every reader of what others wrote, with a good file for it and the call that reads one."""

import io
import json
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from csvcore import lm, store
from csvcore.collection.server import Server
from csvcore.errors import InputError
from csvcore.formats import (
    archives,
    corpora,
    csv_tables,
    evaluations,
    footer,
    item_results,
    lm_eval,
    lm_eval_samples,
    login_file,
    loss_packs,
)
from csvcore.formats.manifest import decode_manifest
from csvcore.jobs import queue, specs, uploads
from csvcore.pipeline import watch
from csvcore.records import Replay
from csvcore.store import replays
from tests.support.world import PACK


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader: a good file's content and name, and the call that reads a file of that name."""

    good: bytes
    file: str
    read: Callable[[Path], Any]


def readers(files: Path) -> dict[str, Reader]:
    """Return the readers by name; files: of `tests.support.world`, with a scorer beside them."""
    return {**_tables(files), **_results(), **_packs(files), **_models(files), **_own(files)}


def _tables(files: Path) -> dict[str, Reader]:
    """Return the readers of tables and corpora."""

    def content(name: str) -> bytes:
        return (files / name).read_bytes()

    docs = corpora.read_corpus(files / "documents.jsonl")
    rows = [{"doc_id": doc.doc_id, "source": doc.source, "text": doc.text} for doc in docs]
    part = {"source": "a", "data": ".", "files": "*.txt", "count": 1, "text": "{text}", "rows": "."}
    recipe = "[[part]]\n" + "\n".join(f"{key} = {json.dumps(part[key])}" for key in part)
    csv = "some.csv"
    return {
        "models": Reader(content("models.csv"), csv, csv_tables.read_models),
        "tasks": Reader(content("tasks.csv"), csv, csv_tables.read_tasks),
        "accuracies": Reader(
            content("accuracies.csv"), csv, lambda p: csv_tables.read_accuracies([p])
        ),
        "wide": Reader(
            b"model,reading\nant,0.5\n",
            csv,
            lambda p: evaluations.read_tables([p], {}, ["reading"]),
        ),
        "split": Reader(
            content("splits/sides.csv"), csv, lambda p: csv_tables.read_split(p, "sides")
        ),
        "names": Reader(b"name,model\nx,ant\n", csv, evaluations.read_names),
        "jsonl": Reader(content("documents.jsonl"), "some.jsonl", corpora.read_corpus),
        "corpus": Reader(
            b'doc_id,source,text,answers\na,b,c,"[[0, 1]]"\n', csv, corpora.read_corpus
        ),
        "columns": Reader(
            _parquet(pa.Table.from_pylist(rows)), "some.parquet", corpora.read_corpus
        ),
        "recipe": Reader(recipe.encode(), "some.toml", corpora.read_recipe),
    }


def _results() -> dict[str, Reader]:
    """Return the readers of evaluation results."""
    harness = {
        "results": {"reading": {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": "reading"}},
        "config": {"model_args": "pretrained=ant"},
        "n-samples": {"reading": {"original": 100, "effective": 100}},
    }
    sample = {"doc_id": 0, "filter": "none", "doc_hash": "1a", "acc": 1.0}
    samples = "".join(json.dumps(sample | {"doc_id": i, "acc": i % 2}) + "\n" for i in range(4))
    summary = b"dataset,version,metric,mode,ant\nreading,1a2b,accuracy,gen,50.0\n"
    items = {
        "model": ["ant"] * 3,
        "task": ["reading"] * 3,
        "item": list("abc"),
        "correct": [1, 0, 1],
    }
    return {
        "lm-eval": Reader(
            json.dumps(harness).encode(), "results.json", lambda p: evaluations.read([p], "lm-eval")
        ),
        "samples": Reader(samples.encode(), "samples_reading.jsonl", _samples),
        "opencompass": Reader(summary, "some.csv", lambda p: evaluations.read([p], "opencompass")),
        "items": Reader(
            _parquet(pa.table(items)), "some.parquet", lambda p: list(item_results.read(p))
        ),
    }


def _packs(files: Path) -> dict[str, Reader]:
    """Return the readers of loss packs."""
    pack = (files / PACK).read_bytes()
    manifest = {"format": "csvcore-losspack/1", "corpus_sha256": "0" * 64, "models": {"ant": {}}}
    return {
        "pack": Reader(pack, "some.parquet", loss_packs.read),
        "parts": Reader(pack, "some.parquet", lambda p: list(loss_packs.parts(p))),
        "shard": Reader(pack, "some.parquet", lambda p: loss_packs.decode("x", p.read_bytes())),
        "footer": Reader(pack, "some.parquet", _footer),
        "manifest": Reader(
            json.dumps(manifest).encode(),
            "some.json",
            lambda p: decode_manifest("x", p.read_bytes()),
        ),
    }


def _models(files: Path) -> dict[str, Reader]:
    """Return the readers of model files, of a trainer's state and of a server's answer."""
    scorer = files / "scorer"
    index = {"weight_map": {"a": "model.safetensors.index.json"}}
    answer = {"choices": [{"logprobs": {"token_logprobs": [None, -1.0, -2.5]}}]}

    def content(name: str) -> bytes:
        return (scorer / name).read_bytes()

    return {
        "weights": Reader(
            save({"a": np.zeros((2, 4), np.float32)}), "model.safetensors",
            lambda p: lm.ModelFiles("x", p.parent).n_params,
        ),
        "gguf": Reader(_gguf(), "x.gguf", lambda p: lm.find(str(p)).n_params),
        "index": Reader(
            json.dumps(index).encode(), "model.safetensors.index.json",
            lambda p: lm.ModelFiles("x", p.parent).weights,
        ),
        "config": Reader(
            content("config.json"), "config.json",
            lambda p: lm.context_of(lm.load_config(lm.ModelFiles("x", p.parent))),
        ),
        "tokenizer": Reader(
            content("tokenizer.json"), "tokenizer.json",
            lambda p: lm.encode(lm.load_tokenizer(lm.ModelFiles("x", p.parent)), "Some text."),
        ),
        "trainer": Reader(
            b'{"num_input_tokens_seen": 5}', "trainer_state.json", watch._tokens_seen
        ),
        "answer": Reader(json.dumps(answer).encode(), "some.json", _answer),
    }  # fmt: skip


def _own(files: Path) -> dict[str, Reader]:
    """Return the readers of files that this program writes itself and may be sent."""
    job = {"corpus": "words", "split": "sides", "tasks": ["reading"], "methods": ["csv"]}
    login = (
        '[auth]\nredirect_uri = "https://lab.example.org/oauth2callback"\n'
        'cookie_secret = "0123456789012345678901234567890123456789"\nclient_id = "a"\n'
        'client_secret = "b"\nserver_metadata_url = "https://id.example.org/.well-known"\n'
        '[access]\neditors = ["a@example.org"]\n'
    )
    looked_at = {"content": "models", "name": "a.csv", "file": "a.csv"}
    preview = {
        "job": looked_at, "message": "fine", "counts": [["added", "models", 1]],
        "rows": [["models", "ant", "added", "", ""]], "n_unchanged": 0, "fingerprint": "1a",
    }  # fmt: skip
    return {
        "login": Reader(login.encode(), "some.toml", login_file.read),
        "zip": Reader(_zip(files), "some.zip", _unpacked),
        "job": Reader(json.dumps(job).encode(), "some.json", _job),
        "preview": Reader(json.dumps(preview).encode(), "some.json", uploads._read),
        "queue": Reader(_queue(), "some.duckdb.jobs.sqlite", _open_queue),
        "replay": Reader(_replay(), "some.npz", _open_replay),
        "database": Reader(_database(), "some.duckdb", _open_database),
    }


# Good files --------------------------------------------------------------------------------------


def _parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _gguf() -> bytes:
    import gguf

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_context_length(64)
        writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
        writer.add_tensor("token_embd.weight", np.zeros((2, 4), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def _zip(files: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/x.txt", "some text")
        archive.write(files / "models.csv", "models.csv")
    return out.getvalue()


def _queue() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "a.duckdb"
        with queue._queue(database) as db:
            db.execute("INSERT INTO jobs (kind, params, created) VALUES ('fit', '{}', 1)")
            db.execute("PRAGMA journal_mode = DELETE")
        return queue.queue_path(database).read_bytes()


def _replay() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "some.duckdb"
        part = np.zeros((1, 2))
        made = Replay(at=part[0], kept=0, alpha=part, beta=part, models=("ant",), score=part)
        replays.write(database, "x", made)
        return replays.replay_path(database, "x").read_bytes()


def _database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.duckdb"
        store.create(path)
        return path.read_bytes()


# Calls -------------------------------------------------------------------------------------------


def _samples(path: Path) -> Any:
    file = path.with_name("results.json")
    return lm_eval_samples.read(
        lm_eval.Result("ant", "reading", "acc", 0.5, None, "x", file, ("reading",))
    )


def _footer(path: Path) -> list[footer.Chunk]:
    try:
        return footer.chunks(path)
    except ValueError as error:
        raise InputError(str(error)) from error  # as `parquet.opened` says itself


def _unpacked(path: Path) -> None:
    with archives.unpacked(path, ["*.txt"]) as folder:
        list(folder.rglob("*"))


def _job(path: Path) -> None:
    try:
        params = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError("it is no JSON") from error  # as the queue says itself
    if isinstance(params, dict):
        specs.from_json("fit", params)


class _Answers(Server):
    """A server whose answer is a file."""

    def __init__(self, path: Path) -> None:
        super().__init__("http://localhost/v1", "ant")
        self._path = path

    def _post(self, body: dict[str, Any]) -> tuple[int, bytes]:
        return 200, self._path.read_bytes()


def _answer(path: Path) -> Any:
    two = np.array([5, 6], dtype=np.int64)
    return _Answers(path).nll([lm.Segment(two, two)])


def _open_queue(path: Path) -> None:
    for rest in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + rest).unlink(missing_ok=True)
    try:
        queue.live(path.with_name(path.name.removesuffix(".jobs.sqlite")))
    except sqlite3.Error as error:
        raise RuntimeError(f"not explained: {error}") from error


def _open_replay(path: Path) -> Replay | None:
    database = path.with_name("a.duckdb")
    kept = replays.replay_path(database, "x")
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(path.read_bytes())
    return replays.read(database, "x")


def _open_database(path: Path) -> None:
    path.with_name(path.name + ".wal").unlink(missing_ok=True)
    with store.connect(path, read_only=True) as db:
        store.models(db)
