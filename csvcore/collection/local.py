"""Collection on this machine: models in turn in this process, or in parallel on several devices.

With several devices each model runs in a separate process, so that a crash affects one model.
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
    """Return the devices to use: all GPUs for auto and cuda, else the comma-separated names."""
    if wanted in ("auto", "cuda"):
        import torch

        n_gpus = torch.cuda.device_count()
        return [f"cuda:{i}" for i in range(n_gpus)] if n_gpus > 1 else [wanted]
    return [device.strip() for device in wanted.split(",")]


def run(works: Sequence[Work], device: str, report: Report) -> Iterator[Outcome]:
    """Score all models; yield the outcome of each when it ends, failures included.

    Args:
        works: the models.
        device: see `devices`.
        report: called at every step; may raise to stop everything.
    """
    device_names = devices(device)
    if len(device_names) == 1:
        yield from _here(works, device_names[0], report)
    else:
        yield from _side_by_side(works, device_names, report)


def _on(work: Work, device: str) -> Work:
    return replace(work, load=replace(work.load, device=device))


def _here(works: Sequence[Work], device: str, report: Report) -> Iterator[Outcome]:
    for work in works:
        started = time.perf_counter()
        error: CsvcoreError | None = None
        try:
            work_off(_on(work, device), report)
        except Cancelled:
            raise
        except CsvcoreError as refused:
            error = refused
        yield Outcome(work, error, time.perf_counter() - started)


@dataclass(slots=True)
class _Child:
    """A process that scores one model, with the pipe of its progress messages.

    Each has a separate pipe: a killed process would leave a shared queue locked.
    """

    number: int
    device: str
    process: SpawnProcess
    news: Connection
    started: float
    refused: CsvcoreError | None = None

    def read(self, report: Report) -> bool:
        """Forward the messages received; return False once the child has closed its end."""
        while True:
            try:
                if not self.news.poll():
                    return True
                message = self.news.recv()
            except (EOFError, OSError):  # OSError within a message
                return False
            if isinstance(message, Progress):
                report(message)
            else:
                self.refused = message

    def outcome(self, work: Work) -> Outcome:
        """Wait for the process and return its outcome."""
        self.process.join()
        error = self.refused
        if error is None and self.process.exitcode != 0:
            error = CsvcoreError(
                f"its process on {self.device} died (exit status "
                f"{self.process.exitcode}); what it wrote stays, start again to go on"
            )
        return Outcome(work, error, time.perf_counter() - self.started)


def _side_by_side(
    works: Sequence[Work], device_names: Sequence[str], report: Report
) -> Iterator[Outcome]:
    waiting, free = list(enumerate(works)), list(device_names)
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
                    free.append(child.device)
                    yield child.outcome(works[child.number])
    finally:
        for child in running:
            child.process.kill()
            child.process.join()


def _start(number: int, work: Work, device: str) -> _Child:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_process, args=(work, theirs), daemon=True)
    with _interrupts_left_to_us():
        process.start()
    theirs.close()  # so that we see the end when the child closes its own
    return _Child(number, device, process, ours, time.perf_counter())


@contextmanager
def _interrupts_left_to_us() -> Iterator[None]:
    """Make processes started in the block ignore Ctrl-C, which the terminal sends to all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _process(work: Work, news: Connection) -> None:
    """Score a model in a child process; exit at the next step if the parent is gone."""
    parent = multiprocessing.parent_process()

    def report(step: Progress) -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit(1)
        news.send(step)

    try:
        work_off(work, report)
    except CsvcoreError as error:
        news.send(error)
        raise SystemExit(1) from None
