import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from csvcore import lm
from csvcore.collection.shards import Shards
from csvcore.errors import Cancelled
from csvcore.pipeline.collect import collect, prepare
from tests.support import slow_scoring
from tests.support.collections import CPU, after, coverage, missing, stop_within
from tests.support.world import DOCS, collect_models, contents, stored_losses

pytestmark = pytest.mark.worker

DEADLINE = 180.0  # seconds; a machine that trains beside us takes a minute to load PyTorch


# Stopped and gone on with


def test_stopping_between_two_models_keeps_the_first(
    words_db: Path, three_models: list[str]
) -> None:
    run = collect(prepare(words_db, three_models, "words", CPU))
    assert next(run).model == "first"
    assert isinstance(run, Iterator)
    run.close()  # type: ignore[attr-defined]
    assert coverage(words_db) == {"first": 6}


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("n_done", [0, 3, 5])
def test_a_stopped_model_goes_on_after_the_shards_that_are_written(
    words_db: Path, three_models: list[str], scored: list[tuple[str, str]], n_done: int
) -> None:
    with pytest.raises(Cancelled):
        collect_models(words_db, three_models[:2], report=after(n_done, "second"))
    assert coverage(words_db) == {"first": 6}
    assert scored == [
        *(("first", doc.doc_id) for doc in DOCS),
        *(("second", doc.doc_id) for doc in DOCS[: n_done + 1]),  # the last one is lost
    ]
    scored.clear()
    collect_models(words_db, three_models[1:2])
    assert scored == [("second", doc.doc_id) for doc in DOCS[n_done:]]


@pytest.mark.usefixtures("one_by_one")
def test_an_interrupted_model_is_not_scored_twice(
    words_db: Path, tiny_llama: Path, scored: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_within(words_db, str(tiny_llama), 4)
    assert coverage(words_db) == {}
    assert missing(prepare(words_db, [str(tiny_llama)], "words", CPU)) == 2
    passes = count_passes(monkeypatch)
    scored.clear()
    collect_models(words_db, [str(tiny_llama)])
    assert scored == [("tiny-llama", doc.doc_id) for doc in DOCS[4:]]
    model = lm.load(str(tiny_llama), CPU.load)
    in_test = sum(passes) - len(DOCS[4:])  # the second load's own, and the one just now
    passes.clear()
    lm.load(str(tiny_llama), CPU.load)
    assert in_test == 2 * sum(passes)
    assert [len(row[3]) for row in stored_losses(words_db, "tiny-llama")] == [
        len(lm.encode(model.tokenizer, doc.text).token_ids)
        for doc in sorted(DOCS, key=lambda doc: doc.doc_id)
    ]


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A one for every forward pass of a batch from now on."""
    from csvcore.lm.passes import Passes

    found: list[int] = []
    real = Passes._batch
    monkeypatch.setattr(Passes, "_batch", lambda *a: (found.append(1), real(*a))[1])
    return found


@pytest.mark.usefixtures("one_by_one")
def test_a_damaged_shard_alone_is_scored_again(
    words_db: Path, three_models: list[str], scored: list[tuple[str, str]]
) -> None:
    collection = prepare(words_db, three_models[:1], "words", CPU)
    one_shard = Shards(collection.place)._path(collection.shards(collection.plans[0])[2].key)
    whole = Path(shutil.copy(words_db, words_db.with_name("whole.duckdb")))
    collect_models(whole, three_models[:1], replace(CPU, shards=collection.place))
    content = Path(one_shard).read_bytes()
    Path(one_shard).write_bytes(content[: len(content) // 2])
    scored.clear()
    collect_models(words_db, three_models[:1])
    assert scored == [("first", DOCS[2].doc_id)]
    assert stored_losses(words_db) == stored_losses(whole)


# `csvcore`, forked as often as it is killed from one process that has its modules loaded.
FORKING = """
import json, os, sys
import torch
from tests.support import slow_scoring
from csvcore import cli, lm
from csvcore.pipeline import collect, exports
from functools import partial
from csvcore.collection import shards

shards.divide = partial(shards.divide, shard_bytes=1)
torch.set_num_threads(1)
slow_scoring.hold_up()
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
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "OMP_NUM_THREADS": "1",
        slow_scoring.TRACE: str(tmp_path / "trace"),
        slow_scoring.PAUSE: "0",
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
    words_db: Path, three_models: list[str], tmp_path: Path, forked: Any
) -> None:
    rng = random.Random(5)
    names, trace = three_models[:2], tmp_path / "trace"
    undisturbed = Path(shutil.copy(words_db, tmp_path / "undisturbed.duckdb"))

    def start(database: Path, **env: str) -> tuple[int, Callable[[], int]]:
        where = ["--corpus", "words", "--device", "cpu"]
        started: tuple[int, Callable[[], int]] = forked(
            "--db", database, "collect", *names, *where, **env
        )
        return started

    collection = prepare(words_db, names, "words", CPU)
    n_shards = missing(collection)
    assert n_shards == 2 * len(DOCS)
    for kills in range(1, 7):
        left, begun = missing(collection), len(slow_scoring.scored(trace))
        pid, status = start(words_db, **{slow_scoring.PAUSE: "0.04"})
        deadline = time.monotonic() + DEADLINE
        while len(slow_scoring.scored(trace)) <= begun and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.2))  # scoring takes 0.04 s, and writing as much
        os.kill(pid, signal.SIGKILL)
        assert status() == -signal.SIGKILL, (tmp_path / "log").read_text()
        written = left - missing(collection)
        assert len(slow_scoring.scored(trace)) - begun - written <= 1, kills
        if missing(collection) <= 2:
            break
    assert kills >= 4

    _, status = start(words_db)
    assert status() == 0, (tmp_path / "log").read_text()
    again = slow_scoring.scored(trace)
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
