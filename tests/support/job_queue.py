"""Reads of a job queue, and changes to it from outside."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from csvcore.jobs import queue

DEADLINE = 240.0  # seconds; a machine that trains beside us takes a minute to load PyTorch


def job(database: Path, number: int) -> queue.Job:
    return next(found for found in queue.recent(database, 1000) if found.job == number)


def change(database: Path, statement: str, *values: object) -> None:
    """Change a stored job by SQL."""
    connection = sqlite3.connect(queue.queue_path(database))
    with connection:
        connection.execute(statement, values)
    connection.close()


def wait_for(database: Path, number: int, until: Callable[[queue.Job], bool]) -> queue.Job:
    """Return the job once the condition holds; fail at the deadline with the worker's log."""
    deadline = time.monotonic() + DEADLINE
    while not until(found := job(database, number)):
        log = database.with_name(f"{database.name}.worker.log")
        assert time.monotonic() < deadline, f"{found}\n{log.read_text()}"
        time.sleep(0.05)
    return found
