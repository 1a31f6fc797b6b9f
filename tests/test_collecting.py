import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slowly
from helpers import (
    DOCS,
    collect,
    contents,
    copies,
    save_gpt2,
    spoil,
    stored_losses,
    write_csv,
)

from csvcore import packs, pipeline, scoring, store
from csvcore.engines import Progress
from csvcore.errors import Cancelled, StoreError
from csvcore.pipeline import CollectConfig, Collection
from csvcore.records import ModelCard
from csvcore.scoring.loading import PROBE
from csvcore.shards import Shards

CPU = CollectConfig(device="cpu")
SIZES = {doc.doc_id: len(doc.text.encode()) for doc in DOCS}
DEADLINE = 180.0  # seconds; a machine that trains beside us takes a minute to load PyTorch


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Model and document of everything that is scored from now on."""
    found: list[tuple[str, str]] = []
    real = scoring.score

    def note(lm: scoring.LanguageModel, docs: Any, *more: Any) -> Iterator[Any]:
        found.extend((lm.name, doc.doc_id) for doc in docs)
        yield from real(lm, docs, *more)

    monkeypatch.setattr(scoring, "score", note)
    return found


def coverage(database: Path) -> dict[str, int]:
    with store.connect(database, read_only=True) as db:
        return store.coverage(db, "words")


def manifest(database: Path, model: str) -> dict[str, Any]:
    with store.connect(database, read_only=True) as db:
        made = store.manifests(db, "words")[model]
    assert made is not None
    return made


def statuses(found: list[Any]) -> dict[str, str]:
    return {one.model: one.status for one in found}


def missing(collection: Collection) -> int:
    """Shards of all models that are not stored whole."""
    place = Shards(collection.place)
    return sum(len(place.missing(collection.shards(one))) for one in collection.plans)


def after(n_steps: int, model: str) -> Callable[[Progress], None]:
    """A report that stops a model at so many scored steps after it was loaded."""
    seen: list[Progress] = []

    def report(step: Progress) -> None:
        if step.model == model and (seen or step.message.startswith("prefix")):
            if len(seen) == n_steps + 1:
                raise Cancelled("enough")
            seen.append(step)

    return report


def stop_within(database: Path, name: str, n_shards: int, config: CollectConfig = CPU) -> None:
    """Collect one model and stop when so many of its shards are written."""
    model = scoring.model_name(name)
    with pytest.raises(Cancelled):
        collect(database, [name], config, report=after(n_shards, model))


# What is stored


@pytest.mark.parametrize("in_shards", [True, False])
def test_collected_losses_are_the_scores_of_the_model_and_a_pack_that_tiles(
    words_db: Path, tiny_lm: Path, in_shards: bool, request: pytest.FixtureRequest
) -> None:
    if in_shards:
        request.getfixturevalue("one_by_one")
    [found] = collect(words_db, [str(tiny_lm)])
    scored = list(scoring.score(scoring.load(str(tiny_lm), CPU.load), DOCS))
    with store.connect(words_db, read_only=True) as db:
        rows = store.loss_rows(db, "words", ["tiny-gpt2"])
    packs.check_documents("stored", rows, SIZES)
    for row, expected in zip(rows.to_pylist(), scored, strict=True):
        assert row["doc_id"] == expected.doc_id
        assert row["byte_start"] == expected.byte_start.tolist()
        assert row["byte_end"] == expected.byte_end.tolist()
        assert expected.token_id is not None
        assert row["token_id"] == expected.token_id.tolist()
        np.testing.assert_allclose(row["nll"], expected.nll, atol=1e-5)  # other texts in its pass
    total = sum(row.nll.sum() for row in scored)
    assert found.bits_per_byte == pytest.approx(total / log(2) / sum(SIZES.values()), rel=1e-6)
    assert found.n_tokens == sum(row.nll.size for row in scored)
    assert (found.model, found.status) == ("tiny-gpt2", "stored")
    assert found.seconds > 0


def test_the_manifest_says_how_and_when_the_losses_were_made(words_db: Path, tiny_lm: Path) -> None:
    collect(words_db, [str(tiny_lm)])
    made = manifest(words_db, "tiny-gpt2")
    files = scoring.find(str(tiny_lm))
    assert made.pop("created") <= time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    assert made == {
        "weights_sha256": files.weights_sha256,
        "tokenizer_sha256": files.tokenizer_sha256,
        "prefix": {"token_id": 0, "token": "<|endoftext|>", "rule": "eos", "why": "the only one"},
        "dtype": "float32",
        "engine": "transformers",
        "rows": "packed",
        "head": "chunked",
        "scoring_version": scoring.SCORING_VERSION,
        "context": "whole",
    }


def test_what_was_asked_for_stands_in_the_manifest(words_db: Path, tiny_lm: Path) -> None:
    config = CollectConfig(device="cpu", dtype="bfloat16", context=15, prefix="eos")
    collect(words_db, [str(tiny_lm)], config)
    made = manifest(words_db, "tiny-gpt2")
    assert (made["dtype"], made["context"]) == ("bfloat16", 15)
    assert (made["prefix"]["rule"], made["prefix"]["why"]) == ("eos", "asked for")


def test_a_model_without_a_card_gets_one_from_its_own_files(
    words_db: Path, tiny_lm: Path, tiny_llama: Path
) -> None:
    collect(words_db, [str(tiny_lm), str(tiny_llama)])
    with store.connect(words_db, read_only=True) as db:
        cards = {card.model: card for card in store.models(db)}
    n_params = scoring.load(str(tiny_lm), CPU.load).model.num_parameters()
    assert cards["tiny-gpt2"] == ModelCard("tiny-gpt2", "gpt2", n_params)
    assert cards["tiny-llama"].family == "llama"


def test_a_card_that_the_user_gave_stays(words_db: Path, tiny_lm: Path, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "m.csv", "model,family,n_params", [["tiny-gpt2", "mine", 3]])
    pipeline.import_models(words_db, file)
    collect(words_db, [str(tiny_lm)])
    with store.connect(words_db, read_only=True) as db:
        assert store.models(db) == [ModelCard("tiny-gpt2", "mine", 3)]


def test_shards_lie_beside_the_database_or_where_they_are_told(
    words_db: Path, tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    collection = pipeline.prepare(Path(words_db.name), [str(tiny_lm)], "words", CPU)
    assert collection.place == str(tmp_path / "results.duckdb.shards")
    elsewhere = replace(CPU, shards=f"memory://{uuid.uuid4()}")
    collection = pipeline.prepare(words_db, [str(tiny_lm)], "words", elsewhere)
    assert missing(collection) == 1
    assert statuses(list(pipeline.collect(collection))) == {"tiny-gpt2": "stored"}
    assert missing(collection) == 0
    assert not (tmp_path / "results.duckdb.shards").exists()


def test_what_an_engine_gets_means_the_same_in_every_working_directory(
    words_db: Path, three: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = replace(CPU, shards="losses")
    collection = pipeline.prepare(words_db, ["first"], "words", config)
    work = collection.work(collection.plans[0], ())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # as the workers of a cluster are
    assert Shards(work.place)._root == str(tmp_path / "losses")
    assert scoring.find(work.name).folder == tmp_path / "first"


# Found and not scored again


def test_a_stored_model_is_found_without_loading_and_its_losses_stay(
    words_db: Path, three: list[str], scored: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(words_db, three[:1])
    before = contents(words_db)
    real = scoring.load
    loaded: list[str] = []
    monkeypatch.setattr(scoring, "load", lambda *a: (loaded.append(a[0]), real(*a))[1])
    scored.clear()
    assert statuses(collect(words_db, three)) == {
        "first": "found",
        "second": "stored",
        "third": "stored",
    }
    assert loaded == three[1:]
    assert {model for model, _ in scored} == {"second", "third"}
    assert coverage(words_db) == {"first": 6, "second": 6, "third": 6}
    for table in ("losses", "manifests"):
        assert [row for row in contents(words_db)[table] if row[1] == "first"] == before[table]
    shutil.rmtree(pipeline.prepare(words_db, three, "words", CPU).place)
    assert set(statuses(collect(words_db, three)).values()) == {"found"}  # even without shards
    assert loaded == three[1:]


def test_a_folder_of_another_name_with_the_same_model_is_not_scored_again(
    words_db: Path, three: list[str], scored: list[tuple[str, str]]
) -> None:
    collect(words_db, three[:1])
    scored.clear()
    renamed = Path(three[0]).rename(Path(three[0]).with_name("renamed"))
    assert statuses(collect(words_db, [str(renamed)])) == {"renamed": "stored"}
    assert scored == []
    assert stored_losses(words_db, "renamed") == stored_losses(words_db, "first")
    assert manifest(words_db, "renamed") == manifest(words_db, "first")


@pytest.mark.usefixtures("one_by_one")
def test_a_model_whose_shards_are_all_written_is_stored_without_loading(
    words_db: Path, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Path(shutil.copy(words_db, words_db.with_name("other.duckdb")))
    collect(undisturbed, three[:1], replace(CPU, shards=f"{words_db}.shards"))
    monkeypatch.setattr(scoring, "load", lambda *_: pytest.fail("it was loaded"))
    [found] = collect(words_db, three[:1])
    assert found.status == "stored"
    assert contents(words_db) == contents(undisturbed)


# Stopped and gone on with


def test_stopping_between_two_models_keeps_the_first(words_db: Path, three: list[str]) -> None:
    run = pipeline.collect(pipeline.prepare(words_db, three, "words", CPU))
    assert next(run).model == "first"
    assert isinstance(run, Iterator)
    run.close()  # type: ignore[attr-defined]
    assert coverage(words_db) == {"first": 6}


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("n_done", [0, 3, 5])
def test_a_stopped_model_goes_on_after_the_shards_that_are_written(
    words_db: Path, three: list[str], scored: list[tuple[str, str]], n_done: int
) -> None:
    with pytest.raises(Cancelled):
        collect(words_db, three[:2], report=after(n_done, "second"))
    assert coverage(words_db) == {"first": 6}
    assert scored == [
        *(("first", doc.doc_id) for doc in DOCS),
        *(("second", doc.doc_id) for doc in DOCS[: n_done + 1]),  # the last one is lost
    ]
    scored.clear()
    collect(words_db, three[1:2])
    assert scored == [("second", doc.doc_id) for doc in DOCS[n_done:]]


@pytest.mark.usefixtures("one_by_one")
def test_an_interrupted_model_is_not_scored_twice(
    words_db: Path, tiny_llama: Path, scored: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_within(words_db, str(tiny_llama), 4)
    assert coverage(words_db) == {}
    assert missing(pipeline.prepare(words_db, [str(tiny_llama)], "words", CPU)) == 2
    passes = count_passes(monkeypatch)
    scored.clear()
    collect(words_db, [str(tiny_llama)])
    assert scored == [("tiny-llama", doc.doc_id) for doc in DOCS[4:]]
    lm = scoring.load(str(tiny_llama), CPU.load)
    in_test = sum(passes) - len(DOCS[4:])  # the second load's own, and the one just now
    passes.clear()
    scoring.load(str(tiny_llama), CPU.load)
    assert in_test == 2 * sum(passes)
    assert [len(row[3]) for row in stored_losses(words_db, "tiny-llama")] == [
        len(scoring.encode(lm.tokenizer, doc.text).token_ids)
        for doc in sorted(DOCS, key=lambda doc: doc.doc_id)
    ]


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A one for every forward pass of a batch from now on."""
    from csvcore.scoring.passes import Passes

    found: list[int] = []
    real = Passes._batch
    monkeypatch.setattr(Passes, "_batch", lambda *a: (found.append(1), real(*a))[1])
    return found


