import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from filelock import FileLock
from helpers import contents

from csvcore import jobs, pipeline, store, worker
from csvcore.errors import Cancelled

DEADLINE = 240.0  # seconds; a machine that trains beside us takes a minute to load PyTorch


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a database would be; the queue asks for no more."""
    return tmp_path / "results.duckdb"


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The workers that were started; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*args: Any, **more: Any) -> None:
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(*args, **more, env=env))

    monkeypatch.setattr(
        jobs, "subprocess", SimpleNamespace(Popen=start, DEVNULL=subprocess.DEVNULL)
    )
    yield started
    for process in started:
        process.kill()
        process.wait(timeout=30)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """No worker is started; the commands that would have been run."""
    commands: list[list[str]] = []
    monkeypatch.setattr(
        jobs,
        "subprocess",
        SimpleNamespace(
            Popen=lambda command, **_: commands.append(command), DEVNULL=subprocess.DEVNULL
        ),
    )
    return commands


@pytest.fixture
def work_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """A worker's whole life, in this process."""

    def work(database: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["worker", str(database)])
            patch.setattr(os, "nice", lambda _: 0)  # the tests stay as nice as they were
            patch.setattr(signal, "signal", lambda *_: None)
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


def job(database: Path, number: int) -> jobs.Job:
    return next(found for found in jobs.recent(database, 1000) if found.job == number)


def change(database: Path, statement: str, *values: object) -> None:
    """Make the queue say something else."""
    queue = sqlite3.connect(jobs.queue_path(database))
    with queue:
        queue.execute(statement, values)
    queue.close()


def wait_for(database: Path, number: int, until: Callable[[jobs.Job], bool]) -> jobs.Job:
    """The job as soon as it is so; fails at the deadline with what the worker had to say."""
    deadline = time.monotonic() + DEADLINE
    while not until(found := job(database, number)):
        log = database.with_name(f"{database.name}.worker.log")
        assert time.monotonic() < deadline, f"{found}\n{log.read_text()}"
        time.sleep(0.05)
    return found


# Waiting jobs


def test_the_same_work_submitted_twice_is_one_job(database: Path, idle: list[list[str]]) -> None:
    first = jobs.submit(database, "fit", {"task": "a", "seed": 1})
    assert jobs.submit(database, "fit", {"seed": 1, "task": "a"}) == first
    [found] = jobs.recent(database)
    assert (found.job, found.status, found.live) == (first, "queued", True)
    assert (found.kind, found.params) == ("fit", {"task": "a", "seed": 1})
    second = jobs.submit(database, "fit", {"task": "a", "seed": 2})
    third = jobs.submit(database, "compare", {"task": "a", "seed": 1})
    assert first < second < third
    assert [found.job for found in jobs.recent(database)] == [third, second, first]
    assert [found.job for found in jobs.recent(database, 2)] == [third, second, first]  # it lives
    jobs.finish(database, first, "done", "over")
    assert [found.job for found in jobs.recent(database, 2)] == [third, second]


@pytest.mark.parametrize("status", ["done", "failed", "cancelled", "lost"])
def test_work_that_ended_can_be_submitted_again(
    database: Path, idle: list[list[str]], status: jobs.Status
) -> None:
    first = jobs.submit(database, "fit", {})
    jobs.finish(database, first, status, "over")
    second = jobs.submit(database, "fit", {})
    assert second > first
    assert job(database, first).status == status
    assert not job(database, first).live
    assert job(database, second).live


def test_submitting_starts_a_worker_for_this_database(
    database: Path, idle: list[list[str]]
) -> None:
    jobs.submit(database, "fit", {})
    assert idle == [[sys.executable, "-m", "csvcore.worker", str(database.resolve())]]


def test_no_worker_is_started_where_nothing_waits(database: Path, idle: list[list[str]]) -> None:
    number = jobs.submit(database, "fit", {})
    jobs.cancel(database, number)
    idle.clear()
    jobs.ensure_worker(database)
    assert idle == []


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(
    database: Path, idle: list[list[str]]
) -> None:
    number = jobs.submit(database, "fit", {})
    jobs.cancel(database, number)
    found = job(database, number)
    assert (found.status, found.message) == ("cancelled", "cancelled before it began")
    assert found.ended is not None
    assert jobs.claim(database) is None


@pytest.mark.parametrize("status", ["done", "failed", "cancelled", "lost"])
def test_cancelling_what_has_ended_changes_nothing(
    database: Path, idle: list[list[str]], status: jobs.Status
) -> None:
    number = jobs.submit(database, "fit", {})
    jobs.finish(database, number, status, "over")
    before = job(database, number)
    jobs.cancel(database, number)
    assert job(database, number) == before


# The worker's side


