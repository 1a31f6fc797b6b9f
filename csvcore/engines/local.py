"""Collection on this machine: model after model here, or one process for each of several devices.

A model has a process of its own where there are several devices, so that one that dies takes no
other with it.
"""

import multiprocessing
import queue
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from typing import Any

from csvcore.engines.work import Outcome, Progress, Report, Work, work_off
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


def _side_by_side(
    works: Sequence[Work], places: Sequence[str], report: Report
) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")
    news: Any = context.Queue()
    waiting, free = list(works), list(places)
    running: dict[int, tuple[SpawnProcess, str, float]] = {}  # by place in works
    refused: dict[int, str] = {}
    try:
        while waiting or running:
            while waiting and free:
                number = len(works) - len(waiting)
                place = free.pop(0)
                process = context.Process(
                    target=_process, args=(number, _on(waiting.pop(0), place), news), daemon=True
                )
                process.start()
                running[number] = (process, place, time.perf_counter())
            over = [n for n, (process, _, _) in running.items() if not process.is_alive()]
            for number, message in _news(news, POLL_SECONDS):
                if isinstance(message, Progress):
                    report(message)
                else:
                    refused[number] = message
            for number in over:
                process, place, started = running.pop(number)
                free.append(place)
                error = refused.get(number)
                if error is None and process.exitcode != 0:
                    error = (
                        f"its process on {place} died (exit status {process.exitcode}); what it "
                        "wrote stays, start again to go on"
                    )
                yield Outcome(works[number], error, time.perf_counter() - started)
    finally:
        for process, _, _ in running.values():
            process.kill()
            process.join()


def _news(news: Any, seconds: float) -> Iterator[tuple[int, Progress | str]]:
    """What has come in, after waiting for the first at most so long."""
    try:
        yield news.get(timeout=seconds)
        while True:
            yield news.get_nowait()
    except queue.Empty:
        return


def _process(number: int, work: Work, news: Any) -> None:
    """A child: its standard input is closed, and it leaves when its parent is gone."""
    parent = multiprocessing.parent_process()

    def report(step: Progress) -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit(1)
        news.put((number, step))

    try:
        work_off(work, report)
    except CsvcoreError as error:
        news.put((number, str(error)))
        news.close()
        news.join_thread()
        raise SystemExit(1) from None