@pytest.mark.usefixtures("one_by_one")
def test_a_damaged_shard_alone_is_scored_again(
    words_db: Path, three: list[str], scored: list[tuple[str, str]]
) -> None:
    collection = pipeline.prepare(words_db, three[:1], "words", CPU)
    one_shard = Shards(collection.place)._path(collection.shards(collection.plans[0])[2].key)
    whole = Path(shutil.copy(words_db, words_db.with_name("whole.duckdb")))
    collect(whole, three[:1], replace(CPU, shards=collection.place))
    content = Path(one_shard).read_bytes()
    Path(one_shard).write_bytes(content[: len(content) // 2])
    scored.clear()
    collect(words_db, three[:1])
    assert scored == [("first", DOCS[2].doc_id)]
    assert stored_losses(words_db) == stored_losses(whole)


# `csvcore`, forked as often as it is killed from one process that has its modules loaded.
FORKING = """
import json, os, sys
import slowly, torch
from csvcore import cli, engines, pipeline, scoring
from functools import partial
from csvcore import shards

shards.divide = partial(shards.divide, shard_bytes=1)
torch.set_num_threads(1)
slowly.hold_up()
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        os.environ.update(order["env"])
        try:
            cli.main(order["arguments"])
        except SystemExit as end:
            os._exit(end.code or 0)
        os._exit(99)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def forked(tmp_path: Path) -> Iterator[Callable[..., Callable[[], int]]]:
    """Starts the command; gives a function that awaits its exit status, with its process id."""
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parent),
        "OMP_NUM_THREADS": "1",
        slowly.TRACE: str(tmp_path / "trace"),
        slowly.PAUSE: "0",
    }
    mother = subprocess.Popen(
        [sys.executable, "-c", FORKING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert mother.stdin is not None
    assert mother.stdout is not None
    inlet, outlet = mother.stdin, mother.stdout

    def start(*arguments: object, **env: str) -> tuple[int, Callable[[], int]]:
        order = {"arguments": [*map(str, arguments)], "env": env, "log": str(tmp_path / "log")}
        inlet.write(json.dumps(order) + "\n")
        inlet.flush()
        return int(outlet.readline()), lambda: int(outlet.readline())

    assert outlet.readline() == "ready\n"
    yield start
    inlet.close()
    outlet.close()
    mother.kill()
    mother.wait(timeout=30)


@pytest.mark.usefixtures("one_by_one")
def test_a_collection_killed_again_and_again_loses_one_shard_a_time_and_ends_as_if_never_killed(
    words_db: Path, three: list[str], tmp_path: Path, forked: Any
) -> None:
    rng = random.Random(5)
    names, trace = three[:2], tmp_path / "trace"
    undisturbed = Path(shutil.copy(words_db, tmp_path / "undisturbed.duckdb"))

    def start(database: Path, **env: str) -> tuple[int, Callable[[], int]]:
        where = ["--corpus", "words", "--device", "cpu"]
        started: tuple[int, Callable[[], int]] = forked(
            "--db", database, "collect", *names, *where, **env
        )
        return started

    collection = pipeline.prepare(words_db, names, "words", CPU)
    n_shards = missing(collection)
    assert n_shards == 2 * len(DOCS)
    for kills in range(1, 7):
        left, begun = missing(collection), len(slowly.scored(trace))
        pid, status = start(words_db, **{slowly.PAUSE: "0.04"})
        deadline = time.monotonic() + DEADLINE
        while len(slowly.scored(trace)) <= begun and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.2))  # scoring takes 0.04 s, and writing as much
        os.kill(pid, signal.SIGKILL)
        assert status() == -signal.SIGKILL, (tmp_path / "log").read_text()
        written = left - missing(collection)
        assert len(slowly.scored(trace)) - begun - written <= 1, kills
        if missing(collection) <= 2:
            break
    assert kills >= 4

    _, status = start(words_db)
    assert status() == 0, (tmp_path / "log").read_text()
    again = slowly.scored(trace)
    assert {*again} == {(Path(name).name, doc.doc_id) for name in names for doc in DOCS}
    assert len(again) <= n_shards + kills
    files = sorted(Path(collection.place).iterdir())
    keys = {shard.key for one in collection.plans for shard in collection.shards(one)}
    assert {file.name for file in files if file.suffix != ".part"} == {f"{k}.parquet" for k in keys}
    assert all(file.name.startswith(".") for file in files if file.suffix == ".part")
    _, status = start(undisturbed)
    assert status() == 0, (tmp_path / "log").read_text()
    one, other = contents(words_db), contents(undisturbed)
    for tables in (one, other):
        tables["manifests"] = [
            (corpus, model, json.loads(made) | {"created": ""})  # type: ignore[misc]
            for corpus, model, made in tables["manifests"]
        ]
    assert one == other


# Never stale


@pytest.mark.usefixtures("one_by_one")
def test_other_weights_under_the_same_name_are_scored_anew_from_the_first_shard(
    words_db: Path, tiny_lm: Path, tmp_path: Path, scored: list[tuple[str, str]]
) -> None:
    folder = save_gpt2(tmp_path / "model", seed=7)
    stop_within(words_db, str(folder), 3)
    shutil.rmtree(folder)
    save_gpt2(folder, seed=8)
    scored.clear()
    collect(words_db, [str(folder)])
    assert scored == [("model", doc.doc_id) for doc in DOCS]
    assert manifest(words_db, "model")["weights_sha256"] == scoring.find(str(folder)).weights_sha256
    apart = Path(shutil.copy(words_db, tmp_path / "apart.duckdb"))
    with store.connect(apart) as db:
        db.execute("DELETE FROM losses")
        db.execute("DELETE FROM manifests")
    collect(apart, [str(folder)])
    assert stored_losses(words_db) == stored_losses(apart)


@pytest.mark.usefixtures("one_by_one")
def test_a_changed_text_alone_is_scored_again(
    words_db: Path, tiny_lm: Path, tmp_path: Path, scored: list[tuple[str, str]]
) -> None:
    place = replace(CPU, shards=str(tmp_path / "shards"))
    collect(words_db, [str(tiny_lm)], place)
    docs = [
        {"doc_id": doc.doc_id, "source": doc.source, "text": doc.text.replace("pears", "figs")}
        for doc in DOCS
    ]
    (tmp_path / "changed.jsonl").write_text("\n".join(map(json.dumps, docs)) + "\n")
    pipeline.import_corpus(words_db, tmp_path / "changed.jsonl", "changed")
    scored.clear()
    collect(words_db, [str(tiny_lm)], place, "changed")
    assert scored == [("tiny-gpt2", "sum-3")]
    with store.connect(words_db, read_only=True) as db:
        rows = store.loss_rows(db, "changed", ["tiny-gpt2"])
    packs.check_documents("changed", rows, {d["doc_id"]: len(d["text"].encode()) for d in docs})


def keys(database: Path, name: str, config: CollectConfig) -> list[str]:
    collection = pipeline.prepare(database, [name], "words", config)
    return [shard.key for shard in collection.shards(collection.plans[0])]


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize(
    ("change", "n_changed"),
    [
        ({"dtype": "bfloat16"}, 6),
        ({"prefix": "eos"}, 6),
        ({"context": 20}, 2),  # tokens: 13, 12, 15, 20, 25, 27
        ({"context": 13}, 4),
        ({"stride": 3}, 0),  # no document needs a window
        ({"device": "cuda"}, 0),
        ({"batch_tokens": 7}, 0),
        ({"shards": "/elsewhere"}, 0),
        ({"engine": "ray"}, 0),
    ],
)
def test_settings_that_move_losses_and_no_others_change_the_shards(
    words_db: Path, tiny_lm: Path, change: dict[str, Any], n_changed: int
) -> None:
    before = keys(words_db, str(tiny_lm), CPU)
    after = keys(words_db, str(tiny_lm), replace(CPU, **change))
    assert sum(a != b for a, b in zip(before, after, strict=True)) == n_changed


@pytest.mark.usefixtures("one_by_one")
def test_a_stride_changes_the_shards_of_long_documents(words_db: Path, tiny_lm: Path) -> None:
    config = replace(CPU, context=20)
    before = keys(words_db, str(tiny_lm), config)
    after = keys(words_db, str(tiny_lm), replace(config, stride=3))
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 2


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_changed_files_of_a_model_change_all_its_shards(
    words_db: Path, three: list[str], file: str
) -> None:
    before = keys(words_db, three[0], CPU)
    collection = pipeline.prepare(words_db, three[:1], "words", CPU)
    with (Path(three[0]) / file).open("ab") as stream:
        stream.write(b" ")
    changed = replace(collection.plans[0], files=scoring.find(three[0]))
    assert not {shard.key for shard in collection.shards(changed)} & {*before}


def test_a_new_version_of_scoring_changes_all_shards(
    words_db: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(words_db, str(tiny_lm), CPU)
    monkeypatch.setattr(scoring, "SCORING_VERSION", scoring.SCORING_VERSION + 1)
    assert not {*keys(words_db, str(tiny_lm), CPU)} & {*before}


def test_weights_that_change_after_they_were_looked_at_never_pass_for_the_old_ones(
    words_db: Path, three: list[str], tmp_path: Path
) -> None:
    old = Path(shutil.copytree(three[1], tmp_path / "kept"))

    def overwrite(step: Progress) -> None:
        if (step.model, step.message) == ("first", "loading"):  # an hour of training goes by
            save_gpt2(Path(three[1]), seed=9)

    place = replace(CPU, shards=str(tmp_path / "shards"))
    collect(words_db, three[:2], place, report=overwrite)
    undisturbed = Path(shutil.copy(words_db, tmp_path / "undisturbed.duckdb"))
    collect(words_db, [str(old)], place)
    collect(undisturbed, [str(old)])
    assert stored_losses(words_db, "kept") == stored_losses(undisturbed, "kept")


@pytest.mark.usefixtures("one_by_one")
def test_the_manifests_context_is_that_of_the_losses_stored(
    words_db: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    place = str(tmp_path / "shards")
    wide = replace(CPU, shards=place, context=25)
    narrow = replace(CPU, shards=place, context=20)
    others = Path(shutil.copy(words_db, tmp_path / "others.duckdb"))
    collect(others, [str(tiny_lm)], narrow)
    collection = pipeline.prepare(words_db, [str(tiny_lm)], "words", narrow)
    short = collection.shards(collection.plans[0])[0]  # the same for both
    Path(Shards(place)._path(short.key)).write_bytes(b"torn")
    time.sleep(1.1)  # shards are dated to the second
    stop_within(words_db, str(tiny_lm), 1, wide)
    assert missing(collection) == 0
    collect(words_db, [str(tiny_lm)], narrow)
    assert manifest(words_db, "tiny-gpt2")["context"] == 20


# Refused because something else is stored


def problem(database: Path, name: str, config: CollectConfig = CPU) -> str:
    """Why a model is refused; nothing changes."""
    before = contents(database)
    [found] = collect(database, [name], config)
    assert found.status == "failed", found
    assert "\n" not in found.message
    assert contents(database) == before
    return str(found.message)


def test_losses_of_other_weights_under_the_same_name_are_refused(
    words_db: Path, tiny_lm: Path, tmp_path: Path, three: list[str]
) -> None:
    collect(words_db, [str(tiny_lm)])
    other = save_gpt2(tmp_path / "tiny-gpt2", seed=1)
    assert problem(words_db, str(other)) == (
        "losses of other weights are stored as tiny-gpt2 on words; rename the folder to store "
        "these beside them"
    )
    assert statuses(collect(words_db, [str(other), three[0]])) == {
        "tiny-gpt2": "failed",
        "first": "stored",
    }


def test_losses_by_another_tokenizer_under_the_same_name_are_refused(
    words_db: Path, three: list[str]
) -> None:
    collect(words_db, three[:1])
    file = Path(three[0]) / "tokenizer.json"
    coded = json.loads(file.read_text())
    coded["model"]["merges"] = coded["model"]["merges"][:5]
    file.write_text(json.dumps(coded))
    assert "tokenizer" in problem(words_db, three[0])


def test_losses_in_another_dtype_are_refused(words_db: Path, tiny_lm: Path) -> None:
    collect(words_db, [str(tiny_lm)])
    assert problem(words_db, str(tiny_lm), replace(CPU, dtype="bfloat16")) == (
        "losses of tiny-gpt2 on words are stored in float32, not bfloat16; models that are "
        "compared should share their dtype"
    )


def test_losses_behind_another_prefix_are_refused_and_behind_the_same_found(
    words_db: Path, tiny_llama: Path
) -> None:
    collect(words_db, [str(tiny_llama)])  # bos, by itself
    [found] = collect(words_db, [str(tiny_llama)], replace(CPU, prefix="bos"))
    assert found.status == "found"
    assert problem(words_db, str(tiny_llama), replace(CPU, prefix="eos")) == (
        "losses of tiny-llama on words are stored with the prefix bos, not eos; give the model "
        "another name to store both"
    )


def test_losses_through_other_windows_than_asked_for_are_refused(
    words_db: Path, tiny_lm: Path
) -> None:
    collect(words_db, [str(tiny_lm)], replace(CPU, context=20))
    [found] = collect(words_db, [str(tiny_lm)], replace(CPU, context=20))
    assert found.status == "found"
    assert "context" in problem(words_db, str(tiny_lm), replace(CPU, context=15))


def test_a_model_with_losses_on_some_documents_is_refused(words_db: Path, tiny_lm: Path) -> None:
    collect(words_db, [str(tiny_lm)])
    with store.connect(words_db) as db:
        db.execute("DELETE FROM losses WHERE doc_id = 'sum-1'")
    assert problem(words_db, str(tiny_lm)) == "tiny-gpt2 has losses on 5 of 6 documents of words"


# One model fails, the others go on


def test_models_after_one_that_fails_go_on(
    words_db: Path, three: list[str], tmp_path: Path, tiny_lm: Path
) -> None:
    [empty] = copies(tmp_path, tiny_lm, "empty")
    (Path(empty) / "model.safetensors").unlink()
    nan = spoil(shutil.copytree(tiny_lm, tmp_path / "nan"))
    names = [str(tmp_path / "nowhere"), three[0], nan, three[1], empty, three[2]]
    found = {Path(one.model).name: one for one in collect(words_db, names)}
    assert {name for name, one in found.items() if one.status == "stored"} == {
        "first",
        "second",
        "third",
    }
    assert coverage(words_db) == {"first": 6, "second": 6, "third": 6}
    assert found["nowhere"].message == f"there is no folder {tmp_path / 'nowhere'}"
    assert found["nan"].message.startswith("nan: it gives a loss that is not a number")
    assert found["empty"].message.startswith("empty has no .safetensors file")
    with store.connect(words_db, read_only=True) as db:
        assert {card.model for card in store.models(db)} == {"first", "second", "third"}


@pytest.mark.usefixtures("one_by_one")
def test_a_loss_that_is_not_a_number_on_one_document_keeps_the_model_out_of_the_database(
    words_db: Path, tiny_llama: Path, three: list[str], tmp_path: Path
) -> None:
    [odd] = copies(tmp_path, tiny_llama, "odd")
    tokenizer = scoring.load_tokenizer(scoring.find(odd))
    others = [PROBE, *(doc.text for doc in DOCS if doc.doc_id != "note-2")]
    known = {token for text in others for token in tokenizer(text).input_ids}
    own = {token for doc in DOCS for token in tokenizer(doc.text).input_ids} - known
    spoil(odd, "model.embed_tokens.weight", min(own))  # only note-2 has this token
    first, second = collect(words_db, [odd, three[1]])
    assert first.message == "odd gives a loss that is not a number on note-2"
    assert (first.status, second.status) == ("failed", "stored")
    assert coverage(words_db) == {"second": 6}


@pytest.mark.usefixtures("one_by_one")
def test_a_full_disk_fails_in_words_and_the_next_run_goes_on(
    words_db: Path, tiny_lm: Path, scored: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    written: list[int] = []

    def fill(file: int) -> None:
        written.append(file)
        if len(written) > 2:
            raise OSError(28, "No space left on device")
        real(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        [found] = collect(words_db, [str(tiny_lm)])
    assert found.status == "failed"
    assert "no space is left; what is stored stays" in found.message
    place = Path(pipeline.prepare(words_db, [str(tiny_lm)], "words", CPU).place)
    assert sorted(file.suffix for file in place.iterdir()) == [".parquet"] * 2
    scored.clear()
    assert statuses(collect(words_db, [str(tiny_lm)])) == {"tiny-gpt2": "stored"}
    assert scored == [("tiny-gpt2", doc.doc_id) for doc in DOCS[2:]]


def test_a_database_in_use_fails_in_words_and_the_next_run_scores_nothing_again(
    words_db: Path, three: list[str], scored: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_use(*_: Any) -> None:
        raise StoreError("it has been in use by another process for 30 s; try again")

    with monkeypatch.context() as patch:
        patch.setattr(store, "add_losses", in_use)
        found = collect(words_db, three[:2])
    assert [one.message for one in found] == [str(StoreError(found[0].message))] * 2
    assert "in use by another process" in found[0].message
    assert coverage(words_db) == {}
    scored.clear()
    assert set(statuses(collect(words_db, three[:2])).values()) == {"stored"}
    assert scored == []


def test_shards_that_are_gone_when_they_are_to_be_stored_fail_their_model_alone(
    words_db: Path, three: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are when the nodes of a cluster do not share the folder they write to."""
    place = tmp_path / "shards"
    real = Shards.write

    def write(self: Shards, key: str, rows: Any, made: Any) -> None:
        if rows[0].model != "first":
            real(self, key, rows, made)

    monkeypatch.setattr(Shards, "write", write)
    done = collect(words_db, three[:2], replace(CPU, shards=str(place)))
    assert statuses(done) == {"first": "failed", "second": "stored"}
    assert str(place) in done[0].message


def test_nothing_to_do_is_done_at_once(words_db: Path, tiny_lm: Path) -> None:
    assert collect(words_db, []) == []


# Long documents


@pytest.mark.usefixtures("one_by_one")
def test_long_documents_are_seen_through_the_smallest_context_of_all_models(
    words_db: Path, tiny_lm: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    short = Path(shutil.copytree(tiny_llama, tmp_path / "short"))
    file = short / "config.json"
    settings = json.loads(file.read_text()) | {"max_position_embeddings": 20}
    file.write_text(json.dumps(settings))
    collection = pipeline.prepare(words_db, [str(short), str(tiny_lm)], "words", CPU)
    assert collection.context == 20
    assert any("common context of 20 tokens" in note for note in collection.notes)
    assert set(statuses(list(pipeline.collect(collection))).values()) == {"stored"}
    lm = scoring.load(str(tiny_lm), CPU.load)
    scored = {row.doc_id: row.nll for row in scoring.score(lm, DOCS, context=20)}
    whole = {row.doc_id: row.nll for row in scoring.score(lm, DOCS)}
    with store.connect(words_db, read_only=True) as db:
        rows = store.loss_rows(db, "words", ["tiny-gpt2"])
    for row in rows.to_pylist():
        np.testing.assert_allclose(row["nll"], scored[row["doc_id"]], atol=1e-5)
        same = np.allclose(scored[row["doc_id"]], whole[row["doc_id"]], atol=1e-4)
        assert same == (len(row["nll"]) <= 20)
    assert manifest(words_db, "tiny-gpt2")["context"] == 20
    assert manifest(words_db, "short")["context"] == 20


def test_a_model_that_is_refused_does_not_shorten_the_others_context(
    words_db: Path, three: list[str], tiny_llama: Path
) -> None:
    file = Path(three[0]) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"n_positions": 30}))
    names = [three[0], str(tiny_llama)]
    with store.connect(words_db) as db:  # of some other weights
        rows = [["words", "first", doc.doc_id, [0], [SIZES[doc.doc_id]], [1.0]] for doc in DOCS]
        db.executemany("INSERT INTO losses VALUES (?, ?, ?, ?, ?, ?, NULL)", rows)
    collection = pipeline.prepare(words_db, names, "words", CPU)
    assert [one.problem is None for one in collection.plans] == [False, True]
    assert collection.context == 128


