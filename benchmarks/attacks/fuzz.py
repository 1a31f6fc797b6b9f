"""Fuzzed inputs over every reader: a result or a sentence, never a traceback and never for ever."""

import json
import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.attacks.found import Bounds, Found, strike
from csvcore import store
from csvcore.formats import (
    archives,
    corpora,
    csv_tables,
    evaluations,
    item_results,
    login_file,
    loss_packs,
)
from csvcore.formats.manifest import decode_manifest
from csvcore.jobs import queue, specs, uploads
from tests.support.world import PACK

# What breaks readers: not UTF-8, other lines, depths, numbers beyond a float or Python, formulas.
NASTY = (
    b"\xff", b"\x00", b"\r", b"\n\n", b'"', b",,,", b"[" * 2000, b"{" * 2000, b"9" * 5000,
    b"1e999", b"-1", b"NaN", b"Infinity", b"null", b"true", b"1.5", b"\xe2\x80\xae", b"=1+1",
    b"a" * 140_000, b"\xef\xbb\xbf", b"PAR1", b"../../x", b"9007199254740993",
)  # fmt: skip
Reader = Callable[[Path], Any]


def readers(files: Path) -> dict[str, tuple[bytes, str, Reader]]:
    """Return of each reader a good file, its ending, and the call that reads a path."""
    lm_eval = {
        "results": {"reading": {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": "reading"}},
        "config": {"model_args": "pretrained=ant"},
        "n-samples": {"reading": {"original": 100, "effective": 100}},
    }
    job = {"corpus": "words", "split": "sides", "tasks": ["reading"], "methods": ["csv"]}
    manifest = {"format": "csvcore-losspack/1", "corpus_sha256": "0" * 64, "models": {"ant": {}}}
    login = (
        '[auth]\nredirect_uri = "https://lab.example.org/oauth2callback"\n'
        'cookie_secret = "0123456789012345678901234567890123456789"\nclient_id = "a"\n'
        'client_secret = "b"\nserver_metadata_url = "https://id.example.org/.well-known"\n'
        '[access]\neditors = ["a@example.org"]\n'
    )
    summary = "dataset,version,metric,mode,ant\nreading,1a2b,accuracy,gen,50.0\n"
    recipe = '[[source]]\nname = "a"\nfiles = "*.txt"\npart = [1, 2]\n'

    def content(name: str | Path) -> bytes:
        return (files / name).read_bytes()

    return {
        "models": (content("models.csv"), ".csv", csv_tables.read_models),
        "tasks": (content("tasks.csv"), ".csv", csv_tables.read_tasks),
        "accuracies": (
            content("accuracies.csv"), ".csv", lambda p: csv_tables.read_accuracies([p])
        ),
        "wide": (content("accuracies.csv"), ".csv", lambda p: evaluations.read_tables([p], {}, [])),
        "split": (content("splits/sides.csv"), ".csv", lambda p: csv_tables.read_split(p, "sides")),
        "names": (b"name,model\nx,ant\n", ".csv", evaluations.read_names),
        "jsonl": (content("documents.jsonl"), ".jsonl", corpora.read_corpus),
        "corpus": (b"doc_id,source,text\na,b,c\n", ".csv", corpora.read_corpus),
        "recipe": (recipe.encode(), ".toml", corpora.read_corpus),
        "lm-eval": (
            json.dumps(lm_eval).encode(), ".json", lambda p: evaluations.read([p], "lm-eval")
        ),
        "opencompass": (summary.encode(), ".csv", lambda p: evaluations.read([p], "opencompass")),
        "pack": (content(PACK), ".parquet", loss_packs.read),
        "parts": (content(PACK), ".parquet", lambda p: list(loss_packs.parts(p))),
        "items": (content(PACK), ".parquet", lambda p: list(item_results.read(p))),
        "manifest": (
            json.dumps(manifest).encode(), ".json", lambda p: decode_manifest("x", p.read_bytes())
        ),
        "login": (login.encode(), ".toml", login_file.read),
        "zip": (_zip(files), ".zip", lambda p: _unpacked(p)),
        "job": (json.dumps(job).encode(), ".json", _job),
        "preview": (b'{"job": {}, "counts": [], "rows": []}', ".json", uploads._read),
        "queue": (_queue(), ".jobs.sqlite", _open_queue),
        "database": (b"", ".duckdb", _open_database),
    }  # fmt: skip


def attack(files: Path, scratch: Path, n: int, left: Bounds, seed: int) -> Found:
    """Feed n mutations of good files to the readers, in turn, or a few more: each gets as many."""
    found = Found("fuzz")
    known = readers(files)
    each = max(1, math.ceil(n / len(known)))
    for name, (good, ending, read) in known.items():
        if not left():
            break
        _fuzz(found, name, good, scratch / f"fuzzed{ending}", read, each, left)
    return found


def _fuzz(
    found: Found, name: str, good: bytes, path: Path, read: Reader, n: int, left: Bounds
) -> None:
    @settings(
        max_examples=n,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations(good))
    def run(content: bytes) -> None:
        if left():
            path.write_bytes(content)
            strike(found, name, lambda: read(path))

    run()


@st.composite
def mutations(draw: st.DrawFn, good: bytes) -> bytes:
    """Draw a good file with some bytes changed, cut, doubled or nasty; or none of it."""
    if not good or draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200) | st.sampled_from(NASTY))
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        match draw(st.integers(0, 4)):
            case 0:
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
            case 1:
                content[at:at] = draw(st.sampled_from(NASTY))
            case 2:
                del content[at : at + draw(st.integers(1, 50))]
            case 3:
                del content[at:]
            case 4:
                content[at:at] = content[max(0, at - 100) : at]
    return bytes(content)


def _zip(files: Path) -> bytes:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/x.txt", "some text")
        archive.write(files / "models.csv", "models.csv")
    return out.getvalue()


def _unpacked(path: Path) -> None:
    with archives.unpacked(path, ["*.txt"]) as folder:
        list(folder.rglob("*"))


def _job(path: Path) -> None:
    from csvcore.errors import InputError

    try:
        params = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError("it is no JSON") from error  # as the queue says itself
    if isinstance(params, dict):
        specs.from_json("fit", params)


def _queue() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "a.duckdb"
        with queue._queue(database) as db:
            db.execute("INSERT INTO jobs (kind, params, created) VALUES ('fit', '{}', 1)")
            db.execute("PRAGMA journal_mode = DELETE")
        return queue.queue_path(database).read_bytes()


def _open_queue(path: Path) -> None:
    for rest in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + rest).unlink(missing_ok=True)
    try:
        queue.live(path.with_name(path.name.removesuffix(".jobs.sqlite")))
    except sqlite3.Error as error:
        raise RuntimeError(f"not explained: {error}") from error


def _open_database(path: Path) -> None:
    with store.connect(path, read_only=True) as db:
        store.models(db)
