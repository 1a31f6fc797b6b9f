"""Scoring that takes its time and leaves a trace, for tests that kill what scores.

Child processes and Ray workers import this module; the environment tells them what to do:
CSVCORE_TRACE is the file that learns who scores what, CSVCORE_PAUSE how many seconds a shard takes
and as many its way to the disk (or a file that says so), CSVCORE_DIE a model that ends every
process that takes it up.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRACE, PAUSE, DIE = "CSVCORE_TRACE", "CSVCORE_PAUSE", "CSVCORE_DIE"


def note(**entry: Any) -> None:
    """One line more in the trace, whole or not at all."""
    line = json.dumps(entry | {"pid": os.getpid(), "parent": os.getppid()}) + "\n"
    file = os.open(os.environ[TRACE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def trace(path: Path) -> list[dict[str, Any]]:
    """Return the notes taken so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def scored(path: Path) -> list[tuple[str, str]]:
    """Model and first document of every shard whose scoring was begun."""
    return [(line["model"], line["docs"][0]) for line in trace(path) if "docs" in line]


def pause() -> None:
    """Wait as long as the environment says by now."""
    said = os.environ[PAUSE]
    time.sleep(float(Path(said).read_text() if said.startswith("/") else said))


def hold_up() -> None:
    """From now on this process scores slowly, and notes what it is about to score."""
    from csvcore import lm

    real, real_fsync = lm.score, os.fsync
    if getattr(real, "slow", False):
        return

    def slow(model: Any, docs: Sequence[Any], *more: Any) -> Iterator[Any]:
        note(model=model.name, docs=[doc.doc_id for doc in docs])
        pause()
        yield from real(model, docs, *more)

    def slow_fsync(file: int) -> None:
        pause()
        real_fsync(file)

    slow.slow = True  # type: ignore[attr-defined]
    lm.score, os.fsync = slow, slow_fsync


def process(work: Any, news: Any) -> None:
    """In place of `local._process`, in the child."""
    import sys

    from csvcore.collection import local

    hold_up()
    note(stdin=sys.stdin.read(), model=work.model)  # would wait for ever if it were open
    local._process(work, news)


@dataclass(frozen=True)
class Load:
    """As much of a `LoadConfig` as engines look at."""

    device: str = ""


@dataclass(frozen=True)
class Errand:
    """As much of a `Work` as engines look at, in a module that a child has at once."""

    model: str
    load: Load = Load()


def errand(work: Errand, news: Any) -> None:
    """In place of `local._process`: does what the model's name says."""
    if work.model == "dies while it tells its news":
        os.write(news.fileno(), b"\0\0\1\0 the first bytes of a message")
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.5)
    note(model=work.model, device=work.load.device)
    if work.model.startswith("leaves with"):
        raise SystemExit(int(work.model.split()[-1]))
    if work.model.startswith("refuses"):
        news.send(f"{work.model} because")
        raise SystemExit(1)


def score(work: Any, shard: Any) -> Any:
    """In place of `ray_cluster._score`, in a Ray worker."""
    if work.model == os.environ.get(DIE):
        note(dies=work.model)
        os.kill(os.getpid(), signal.SIGKILL)
    from csvcore.collection import ray_cluster

    hold_up()
    return ray_cluster._score(work, shard)


def ready() -> int:
    """Have csvcore loaded in a Ray worker; tells whose child the worker is."""
    from csvcore.collection import ray_cluster

    assert ray_cluster
    return os.getppid()
