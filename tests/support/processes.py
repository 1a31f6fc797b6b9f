"""Other processes that a test starts and waits for: fresh ones, since a fork keeps locks held."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from csvcore import lm, store
from csvcore.formats import csv_tables
from csvcore.pipeline.units import scoring_units
from tests.support.rows import FIT
from tests.support.world import DOCS

CONTEXT = multiprocessing.get_context("spawn")


def started(work: Callable[..., object], *arguments: object) -> Any:
    """Run a function of a module in a process of its own; return the process."""
    process = CONTEXT.Process(target=work, args=arguments)
    process.start()
    return process


def exit_codes(*processes: Any) -> list[int]:
    """Wait for processes; return the exit code of each, minus the signal for a killed one."""
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def ask_for_units(database: Path, scorer: Path) -> None:
    """Compute or read the units of the world's documents."""
    scoring_units(database, csv_tables.corpus_sha256(DOCS), list(DOCS), str(scorer)).states()


def die_in_the_middle(database: Path, scorer: Path, n_docs: int) -> None:
    """Be killed after the states of some documents, or if they are all, while edges are stored."""
    real = lm.hidden_states

    def some(model: Any, texts: Any) -> Any:
        yield from islice(real(model, texts), n_docs)
        if n_docs < len(DOCS):
            _die()

    lm.hidden_states = some
    if n_docs == len(DOCS):
        np.savez = _die
    ask_for_units(database, scorer)


def read_fit(database: Path, read_only: bool, start: Any) -> None:
    """Wait for the start, then read the fit of `rows.FIT` back as it was stored."""
    start.wait(60)
    with store.connect(database, read_only=read_only) as db:
        if store.fit(db, FIT.fit) != FIT:
            raise SystemExit(1)


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
