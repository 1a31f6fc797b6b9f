import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from csvcore import lm
from csvcore.collection import ClusterConfig, Outcome, Progress, Work, local, ray_cluster, work
from csvcore.collection.shards import Shards
from csvcore.errors import Cancelled, CsvcoreError, InputError
from csvcore.lm import LoadConfig
from csvcore.pipeline.collect import CollectConfig, prepare
from tests.support import slow_scoring
from tests.support.world import DOCS, collect_models, spoil, stored_losses

pytestmark = pytest.mark.worker

CPU = CollectConfig(device="cpu")
TWO = CollectConfig(device="cpu,cpu")
DEADLINE = 120.0  # seconds; a machine that trains beside us takes a minute to load PyTorch


def works(database: Path, names: list[str], config: CollectConfig = CPU) -> list[Work]:
    """What engines get of models of which nothing is scored."""
    collection = prepare(database, names, "words", config)
    return [collection.work(one, collection.shards(one)) for one in collection.plans]


def errors(found: list[Outcome]) -> dict[str, str | None]:
    return {one.work.model: None if one.error is None else str(one.error) for one in found}


def children() -> list[psutil.Process]:
    """Processes of this test that run a model."""
    found = []
    for process in psutil.Process().children():
        try:
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            pass
    return found


# Devices


