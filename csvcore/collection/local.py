"""Collection on this machine: model after model here, or one process for each of several devices.

A model has a process of its own where there are several devices, so that one that dies takes no
other with it.
"""

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from csvcore.collection.work import Outcome, Progress, Report, Work, work_off
from csvcore.errors import Cancelled, CsvcoreError

POLL_SECONDS = 0.2


def devices(wanted: str) -> list[str]:
    """The devices to use: every GPU for auto and cuda, else those named, separated by commas."""
    if wanted in ("auto", "cuda"):
        import torch

        n_gpus = torch.cuda.device_count()
        return [f"cuda:{i}" for i in range(n_gpus)] if n_gpus > 1 else [wanted]
    return [device.strip() for device in wanted.split(",")]


def run(works: Sequence[Work], device: str, report: Report) -> Iterator[Outcome]:
    """Work off all models; yields each when it is over, failed ones too.

    Args:
        works: the models.
        device: see `devices`.
        report: told of every step; may raise to stop everything.
    """
    places = devices(device)
    if len(places) == 1:
        yield from _here(works, places[0], report)
    else:
        yield from _side_by_side(works, places, report)


def _on(work: Work, device: str) -> Work:
    return replace(work, load=replace(work.load, device=device))


def _here(works: Sequence[Work], device: str, report: Report) -> Iterator[Outcome]:
    for work in works:
        started = time.perf_counter()
        error = None
        try:
            work_off(_on(work, device), report)
        except Cancelled:
            raise
        except CsvcoreError as refused:
            error = str(refused)
        yield Outcome(work, error, time.perf_counter() - started)


@dataclass(slots=True)
class _Child:
    """A process that works off one model, and the pipe on which it tells how it goes.

    Each has a pipe of its own: a queue for all would stay locked by one that is killed.
    """

    number: int
    place: str
    process: SpawnProcess
    news: Connection
    started: float
    refused: str | None = None

    def read(self, report: Report) -> bool:
        """Pass on what has come in; False when the child has closed its end."""
        try:
            while self.news.poll():
                message = self.news.recv()
                if isinstance(message, Progress):
                    report(message)
                else:
                    self.refused = message
        except (EOFError, OSError):  # OSError within a message
            return False
        return True

    def outcome(self, work: Work) -> Outcome:
        """How it ended."""
        self.process.join()
        error = self.refused
        if error is None and self.process.exitcode != 0:
            error = (
                f"its process on {self.place} died (exit status "
                f"{self.process.exitcode}); what it wrote stays, start again to go on"
            )
        return Outcome(work, error, time.perf_counter() - self.started)


def _side_by_side(
    works: Sequence[Work], places: Sequence[str], report: Report
) -> Iterator[Outcome]:
    waiting, free = list(enumerate(works)), list(places)
    running: list[_Child] = []
    try:
        while waiting or running:
            while waiting and free:
                number, work = waiting.pop(0)
                running.append(_start(number, _on(work, free[0]), free.pop(0)))
            wait([child.news for child in running], POLL_SECONDS)
            for child in list(running):
                if not child.read(report):
                    running.remove(child)
                    free.append(child.place)
                    yield child.outcome(works[child.number])
    finally:
        for child in running:
            child.process.kill()
            child.process.join()


def _start(number: int, work: Work, place: str) -> _Child:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_process, args=(work, theirs), daemon=True)
    with _interrupts_left_to_us():
        process.start()
    theirs.close()  # so that we see the end when the child closes its own
    return _Child(number, place, process, ours, time.perf_counter())


@contextmanager
def _interrupts_left_to_us() -> Iterator[None]:
    """Children started meanwhile ignore Ctrl-C, which the terminal sends to them too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _process(work: Work, news: Connection) -> None:
    """A child: its standard input is closed, and it leaves when its parent is gone."""
    parent = multiprocessing.parent_process()

    def report(step: Progress) -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit(1)
        news.send(step)

    try:
        work_off(work, report)
    except CsvcoreError as error:
        news.send(str(error))
        raise SystemExit(1) from None