def test_jobs_are_claimed_in_their_order_by_this_process(
    database: Path, idle: list[list[str]]
) -> None:
    numbers = [jobs.submit(database, "fit", {"seed": seed}) for seed in range(3)]
    claimed = [jobs.claim(database) for _ in range(4)]
    assert [found and found.job for found in claimed] == [*numbers, None]
    assert claimed[0] is not None
    assert (claimed[0].status, claimed[0].pid) == ("running", os.getpid())
    assert [found.status for found in jobs.recent(database)] == ["running"] * 3


def test_a_job_is_claimed_once_however_many_ask(database: Path, idle: list[list[str]]) -> None:
    numbers = [jobs.submit(database, "fit", {"seed": seed}) for seed in range(12)]
    claimed: list[int] = []

    def claim() -> None:
        while (found := jobs.claim(database)) is not None:
            claimed.append(found.job)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(claimed) == numbers


def test_progress_can_be_read_while_the_job_runs(database: Path, idle: list[list[str]]) -> None:
    number = jobs.submit(database, "fit", {})
    assert jobs.claim(database) is not None
    report = jobs.Reporter(database, number)
    report(10, 40, "optimising")
    found = job(database, number)
    assert (found.step, found.total, found.message) == (10, 40, "optimising")
    assert found.started is not None
    assert found.seconds_left(found.started + 5.0) == pytest.approx(15.0)
    report(11, 40, "too soon to be written")
    assert job(database, number).step == 10
    report(40, 40, "storing")  # the last one always is
    assert job(database, number).step == 40


def test_no_time_left_is_known_before_the_first_step(database: Path, idle: list[list[str]]) -> None:
    number = jobs.submit(database, "fit", {})
    assert job(database, number).seconds_left(time.time()) is None
    jobs.claim(database)
    assert job(database, number).seconds_left(time.time()) is None


def test_a_job_asked_to_stop_stops_at_its_next_report(
    database: Path, idle: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.0)
    number = jobs.submit(database, "fit", {})
    jobs.claim(database)
    report = jobs.Reporter(database, number)
    report(1, 10)
    jobs.cancel(database, number)
    assert job(database, number).status == "running"  # until it says so itself
    with pytest.raises(Cancelled, match="cancelled at step 2 of 10"):
        report(2, 10)


# Jobs of the dead


def a_dead_process() -> psutil.Process:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    found = psutil.Process(process.pid)
    found.create_time()
    process.wait(timeout=60)
    return found


def test_a_job_of_a_dead_process_is_lost_and_says_so(database: Path, idle: list[list[str]]) -> None:
    number = jobs.submit(database, "fit", {})
    jobs.claim(database)
    dead = a_dead_process()
    change(
        database,
        "UPDATE jobs SET pid = ?, pid_started = ?",
        dead.pid,
        dead.create_time(),
    )
    found = job(database, number)
    assert (found.status, found.live) == ("lost", False)
    assert found.message == "the worker process died; nothing stored was lost, start it again"
    assert found.ended is not None


def test_a_later_process_of_the_same_id_is_not_taken_for_the_worker(
    database: Path, idle: list[list[str]]
) -> None:
    number = jobs.submit(database, "fit", {})
    jobs.claim(database)
    assert job(database, number).status == "running"
    change(database, "UPDATE jobs SET pid_started = pid_started - 3600")
    assert job(database, number).status == "lost"


def test_a_worker_is_started_for_the_jobs_behind_a_lost_one(
    database: Path, idle: list[list[str]]
) -> None:
    jobs.submit(database, "fit", {"seed": 0})
    jobs.submit(database, "fit", {"seed": 1})
    jobs.claim(database)
    change(database, "UPDATE jobs SET pid_started = 0 WHERE status = 'running'")
    idle.clear()
    assert [found.status for found in jobs.recent(database)] == ["queued", "lost"]
    assert len(idle) == 1


@pytest.mark.parametrize(
    ("seconds", "ending"),
    [
        (jobs.TERMINATE_SECONDS - 3, None),
        (jobs.TERMINATE_SECONDS + 1, signal.SIGTERM),
        (jobs.KILL_SECONDS + 1, signal.SIGKILL),
    ],
)
def test_a_worker_deaf_to_a_cancel_is_ended_after_a_while(
    database: Path, idle: list[list[str]], seconds: float, ending: signal.Signals | None
) -> None:
    number = jobs.submit(database, "fit", {})
    jobs.claim(database)
    deaf = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        change(
            database,
            "UPDATE jobs SET pid = ?, pid_started = ?, cancel_asked = ?",
            deaf.pid,
            psutil.Process(deaf.pid).create_time(),
            time.time() - seconds,
        )
        assert job(database, number).status == "running"
        if ending is None:
            assert deaf.poll() is None
        else:
            assert deaf.wait(timeout=30) == -ending
            ended = job(database, number)
            assert ended.status == "cancelled"
            assert "the worker had to be ended" in ended.message
    finally:
        deaf.kill()
        deaf.wait(timeout=30)


