import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from csvcore import store, worker
from csvcore.errors import Cancelled
from csvcore.jobs import queue
from csvcore.pipeline import jobs
from tests.support.job_queue import DEADLINE, job, wait_for
from tests.support.world import PACK, contents

pytestmark = pytest.mark.worker


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a database would be; the queue asks for no more."""
    return tmp_path / "results.duckdb"


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The workers that were started; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(*args, **more, env=env))
        return started[-1]

    monkeypatch.setattr(
        queue, "subprocess", SimpleNamespace(Popen=start, DEVNULL=subprocess.DEVNULL)
    )
    yield started
    for process in started:
        process.kill()
        process.wait(timeout=30)


@pytest.fixture
def work_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """A worker's whole life, in this process."""

    def work(database: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["worker", str(database)])
            patch.setattr(os, "nice", lambda _: 0)  # the tests stay as nice as they were
            patch.setattr(worker, "_watch_for_sigterm", threading.Event)
            assert worker.main() == 0

    return work


@pytest.fixture
def params(tiny_lm: Path) -> Callable[..., dict[str, Any]]:
    """What a fit job of the made-up world says."""

    def make(method: str = "all-token", task: str = "reading", **config: Any) -> dict[str, Any]:
        usual = {"algorithm": "paper", "steps": 3, "scorer": str(tiny_lm)}
        return {
            "corpus": "words",
            "split": "sides",
            "tasks": [task],
            "method": method,
            "config": usual | config,
        }

    return make


# What a worker makes of a job, in this process


@pytest.fixture
def run(world_db: Path, idle: list[list[str]]) -> Callable[..., queue.Job]:
    """Submit a job, claim it and work it off here."""

    def work(kind: str, content: dict[str, Any]) -> queue.Job:
        number = queue.submit(world_db, kind, content)
        claimed = queue.claim(world_db)
        assert claimed is not None
        worker._run(world_db, claimed)
        return job(world_db, number)

    return work


def test_the_results_of_a_job_are_there_when_it_is_done(
    run: Callable[..., queue.Job], params: Callable[..., dict[str, Any]], world_db: Path
) -> None:
    done = run("fit", params("csv"))
    assert (done.status, done.message) == ("done", "1 fits stored")
    assert done.step == done.total
    with store.connect(world_db, read_only=True) as db:
        [fit] = store.fits(db)["fit"]
        assert store.fit(db, fit).config["steps"] == 3


def test_a_compare_job_makes_every_fit(
    run: Callable[..., queue.Job], params: Callable[..., dict[str, Any]], world_db: Path
) -> None:
    done = run("compare", params() | {"tasks": ["adding", "reading"]})
    assert (done.status, done.message) == ("done", "21 fits stored or found")
    assert len(contents(world_db)["fits"]) == 21


@pytest.mark.parametrize(("leads", "told"), [(True, "5"), (False, "")])
def test_a_worker_of_its_own_session_makes_the_session_give_way(
    leads: bool, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    group = tmp_path / "autogroup"
    group.touch()
    monkeypatch.setattr(worker, "AUTOGROUP", group)
    monkeypatch.setattr(worker.os, "nice", asked.append)
    monkeypatch.setattr(worker.os, "getsid", lambda pid: os.getpid() if leads else 1)
    worker._give_way()
    assert (asked, group.read_text()) == ([5], told)
    monkeypatch.setattr(worker, "AUTOGROUP", tmp_path)  # cannot be written
    worker._give_way()


def test_a_leave_out_job_leaves_out_every_family(
    run: Callable[..., queue.Job], params: Callable[..., dict[str, Any]], world_db: Path
) -> None:
    config = params(steps=1)["config"]
    done = run("leave-out", {"corpus": "words", "tasks": ["reading"], "config": config})
    assert (done.status, done.message) == ("done", "2 families left out in turn")
    with store.connect(world_db, read_only=True) as db:
        assert set(store.fits(db)["split"]) == {"without-tame", "without-wild"}


def test_a_compare_job_may_have_permutations(
    run: Callable[..., queue.Job], params: Callable[..., dict[str, Any]], world_db: Path
) -> None:
    done = run("compare", params(steps=1) | {"tasks": ["adding"], "permutations": 3})
    assert (done.status, done.message) == ("done", "11 fits stored or found")
    with store.connect(world_db, read_only=True) as db:
        table = store.fits(db)
        name = table[table["method"] == "csv"]["fit"].iloc[0]
        control = store.control(db, name)
    assert control is not None
    assert control.n_permutations == 3


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        ("fit", {"tasks": ["riding"]}, "there is no task 'riding'; stored: adding, reading"),
        ("fit", {"split": "sdies"}, "there is no split 'sdies'; stored: sides"),
        (
            "dance",
            {},
            "a job is a fit, compare, leave-out, collect, mixes, capabilities, examine or import, "
            "got 'dance'; another version queued it, so start it there, or stop the dashboard and "
            "delete the list of jobs",
        ),
    ],
)
def test_a_job_that_is_refused_carries_the_sentence_that_says_why(
    run: Callable[..., queue.Job],
    params: Callable[..., dict[str, Any]],
    world_db: Path,
    kind: str,
    change: dict[str, Any],
    sentence: str,
) -> None:
    before = contents(world_db)
    failed = run(kind, params() | change)
    assert (failed.status, failed.message) == ("failed", sentence)
    assert contents(world_db) == before


