"""Job queue in SQLite beside the database, served by one worker process at a time.

Pages only insert and read rows. A job belongs to the process that claimed it, identified by id and
start time, so a killed worker is detected and never mistaken for a later process.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from csvcore.errors import Cancelled, reason
from csvcore.formats import rights
from csvcore.jobs import queue_file, specs
from csvcore.jobs.queue_file import transaction
from csvcore.jobs.specs import CompareJob, Spec
from csvcore.records import Glimpse, TraceStep

Status = Literal["queued", "running", "done", "failed", "cancelled", "lost"]
REPORT_SECONDS = 0.25
TERMINATE_SECONDS = 6.0
KILL_SECONDS = 12.0
ORPHAN_SECONDS = 30.0  # a job that waits this long while none runs has no worker
# Status and message of a job whose worker is gone, with and without a cancel before.
STOPPED = ("cancelled", "cancelled, the worker had to be ended; nothing stored was lost")
ENDED: tuple[Status, str] = (
    "lost", "the worker was ended; nothing stored was lost, start it again"
)  # fmt: skip
LOST = ("lost", "the worker process died; nothing stored was lost, start it again")

SHOWN_STEPS = 120  # of a trace, so that a glimpse stays small


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the queue; times in seconds since 1970, message: current step or final result."""

    job: int
    kind: str
    params: dict[str, Any]
    status: Status
    step: int
    total: int
    message: str
    created: float
    started: float | None
    ended: float | None
    cancel_asked: float | None
    pid: int | None
    pid_started: float | None
    who: str | None

    @property
    def spec(self) -> Spec:
        """Return the job as a record of its kind."""
        return specs.from_json(self.kind, self.params)

    @property
    def live(self) -> bool:
        """Return whether the job is queued or running."""
        return self.status in ("queued", "running")

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds left at the pace so far; None before the first step."""
        if self.started is None or self.step == 0 or self.status != "running":
            return None
        return (now - self.started) * (self.total - self.step) / self.step


def queue_path(database: Path) -> Path:
    """Return the path of a database's queue."""
    return database.with_name(f"{database.name}.jobs.sqlite")


def uploads_path(database: Path) -> Path:
    """Return the folder of the files that wait for the worker to import them; see `uploads`."""
    return database.with_name(f"{database.name}.uploads")


def worker_lock_path(database: Path) -> Path:
    """Return the path of the lock that a database's worker holds while it runs."""
    return database.with_name(f"{database.name}.worker.lock")


def _queue(database: Path) -> AbstractContextManager[sqlite3.Connection]:
    return queue_file.opened(queue_path(database))


def _job(row: sqlite3.Row, database: Path) -> Job:
    try:
        job = Job(**{**dict(row), "params": json.loads(row["params"])})
        if not isinstance(job.params, dict) or job.status not in get_args(Status):
            raise ValueError(f"job {job.job} is not written as jobs are")
    except (ValueError, TypeError, RecursionError) as error:
        raise queue_file.damaged(queue_path(database), reason(error)) from error
    return job


def submit(database: Path, kind: str, params: dict[str, Any], who: str | None = None) -> int:
    """Queue a job and start a worker if needed; return its id, or that of an equal live job.

    Args:
        database: the results database.
        kind: one of `specs.KINDS`.
        params: of the job, as `specs.to_json` gives them.
        who: the user who asks for it, where users log in.
    """
    text = json.dumps(params, sort_keys=True)
    with _queue(database) as queue:
        queue.execute(
            "INSERT OR IGNORE INTO jobs (kind, params, created, who) VALUES (?, ?, ?, ?)",
            [kind, text, time.time(), who],
        )
        row = queue.execute(
            "SELECT max(job) FROM jobs WHERE kind = ? AND params = ?", [kind, text]
        ).fetchone()
    ensure_worker(database)
    return int(row[0])


def submit_spec(database: Path, spec: Spec, who: str | None = None) -> int:
    """Queue the job of a spec, see `submit`."""
    return submit(database, spec.kind, specs.to_json(spec), who)


def submit_compares(
    database: Path, corpus: str, split: str, tasks: Sequence[str], who: str | None = None
) -> None:
    """Queue one job per task that fits every method, so that first results appear early."""
    for task in tasks:
        submit_spec(database, CompareJob(corpus, split, (task,)), who)