# What a worker makes of a job, in this process


@pytest.fixture
def run(world_db: Path, idle: list[list[str]]) -> Callable[..., jobs.Job]:
    """Submit a job, claim it and work it off here."""

    def work(kind: str, content: dict[str, Any]) -> jobs.Job:
        number = jobs.submit(world_db, kind, content)
        claimed = jobs.claim(world_db)
        assert claimed is not None
        worker._run(world_db, claimed)
        return job(world_db, number)

    return work


def test_the_results_of_a_job_are_there_when_it_is_done(
    run: Callable[..., jobs.Job], params: Callable[..., dict[str, Any]], world_db: Path
) -> None:
    done = run("fit", params("csv"))
    assert (done.status, done.message) == ("done", "1 fits stored")
    assert done.step == done.total
    with store.connect(world_db, read_only=True) as db:
        [fit] = store.fits(db)["fit"]
        assert store.fit(db, fit).config["steps"] == 3


def test_a_compare_job_makes_every_fit(
    run: Callable[..., jobs.Job], params: Callable[..., dict[str, Any]], world_db: Path
) -> None:
    done = run("compare", params() | {"tasks": ["adding", "reading"]})
    assert (done.status, done.message) == ("done", "9 fits stored or found")
    assert len(contents(world_db)["fits"]) == 9


def test_a_compare_job_may_have_permutations(
    run: Callable[..., jobs.Job], params: Callable[..., dict[str, Any]], world_db: Path
) -> None:
    done = run("compare", params(steps=1) | {"tasks": ["adding"], "permutations": 3})
    assert (done.status, done.message) == ("done", "5 fits stored or found")
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
        ("dance", {}, "a job is a fit, a compare, a collect, mixes or an import, got 'dance'"),
    ],
)
def test_a_job_that_is_refused_carries_the_sentence_that_says_why(
    run: Callable[..., jobs.Job],
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


def test_a_fault_in_the_program_fails_its_job_and_the_jobs_behind_it_still_run(
    world_db: Path,
    idle: list[list[str]],
    params: Callable[..., dict[str, Any]],
    work_off: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = jobs.submit(world_db, "fit", params(colour="red"))  # no page sends such a setting
    second = jobs.submit(world_db, "fit", params())
    work_off(world_db)
    failed, done = job(world_db, first), job(world_db, second)
    assert (failed.status, done.status) == ("failed", "done")
    assert failed.message.startswith("a fault in the program: TypeError(")
    assert "Traceback" in caplog.text
    assert "colour" in caplog.text


def test_a_running_job_that_is_cancelled_stores_nothing(
    run: Callable[..., jobs.Job],
    params: Callable[..., dict[str, Any]],
    world_db: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "REPORT_SECONDS", 0.0)
    real = pipeline.run_job

    def cancelled_on_the_way(
        database: Path, kind: str, content: dict[str, Any], report: jobs.Reporter
    ) -> str:
        def watched(step: int, total: int, message: str = "") -> None:
            if message.startswith("optimising") and step == 2:
                jobs.cancel(database, 1)
            report(step, total, message)

        return real(database, kind, content, watched)

    monkeypatch.setattr(pipeline, "run_job", cancelled_on_the_way)
    before = contents(world_db)
    found = run("fit", params("csv"))
    assert (found.status, found.message) == ("cancelled", "cancelled at step 2 of 3")
    assert contents(world_db) == before


# Workers as processes of their own


def test_a_second_worker_finds_the_lock_taken_and_leaves_the_queue_alone(
    database: Path, idle: list[list[str]]
) -> None:
    number = jobs.submit(database, "fit", {})
    with FileLock(jobs.worker_lock_path(database)):
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
    doomed = jobs.submit(world_db, "fit", endless)
    running = wait_for(world_db, doomed, lambda found: found.step > 0 or not found.live)
    assert (running.status, running.pid) == ("running", workers[0].pid)
    assert running.message == "optimising 1 tasks"

    workers[0].kill()  # SIGKILL
    workers[0].wait(timeout=30)
    found = job(world_db, doomed)
    assert (found.status, found.live) == ("lost", False)
    assert contents(world_db) == before

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "ensure_worker", lambda _: None)
        again = jobs.submit(world_db, "fit", params("csv"))
    work_off(world_db)  # the next worker, here
    done = job(world_db, again)
    assert (done.status, done.message) == ("done", "1 fits stored")
    assert len(contents(world_db)["fits"]) == 1
    assert job(world_db, doomed).status == "lost"


def test_the_queue_lies_beside_its_database(tmp_path: Path) -> None:
    assert jobs.queue_path(tmp_path / "a.duckdb") == tmp_path / "a.duckdb.jobs.sqlite"
    assert jobs.recent(tmp_path / "a.duckdb") == []
