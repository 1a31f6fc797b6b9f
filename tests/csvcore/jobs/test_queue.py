import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from csvcore.errors import Cancelled, StoreError
from csvcore.jobs import queue
from tests.support.job_queue import change, job


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a database would be; the queue asks for no more."""
    return tmp_path / "results.duckdb"


# Waiting jobs


def test_the_same_work_submitted_twice_is_one_job(database: Path, idle: list[list[str]]) -> None:
    first = queue.submit(database, "fit", {"task": "a", "seed": 1})
    assert queue.submit(database, "fit", {"seed": 1, "task": "a"}) == first
    [found] = queue.recent(database)
    assert (found.job, found.status, found.live) == (first, "queued", True)
    assert (found.kind, found.params) == ("fit", {"task": "a", "seed": 1})
    second = queue.submit(database, "fit", {"task": "a", "seed": 2})
    third = queue.submit(database, "compare", {"task": "a", "seed": 1})
    assert first < second < third
    assert [found.job for found in queue.recent(database)] == [third, second, first]
    assert [found.job for found in queue.recent(database, 2)] == [third, second, first]  # it lives
    queue.finish(database, first, "done", "over")
    assert [found.job for found in queue.recent(database, 2)] == [third, second]


@pytest.mark.parametrize("status", ["done", "failed", "cancelled", "lost"])
def test_work_that_ended_can_be_submitted_again(
    database: Path, idle: list[list[str]], status: queue.Status
) -> None:
    first = queue.submit(database, "fit", {})
    queue.finish(database, first, status, "over")
    second = queue.submit(database, "fit", {})
    assert second > first
    assert job(database, first).status == status
    assert not job(database, first).live
    assert job(database, second).live


def test_submitting_starts_a_worker_for_this_database(
    database: Path, idle: list[list[str]]
) -> None:
    queue.submit(database, "fit", {})
    assert idle == [[sys.executable, "-m", "csvcore.worker", str(database.resolve())]]


def test_no_worker_is_started_where_nothing_waits(database: Path, idle: list[list[str]]) -> None:
    number = queue.submit(database, "fit", {})
    queue.cancel(database, number)
    idle.clear()
    queue.ensure_worker(database)
    assert idle == []


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(
    database: Path, idle: list[list[str]]
) -> None:
    number = queue.submit(database, "fit", {})
    queue.cancel(database, number)
    found = job(database, number)
    assert (found.status, found.message) == ("cancelled", "cancelled before it began")
    assert found.ended is not None
    assert queue.claim(database) is None


@pytest.mark.parametrize("status", ["done", "failed", "cancelled", "lost"])
def test_cancelling_what_has_ended_changes_nothing(
    database: Path, idle: list[list[str]], status: queue.Status
) -> None:
    number = queue.submit(database, "fit", {})
    queue.finish(database, number, status, "over")
    before = job(database, number)
    queue.cancel(database, number)
    assert job(database, number) == before


# The worker's side


def test_jobs_are_claimed_in_their_order_by_this_process(
    database: Path, idle: list[list[str]]
) -> None:
    numbers = [queue.submit(database, "fit", {"seed": seed}) for seed in range(3)]
    claimed = [queue.claim(database) for _ in range(4)]
    assert [found and found.job for found in claimed] == [*numbers, None]
    assert claimed[0] is not None
    assert (claimed[0].status, claimed[0].pid) == ("running", os.getpid())
    assert [found.status for found in queue.recent(database)] == ["running"] * 3


def test_a_job_is_claimed_once_however_many_ask(database: Path, idle: list[list[str]]) -> None:
    numbers = [queue.submit(database, "fit", {"seed": seed}) for seed in range(12)]
    claimed: list[int] = []

    def claim() -> None:
        while (found := queue.claim(database)) is not None:
            claimed.append(found.job)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(claimed) == numbers


def test_progress_can_be_read_while_the_job_runs(database: Path, idle: list[list[str]]) -> None:
    number = queue.submit(database, "fit", {})
    assert queue.claim(database) is not None
    report = queue.Reporter(database, number)
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
    number = queue.submit(database, "fit", {})
    assert job(database, number).seconds_left(time.time()) is None
    queue.claim(database)
    assert job(database, number).seconds_left(time.time()) is None


def test_a_job_asked_to_stop_stops_at_its_next_report(
    database: Path, idle: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "REPORT_SECONDS", 0.0)
    number = queue.submit(database, "fit", {})
    queue.claim(database)
    report = queue.Reporter(database, number)
    report(1, 10)
    queue.cancel(database, number)
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
    number = queue.submit(database, "fit", {})
    queue.claim(database)
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
    number = queue.submit(database, "fit", {})
    queue.claim(database)
    assert job(database, number).status == "running"
    change(database, "UPDATE jobs SET pid_started = pid_started - 3600")
    assert job(database, number).status == "lost"


def test_a_worker_is_started_for_the_jobs_behind_a_lost_one(
    database: Path, idle: list[list[str]]
) -> None:
    queue.submit(database, "fit", {"seed": 0})
    queue.submit(database, "fit", {"seed": 1})
    queue.claim(database)
    change(database, "UPDATE jobs SET pid_started = 0 WHERE status = 'running'")
    idle.clear()
    assert [found.status for found in queue.recent(database)] == ["queued", "lost"]
    assert len(idle) == 1


@pytest.mark.parametrize(
    ("seconds", "ending"),
    [
        (queue.TERMINATE_SECONDS - 3, None),
        (queue.TERMINATE_SECONDS + 1, signal.SIGTERM),
        (queue.KILL_SECONDS + 1, signal.SIGKILL),
    ],
)
def test_a_worker_deaf_to_a_cancel_is_ended_after_a_while(
    database: Path, idle: list[list[str]], seconds: float, ending: signal.Signals | None
) -> None:
    number = queue.submit(database, "fit", {})
    queue.claim(database)
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


# Damage


def test_a_queue_that_is_no_database_says_what_to_do(database: Path) -> None:
    queue.queue_path(database).write_bytes(b"these are my notes\n" * 500)
    for use in (queue.recent, queue.claim, queue.ensure_worker):
        with pytest.raises(StoreError, match=r"jobs\.sqlite, the list of jobs, is damaged.*delete"):
            use(database)


@pytest.mark.parametrize("params", ["{", "[" * 100_000, "7", "9" * 5000])
def test_a_job_that_is_not_written_as_one_is_refused(
    database: Path, idle: list[list[str]], params: str
) -> None:
    queue.submit(database, "fit", {})
    change(database, "UPDATE jobs SET params = ?", params)
    with pytest.raises(StoreError, match="is damaged"):
        queue.recent(database)


# One worker at a time


def test_a_worker_that_starts_slowly_is_not_started_again(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def slow(*_: object, **__: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return started[-1]

    monkeypatch.setattr(queue, "subprocess", SimpleNamespace(Popen=slow, DEVNULL=None))
    try:
        number = queue.submit(database, "fit", {})
        queue.submit(database, "fit", {"a": 1})
        change(database, "UPDATE jobs SET created = created - 100")  # as old as of no worker
        for _ in range(5):
            queue.recent(database)
        assert len(started) == 1
        started[0].kill()
        started[0].wait(30)
        queue.recent(database)
        assert len(started) == 2
        assert job(database, number).status == "queued"
    finally:
        for process in started:
            process.kill()
            process.wait(30)


def test_after_a_worker_found_no_job_the_next_job_starts_another(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def here(*_: object, **__: object) -> SimpleNamespace:
        started.append(os.getpid())  # this process plays the worker
        return SimpleNamespace(pid=os.getpid())

    monkeypatch.setattr(queue, "subprocess", SimpleNamespace(Popen=here, DEVNULL=None))
    queue.submit(database, "fit", {})
    assert queue.claim(database) is not None
    queue.submit(database, "fit", {"a": 1})
    assert len(started) == 1  # it sees the second job, too
    assert queue.claim(database) is not None
    assert queue.claim(database) is None
    queue.submit(database, "fit", {"a": 2})
    assert len(started) == 2


def test_a_queue_of_an_earlier_version_gets_its_users(
    database: Path, idle: list[list[str]]
) -> None:
    queue.submit(database, "fit", {})
    change(database, "ALTER TABLE jobs DROP COLUMN who")
    queue.submit(database, "fit", {"a": 1}, "ada@example.org")
    assert [found.who for found in queue.recent(database)] == ["ada@example.org", None]