def test_a_context_other_than_the_stored_models_had_is_noted(
    words_db: Path, three: list[str]
) -> None:
    collect(words_db, three[:1], replace(CPU, context=15))
    same = pipeline.prepare(words_db, three[1:2], "words", replace(CPU, context=15)).notes
    other = pipeline.prepare(words_db, three[1:2], "words", replace(CPU, context=14)).notes
    assert (len(same), len(other)) == (1, 2)
    assert other[1] == (
        "models stored on this corpus used a context of 15; give --context to have the same"
    )


# A dry run


def test_a_dry_run_tries_every_model_that_is_to_be_scored_and_writes_nothing(
    words_db: Path, three: list[str], tiny_llama: Path, tmp_path: Path
) -> None:
    collect(words_db, three[:1])
    place = tmp_path / "elsewhere"
    before = contents(words_db)
    nan = spoil(three[1])
    names = [three[0], nan, str(tmp_path / "nowhere"), str(tiny_llama)]
    tried = list(
        pipeline.try_out(
            pipeline.prepare(words_db, names, "words", replace(CPU, shards=str(place)))
        )
    )
    assert [Path(one.model).name for one in tried] == ["second", "nowhere", "tiny-llama"]
    assert [one.failed for one in tried] == [True, True, False]
    assert tried[0].message.startswith("second: it gives a loss that is not a number")
    assert tried[2].message.startswith("prefix <s> (bos, the tokenizer's own); rows packed, head")
    assert tried[2].seconds is not None
    assert tried[2].seconds > 0
    assert contents(words_db) == before
    assert not place.exists()
