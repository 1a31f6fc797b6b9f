"""Functions for `csvcore.parallel.each` that a Ray worker imports."""

import os
import signal
from pathlib import Path

from csvcore.errors import FitError
from csvcore.parallel import Report


def scaled(factor: float, number: float, report: Report) -> float:
    """Tell two steps and return a product."""
    report(1, 2, f"{number:g}")
    report(2, 2, f"{number:g}")
    return factor * number


def worker(shared: object, number: int, report: Report) -> int:
    """Return the process that does the job."""
    return os.getpid()


def killed_once(folder: Path, number: int, report: Report) -> int:
    """Return the square of a number; the worker that is first at the third job is killed."""
    mark = folder / "killed"
    if number == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def killed_always(shared: object, number: int, report: Report) -> int:
    """End every worker that gets the second job."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuses(shared: object, number: int, report: Report) -> int:
    """Refuse the second job; the third is a fault of the program."""
    if number == 1:
        raise FitError("a curve needs models that differ")
    if number == 2:
        raise ZeroDivisionError("a fault")
    return number