@pytest.mark.parametrize(
    ("wanted", "n_gpus", "found"),
    [
        ("cpu", 0, ["cpu"]),
        ("cpu, cpu", 0, ["cpu", "cpu"]),
        ("cuda:1,cpu", 4, ["cuda:1", "cpu"]),
        ("auto", 0, ["auto"]),
        ("auto", 1, ["auto"]),
        ("auto", 3, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda", 2, ["cuda:0", "cuda:1"]),
        ("cuda:1", 2, ["cuda:1"]),
        ("balanced", 2, ["balanced"]),
    ],
)
def test_devices_are_every_gpu_or_those_named(
    monkeypatch: pytest.MonkeyPatch, wanted: str, n_gpus: int, found: list[str]
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    assert local.devices(wanted) == found


# A model's work


@pytest.mark.usefixtures("one_by_one")
def test_work_reports_every_token_once_and_writes_shard_after_shard(
    words_db: Path, tiny_lm: Path
) -> None:
    [one] = works(words_db, [str(tiny_lm)])
    steps: list[Progress] = []
    written: list[int] = []

    def report(step: Progress) -> None:
        steps.append(step)
        written.append(len(one.shards) - len(Shards(one.place).missing(one.shards)))

    work.work_off(one, report)
    assert [step.message for step in steps[:1]] == ["loading"]
    assert steps[1].message.startswith("prefix <|endoftext|> (eos, the only one); rows packed, ")
    tokenizer = lm.load_tokenizer(lm.find(str(tiny_lm)))
    assert [step.n_tokens for step in steps[2:]] == [
        len(lm.encode(tokenizer, doc.text).token_ids) for doc in DOCS
    ]
    assert written == [0, 0, 0, 1, 2, 3, 4, 5]  # each is written before the next is scored
    assert Shards(one.place).missing(one.shards) == []


def test_tokens_of_a_shard_in_several_passes_add_up(words_db: Path, tiny_lm: Path) -> None:
    [one] = works(words_db, [str(tiny_lm)], replace(CPU, batch_tokens=7, context=9))
    steps: list[Progress] = []
    work.work_off(one, steps.append)
    total = sum(step.n_tokens for step in steps)
    assert len(steps) > 4
    assert total == prepare(words_db, [str(tiny_lm)], "words", CPU).plans[0].total_tokens
    assert all(step.n_tokens >= 0 for step in steps)


def test_work_may_be_sent_to_another_process(words_db: Path, tiny_lm: Path) -> None:
    [one] = works(words_db, [str(tiny_lm)], replace(CPU, context=20))
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.context == 20
    assert one.seen == 20
    assert one.load == LoadConfig("cpu", "float32", "auto", False, 20)


def test_a_prefix_that_costs_much_is_told(words_db: Path, tiny_llama: Path) -> None:
    model = lm.load(str(tiny_llama), CPU.load)
    warned = replace(model, prefix=replace(model.prefix, tried={"bos": 2.5, "eos": 1.0}))
    assert work.summary(warned).startswith(work.summary(replace(model, prefix=model.prefix))[:20])
    assert work.summary(warned).endswith("than behind eos; consider --prefix eos")
    noted = replace(model, self_test=replace(model.self_test, notes=("not packed: it leaks",)))
    assert "; not packed: it leaks" in work.summary(noted)


# In this process


def test_here_a_model_that_fails_does_not_stop_the_next(
    words_db: Path, three_models: list[str]
) -> None:
    spoil(three_models[0])
    found = list(local.run(works(words_db, three_models[:2]), "cpu", lambda step: None))
    assert [outcome.work.model for outcome in found] == ["first", "second"]
    assert "not a number" in str(found[0].error)
    assert found[1].error is None
    assert found[1].seconds > 0


def test_here_a_device_that_is_not_there_fails_every_model_in_words(
    words_db: Path, three_models: list[str]
) -> None:
    found = errors(list(local.run(works(words_db, three_models[:2]), "banana", lambda step: None)))
    assert [*found] == ["first", "second"]
    assert all(str(error).startswith(f"{model} cannot be loa") for model, error in found.items())


# Side by side


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_by_one: None) -> Path:
    """Children score slowly and leave a trace, in this file."""
    monkeypatch.setenv(slow_scoring.TRACE, str(tmp_path / "trace"))
    monkeypatch.setenv(slow_scoring.PAUSE, "0")
    monkeypatch.setattr(local, "_process", slow_scoring.process)
    return tmp_path / "trace"


def test_two_processes_give_the_losses_of_one_and_read_nothing_from_standard_input(
    words_db: Path, three_models: list[str], tmp_path: Path, slow: Path
) -> None:
    alone = Path(shutil.copy(words_db, tmp_path / "alone.duckdb"))
    inlet, outlet = os.pipe()  # open and silent, as a terminal is
    terminal = os.dup(0)
    os.dup2(inlet, 0)
    try:
        found = collect_models(words_db, three_models[:2], TWO)
    finally:
        os.dup2(terminal, 0)
        for file in (inlet, outlet, terminal):
            os.close(file)
    assert {one.model: one.status for one in found} == {"first": "stored", "second": "stored"}
    lines = slow_scoring.trace(slow)
    assert len({line["pid"] for line in lines} - {os.getpid()}) == 2
    assert [line["stdin"] for line in lines if "stdin" in line] == ["", ""]
    collect_models(alone, three_models[:2], CPU)
    assert stored_losses(words_db) == stored_losses(alone)


def kill_one(trace: Path, killed: list[int]) -> Callable[[], None]:
    """Kills the process that scores `first` as soon as it has written a shard or two."""

    def watch() -> None:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            own = [line for line in slow_scoring.trace(trace) if line["model"] == "first"]
            if len([line for line in own if "docs" in line]) >= 3:
                os.kill(own[-1]["pid"], signal.SIGKILL)
                killed.append(own[-1]["pid"])
                return
            time.sleep(0.02)

    return watch


def test_a_killed_process_fails_its_model_alone_and_the_next_run_goes_on(
    words_db: Path, three_models: list[str], slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(slow_scoring.PAUSE, "0.2")
    killed: list[int] = []
    watcher = threading.Thread(target=kill_one(slow, killed))
    watcher.start()
    spoil(three_models[2])
    found = {one.model: one for one in collect_models(words_db, three_models, TWO)}
    watcher.join(timeout=DEADLINE)
    assert len(killed) == 1
    assert found["first"].status == "failed"
    assert found["first"].message == (
        "its process on cpu died (exit status -9); what it wrote stays, start again to go on"
    )
    assert found["second"].status == "stored"
    assert found["third"].message.startswith("third: it gives a loss that is not a number")
    assert children() == []
    done = [doc for model, doc in slow_scoring.scored(slow) if model == "first"]
    slow.unlink()
    for module, name in ((lm, "score"), (os, "fsync")):
        monkeypatch.setattr(module, name, getattr(module, name))  # are put back after the test
    monkeypatch.setenv(slow_scoring.PAUSE, "0")
    slow_scoring.hold_up()
    assert {one.model: one.status for one in collect_models(words_db, three_models[:2], CPU)} == {
        "first": "stored",
        "second": "found",
    }
    again = [doc for _, doc in slow_scoring.scored(slow)]
    assert len(set(done) & set(again)) <= 1  # the shard that was lost
    assert {*done, *again} == {doc.doc_id for doc in DOCS}


@pytest.fixture
def errands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs made-up models on two devices; a watch ends what hangs, which is no way to end."""
    monkeypatch.setattr(local, "_process", slow_scoring.errand)
    monkeypatch.setenv(slow_scoring.TRACE, str(tmp_path / "trace"))

    def run(*models: str) -> dict[str, Any]:
        over = threading.Event()

        def watch() -> None:
            if not over.wait(30.0):
                for process in children():
                    process.kill()

        watcher = threading.Thread(target=watch)
        watcher.start()
        tasks: Any = [slow_scoring.Errand(model) for model in models]
        try:
            return errors(list(local.run(tasks, "here,there", lambda step: None)))
        finally:
            over.set()
            watcher.join()

    return run


def test_a_process_killed_while_it_tells_its_news_takes_no_other_with_it(
    errands: Callable[..., dict[str, Any]],
) -> None:
    found = errands("dies while it tells its news", "refuses", "third")
    assert "died (exit status -9)" in found.pop("dies while it tells its news")
    assert found == {"refuses": "refuses because", "third": None}


def test_every_model_has_a_process_of_its_own_and_a_device_is_free_again_when_one_leaves(
    errands: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    models = ["first", "leaves with 3", "third", "fourth", "fifth"]
    found = errands(*models)
    assert sorted(found) == sorted(models)
    assert found.pop("leaves with 3") == (
        "its process on there died (exit status 3); what it wrote stays, start again to go on"
    )
    assert set(found.values()) == {None}
    lines = slow_scoring.trace(tmp_path / "trace")
    assert len({line["pid"] for line in lines}) == len(models)
    assert {line["device"] for line in lines if line["model"] in models[:2]} == {"here", "there"}
    assert {line["device"] for line in lines if line["model"] in models[2:]} <= {"here", "there"}


def test_an_error_of_the_report_is_not_taken_for_the_end_of_the_process() -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process: Any = None
    child = local._Child(0, "here", process, ours, 0.0)

    def gone(step: Progress) -> None:
        raise BrokenPipeError("the terminal is gone")

    theirs.send(Progress("first"))
    with pytest.raises(BrokenPipeError):
        child.read(gone)
    theirs.close()
    assert not child.read(gone)


def test_a_report_that_raises_ends_every_process_and_an_interrupt_is_left_to_the_parent(
    words_db: Path, three_models: list[str], slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(slow_scoring.PAUSE, "60")
    running: list[psutil.Process] = []
    interrupted: list[psutil.Process] = []

    def report(step: Progress) -> None:
        if step.message.startswith("prefix"):
            running.extend(children())
            [pid] = [
                line["pid"] for line in slow_scoring.trace(slow) if step.model == line["model"]
            ][:1]
            interrupted.append(psutil.Process(pid))
            os.kill(pid, signal.SIGINT)  # as the keyboard does, which tells the parent too
            _, alive = psutil.wait_procs(interrupted, timeout=2.0)
            interrupted[:] = alive
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        list(local.run(works(words_db, three_models[:2]), "cpu,cpu", report))
    assert len(running) == 2
    assert not any(process.is_running() for process in running)
    assert len(interrupted) == 1  # a traceback of its own is no use to anybody


# Ray that is not there


def test_without_ray_its_engine_is_refused_with_what_to_install(
    words_db: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--engine ray needs Ray; install csvcore\[ray\]"):
        collect_models(words_db, [str(tiny_lm)], replace(CPU, engine="ray"))


@pytest.mark.parametrize("address", ["auto", "nonsense", "ray://127.0.0.1:1"])
def test_an_address_without_a_cluster_is_refused_with_the_address(
    words_db: Path, tiny_lm: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=f"there is no Ray cluster at {address}"):
        collect_models(words_db, [str(tiny_lm)], replace(CPU, engine="ray", ray=address))


def test_an_address_where_nothing_listens_is_refused_within_seconds(
    words_db: Path, tiny_lm: Path
) -> None:
    program = (
        "import sys\n"
        "from csvcore.collection import ClusterConfig, ray_cluster\n"
        "from csvcore.errors import InputError\n"
        "try: list(ray_cluster.run([], ClusterConfig('127.0.0.1:1'), print))\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=40
    )
    assert done.stdout.startswith("there is no Ray cluster at 127.0.0.1:1")


def test_a_cluster_is_asked_for_what_the_settings_say(
    words_db: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def run(works: Any, config: ClusterConfig, report: Any) -> list[Outcome]:
        asked.append(config)
        return [Outcome(work, CsvcoreError("no")) for work in works]

    monkeypatch.setattr(ray_cluster, "run", run)
    settings = replace(CPU, engine="ray", ray="host:6379", gpus=0.5)
    [found] = collect_models(words_db, [str(tiny_lm)], settings)
    assert asked == [ClusterConfig("host:6379", 0.5)]
    assert (found.status, found.message) == ("failed", "no")