def ensure_worker(database: Path) -> None:
    """Start a worker if jobs wait, unless one that was started lives and will see them.

    Without this, pages that look for jobs while a worker starts slowly would start many more. Of
    two workers the second exits, since the lock is taken.
    """
    with _queue(database) as queue, transaction(queue):
        if queue.execute("SELECT 1 FROM jobs WHERE status = 'queued'").fetchone() is None:
            return
        for row in queue.execute("SELECT * FROM workers").fetchall():
            if _process(row["pid"], row["pid_started"]) is not None:
                return
        pid = _start_worker(database)
        queue.execute("DELETE FROM workers")
        queue.execute("INSERT INTO workers VALUES (?, ?)", [pid, _created(pid)])


def _start_worker(database: Path) -> int:
    log = database.with_name(f"{database.name}.worker.log")
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "csvcore.worker", str(database.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    return process.pid


def live(database: Path) -> list[Job]:
    """Return the jobs that wait or whose worker runs; nothing is marked, made or started."""
    if not queue_path(database).exists():
        return []
    with _queue(database) as queue:
        rows = queue.execute("SELECT * FROM jobs WHERE status IN ('queued', 'running')").fetchall()
    jobs = [_job(row, database) for row in rows]
    return [job for job in jobs if job.status == "queued" or _worker_of(job) is not None]


def _worker_of(job: Job) -> psutil.Process | None:
    return _process(job.pid or 0, job.pid_started or 0.0)


def recent(database: Path, limit: int = 20) -> list[Job]:
    """Mark dead workers' jobs lost, then return live jobs and the newest others, newest first.

    None where the folder is read-only: a queue there cannot be told from one left behind.
    """
    if not rights.may_write_beside(database):
        return []
    reap(database)
    with _queue(database) as queue:
        rows = queue.execute(
            "SELECT * FROM jobs WHERE status IN ('queued', 'running')"
            " OR job IN (SELECT job FROM jobs ORDER BY job DESC LIMIT ?) ORDER BY job DESC",
            [limit],
        ).fetchall()
    return [_job(row, database) for row in rows]


def glimpses(database: Path, job: int) -> list[Glimpse]:
    """Return the progress of a running fit's heads; empty before the first step and after it.

    Raises:
        StoreError: what is stored is no progress.
    """
    with _queue(database) as queue:
        row = queue.execute(
            "SELECT content FROM glimpses JOIN jobs USING (job)"
            " WHERE job = ? AND status = 'running'",
            [job],
        ).fetchone()
    try:
        return [] if row is None else [_glimpse(entry) for entry in json.loads(row["content"])]
    except (ValueError, KeyError, TypeError) as error:
        raise queue_file.damaged(queue_path(database), f"progress of job {job}") from error


def _glimpse(entry: dict[str, Any]) -> Glimpse:
    lists = {key: tuple(entry[key]) for key in ("score", "accuracy", "validates")}
    return Glimpse(**entry | lists | {"trace": tuple(TraceStep(*row) for row in entry["trace"])})


def cancel(database: Path, job: int) -> None:
    """Cancel a job: at once if it is queued, at its next step if it runs (see `reap`)."""
    now = time.time()
    with _queue(database) as queue:
        queue.execute(
            "UPDATE jobs SET status = 'cancelled', ended = ?, message = 'cancelled before it began'"
            " WHERE job = ? AND status = 'queued'",
            [now, job],
        )
        queue.execute(
            "UPDATE jobs SET cancel_asked = ?"
            " WHERE job = ? AND status = 'running' AND cancel_asked IS NULL",
            [now, job],
        )


def reap(database: Path) -> None:
    """Mark jobs of dead workers lost or cancelled; kill workers that ignore a cancel too long."""
    now = time.time()
    gone = False
    with _queue(database) as queue:
        for row in queue.execute("SELECT * FROM jobs WHERE status = 'running'").fetchall():
            worker = _process(row["pid"], row["pid_started"])
            if worker is None:
                gone = True
                queue.execute(
                    "UPDATE jobs SET status = ?, message = ?, ended = ?"
                    " WHERE job = ? AND status = 'running'",
                    [*(STOPPED if row["cancel_asked"] else LOST), now, row["job"]],
                )
            elif row["cancel_asked"] and now - row["cancel_asked"] > KILL_SECONDS:
                worker.kill()
            elif row["cancel_asked"] and now - row["cancel_asked"] > TERMINATE_SECONDS:
                worker.terminate()
        waits = queue.execute(
            "SELECT 1 FROM jobs WHERE status = 'queued' AND created < ?"
            " AND NOT EXISTS (SELECT 1 FROM jobs WHERE status = 'running')",
            [now - ORPHAN_SECONDS],
        ).fetchone()
    if gone or waits:
        ensure_worker(database)  # for jobs queued behind a dead worker, or never claimed


def _process(pid: int, started: float) -> psutil.Process | None:
    """Return the running process of this id and start time, or None."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started) > 1.0:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def _created(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0.0


# The worker's side -----------------------------------------------------------------------------


def claim(database: Path) -> Job | None:
    """Claim the oldest queued job for this process; None if no job is queued.

    With none this worker counts as gone, so that the next job gets one of its own.
    """
    process = psutil.Process(os.getpid())
    with _queue(database) as queue, transaction(queue):
        row = queue.execute(
            "UPDATE jobs SET status = 'running', started = ?, pid = ?, pid_started = ?,"
            " message = 'starting'"
            " WHERE job = (SELECT min(job) FROM jobs WHERE status = 'queued') RETURNING *",
            [time.time(), process.pid, process.create_time()],
        ).fetchone()
        if row is None:
            queue.execute("DELETE FROM workers WHERE pid = ?", [process.pid])
    return None if row is None else _job(row, database)


def is_cancelled(database: Path, job: int) -> bool:
    """Return whether somebody asked for a job to stop."""
    with _queue(database) as queue:
        row = queue.execute("SELECT cancel_asked FROM jobs WHERE job = ?", [job]).fetchone()
    return row is not None and row["cancel_asked"] is not None


def finish(database: Path, job: int, status: Status, message: str) -> None:
    """Store the final status and message of a job."""
    with _queue(database) as queue:
        queue.execute(
            "UPDATE jobs SET status = ?, message = ?, ended = ? WHERE job = ?",
            [status, message, time.time(), job],
        )
        queue.execute("DELETE FROM glimpses WHERE job = ?", [job])


class Reporter:
    """Progress callback of a job, which raises Cancelled once the job is cancelled."""

    def __init__(self, database: Path, job: int) -> None:
        """Report on a job that this process has claimed."""
        self._database, self._job, self._last = database, job, 0.0
        self._look: Callable[[], list[Glimpse]] | None = None

    def watch(self, look: Callable[[], list[Glimpse]]) -> None:
        """Store the glimpses returned by `look` with every stored step."""
        self._look = look

    def __call__(self, step: int, total: int, message: str = "") -> None:
        """Store step of total, at most once every REPORT_SECONDS.

        Raises:
            Cancelled: the job is to stop.
        """
        now = time.time()
        if now - self._last < REPORT_SECONDS and step < total:
            return
        self._last = now
        with _queue(self._database) as queue:
            row = queue.execute(
                "UPDATE jobs SET step = ?, total = ?, message = ? WHERE job = ?"
                " RETURNING cancel_asked",
                [step, total, message, self._job],
            ).fetchone()
            if self._look is not None:
                content = json.dumps([_small(glimpse) for glimpse in self._look()])
                queue.execute("REPLACE INTO glimpses VALUES (?, ?)", [self._job, content])
        if row["cancel_asked"] is not None:
            raise Cancelled(f"cancelled at step {step} of {total}")


def _small(glimpse: Glimpse) -> dict[str, Any]:
    """Return a glimpse as JSON, with its trace thinned and the last step kept."""
    stride = -(-len(glimpse.trace) // SHOWN_STEPS)
    kept = [*glimpse.trace[:-1:stride], glimpse.trace[-1]] if glimpse.trace else []
    rows = [(t.step, t.alpha, t.beta, t.train_mse, t.validation_mse) for t in kept]
    return asdict(glimpse) | {"trace": rows}