def test_a_job_removes_no_file_but_an_upload(
    run: Callable[..., queue.Job], world_db: Path, world_files: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.parquet"
    mine.write_bytes((world_files / PACK).read_bytes())
    failed = run("import", {"corpus": "words", "name": "mine.parquet", "file": str(mine)})
    assert failed.status == "failed"
    assert failed.message == (
        f"a job imports files of {world_db}.uploads alone, got {mine}; use `csvcore import losses`"
    )
    assert mine.exists()


@pytest.mark.parametrize("name", ["trust_remote_code", "ray", "shards", "engine"])
def test_a_job_runs_no_code_of_a_model_and_connects_to_no_cluster(
    run: Callable[..., queue.Job], tiny_lm: Path, name: str
) -> None:
    failed = run("collect", {"corpus": "words", "models": [str(tiny_lm)], "config": {name: 1}})
    assert (failed.status, failed.message) == (
        "failed", f"a job collects without {name}; use `csvcore collect` for it"
    )  # fmt: skip


def test_a_fault_in_the_program_fails_its_job_and_the_jobs_behind_it_still_run(
    world_db: Path,
    idle: list[list[str]],
    params: Callable[..., dict[str, Any]],
    work_off: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = queue.submit(world_db, "fit", params(colour="red"))  # no page sends such a setting
    second = queue.submit(world_db, "fit", params())
    work_off(world_db)
    failed, done = job(world_db, first), job(world_db, second)
    assert (failed.status, done.status) == ("failed", "done")
    assert failed.message.startswith("a fault in the program: TypeError(")
    assert "Traceback" in caplog.text
    assert "colour" in caplog.text


def test_a_running_job_that_is_cancelled_stores_nothing(
    run: Callable[..., queue.Job],
    params: Callable[..., dict[str, Any]],
    world_db: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue, "REPORT_SECONDS", 0.0)
    real = jobs.run_job

    def cancelled_on_the_way(
        database: Path, kind: str, content: dict[str, Any], report: queue.Reporter, *more: Any
    ) -> str:
        def watched(step: int, total: int, message: str = "") -> None:
            if message.startswith("optimising") and step == 2:
                queue.cancel(database, 1)
            report(step, total, message)

        return real(database, kind, content, watched, *more)

    monkeypatch.setattr(jobs, "run_job", cancelled_on_the_way)
    before = contents(world_db)
    found = run("fit", params("csv"))
    assert (found.status, found.message) == ("cancelled", "cancelled at step 2 of 3")
    assert contents(world_db) == before


# Workers as processes of their own


def test_a_second_worker_finds_the_lock_taken_and_leaves_the_queue_alone(
    database: Path, idle: list[list[str]]
) -> None:
    number = queue.submit(database, "fit", {})
    with FileLock(queue.worker_lock_path(database)):
        left = subprocess.run(idle[0], capture_output=True, timeout=DEADLINE)
    assert left.returncode == 0
    assert b"another worker is at it" in left.stderr
    assert job(database, number).status == "queued"


def test_a_worker_killed_within_a_fit_loses_that_job_and_the_next_one_runs_to_its_end(
    world_db: Path,
    params: Callable[..., dict[str, Any]],
    workers: list[subprocess.Popen[bytes]],
    work_off: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(world_db)
    endless = params("csv", steps=10**7)
    doomed = queue.submit(world_db, "fit", endless)
    running = wait_for(world_db, doomed, lambda found: found.step > 0 or not found.live)
    assert (running.status, running.pid) == ("running", workers[0].pid)
    assert running.message == "optimising 1 task"

    workers[0].kill()  # SIGKILL
    workers[0].wait(timeout=30)
    found = job(world_db, doomed)
    assert (found.status, found.live) == ("lost", False)
    assert contents(world_db) == before

    with monkeypatch.context() as patch:
        patch.setattr(queue, "ensure_worker", lambda _: None)
        again = queue.submit(world_db, "fit", params("csv"))
    work_off(world_db)  # the next worker, here
    done = job(world_db, again)
    assert (done.status, done.message) == ("done", "1 fits stored")
    assert len(contents(world_db)["fits"]) == 1
    assert job(world_db, doomed).status == "lost"


BUSY = """
import sys, time
from csvcore import worker
from csvcore.errors import Cancelled
from csvcore.pipeline import jobs

def work(database, kind, params, report, watch):
    time.sleep(0.5)  # reports that follow each other at once are left out
    report(1, 2, "at work")
    while True:
        try:
            time.sleep(600)
        except Cancelled:
            if sys.argv[2] == "heeds":
                raise

jobs.run_job = work
sys.exit(worker.main())
"""


@pytest.mark.parametrize(("heeds", "said"), [(True, "was ended"), (False, "process died")])
def test_sigterm_ends_a_worker_within_seconds_and_the_next_job_waits(
    database: Path, idle: list[list[str]], heeds: bool, said: str
) -> None:
    first, second = queue.submit(database, "fit", {}), queue.submit(database, "fit", {"a": 1})
    how = "heeds" if heeds else "deaf"
    process = subprocess.Popen([sys.executable, "-c", BUSY, str(database), how])
    wait_for(database, first, lambda found: found.step > 0)
    began = time.monotonic()
    process.terminate()
    try:
        assert process.wait(30) == (0 if heeds else 128 + signal.SIGTERM)
    finally:
        process.kill()
        process.wait(30)
    assert time.monotonic() - began < worker.END_SECONDS + 15  # of a busy machine
    assert (job(database, first).status, job(database, second).status) == ("lost", "queued")
    assert said in job(database, first).message


@pytest.mark.parametrize("moment", ["marking", "within a library"])
def test_a_job_is_never_failed_by_sigterm(
    database: Path, idle: list[list[str]], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    first = queue.submit(database, "fit", {})
    claimed = queue.claim(database)
    assert claimed is not None
    finish = queue.finish

    def terminated(*ended: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        finish(*ended)

    def work(*_: Any) -> str:
        if moment == "within a library":
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except Exception as error:
                raise ValueError("as libraries do") from error
        return "made"

    monkeypatch.setattr(jobs, "run_job", work)
    if moment == "marking":
        monkeypatch.setattr(queue, "finish", terminated)
    before = signal.signal(signal.SIGTERM, worker._stop)
    try:
        if moment == "marking":
            with pytest.raises(Cancelled):  # ends the worker, once the job is marked
                worker._run(database, claimed)
        else:
            assert not worker._run(database, claimed)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert job(database, first).status == {"marking": "done", "within a library": "lost"}[moment]


def test_sigterm_after_a_cancel_ends_the_job_alone(database: Path, idle: list[list[str]]) -> None:
    first, second = queue.submit(database, "fit", {}), queue.submit(database, "fit", {"a": 1})
    process = subprocess.Popen([sys.executable, "-c", BUSY, str(database), "heeds"])
    try:
        wait_for(database, first, lambda found: found.step > 0)
        queue.cancel(database, first)
        process.terminate()
        wait_for(database, second, lambda found: found.step > 0)
        assert job(database, first).status == "cancelled"
    finally:
        process.kill()
        process.wait(30)


def test_the_queue_lies_beside_its_database(tmp_path: Path) -> None:
    assert queue.queue_path(tmp_path / "a.duckdb") == tmp_path / "a.duckdb.jobs.sqlite"
    assert queue.recent(tmp_path / "a.duckdb") == []
