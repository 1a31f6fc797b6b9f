"""Reads of a job queue, and changes to it from outside."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from csvcore.jobs import queue as jobs

DEADLINE = 240.0  # seconds; a machine that trains beside us takes a minute to load PyTorch


def job(database: Path, number: int) -> jobs.Job:
    return next(found for found in jobs.recent(database, 1000) if found.job == number)


def change(database: Path, statement: str, *values: object) -> None:
    """Change a stored job by SQL."""
    queue = sqlite3.connect(jobs.queue_path(database))
    with queue:
        queue.execute(statement, values)
    queue.close()


def wait_for(database: Path, number: int, until: Callable[[jobs.Job], bool]) -> jobs.Job:
    """Return the job once the condition holds; fail at the deadline with the worker's log."""
    deadline = time.monotonic() + DEADLINE
    while not until(found := job(database, number)):
        log = database.with_name(f"{database.name}.worker.log")
        assert time.monotonic() < deadline, f"{found}\n{log.read_text()}"
        time.sleep(0.05)
    return found
