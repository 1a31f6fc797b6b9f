"""Random kill -9 over commands and the worker: a database is as before or as after."""

import hashlib
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.attacks.found import Bounds, Child, Found
from tests.support.world import PACK, contents

MOMENTS = {"fits": {"seconds", "created"}}
COMMANDS = (
    "import losses {files}/more.parquet",
    "import losses {files}/losses/zoo/all.parquet",
    "import corpus {files}/documents.jsonl --name again",
    "import split {files}/splits/sides.csv --name other",
    "replace accuracies {files}/other.csv --yes",
    "replace models {files}/models.csv --yes",
    "remove models ant --yes",
    "remove corpus words --yes",
    "split --name made --from by-size",
    "fit --corpus words --split sides --task reading --method all-token --scorer {files}/scorer",
    "export losses --corpus words --out {folder}/out.parquet",
    "export tables --out {folder}/tables",
    "backup {folder}/copy.duckdb",
    "doctor",
)
WORKER = "the worker"


def attack(world: Path, files: Path, scratch: Path, n: int, left: Bounds, seed: int) -> Found:
    """Kill commands and the worker at random moments.

    Args:
        world: a whole database.
        files: what its files are, with `more.parquet`, `other.csv` and `scorer`.
        scratch: an empty folder.
        n: kills.
        left: whether time is left.
        seed: of the moments.
    """
    from csvcore.pipeline import fit  # noqa: F401  # here, not after every fork

    found, rng = Found("kills"), random.Random(seed)
    before = state_of(world)
    after: dict[str, tuple[object, float]] = {}
    for number in range(n):
        if not left():
            break
        what = rng.choice([*COMMANDS, WORKER])
        if what not in after:
            after[what] = _undisturbed(what, world, files, scratch / "whole")
        _strike(found, what, world, files, scratch / str(number), (before, *after[what]), rng)
    return found


def _undisturbed(what: str, world: Path, files: Path, folder: Path) -> tuple[object, float]:
    """Return the database after a run to its end, and the seconds that it took."""
    database = _copy(world, folder)
    started = time.monotonic()
    try:
        Child.of(_call(what, database, files)).result()
    except RuntimeError as error:
        raise RuntimeError(f"{what} fails by itself: {error}") from error
    seconds = time.monotonic() - started
    return state_of(database), seconds


def _copy(world: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Path(shutil.copy(world, folder / "world.duckdb"))


def _strike(
    found: Found,
    what: str,
    world: Path,
    files: Path,
    folder: Path,
    known: tuple[object, object, float],
    rng: random.Random,
) -> None:
    before, after, seconds = known
    database = _copy(world, folder)
    child = Child.of(_call(what, database, files))
    child.ends(rng.uniform(0.0, seconds))
    child.kill()
    found.n += 1
    try:
        state = state_of(database)
    except RuntimeError as error:
        found.rows += 1
        found.note(f"{what}: afterwards the database says {error}")
        return
    if state not in (before, after):
        found.rows += 1
        found.note(f"{what}: afterwards the database is neither as before nor as after")
    try:  # a repetition does all of it
        Child.of(_call(what, database, files, again=True)).result()
        whole = state_of(database)
    except RuntimeError as error:
        found.tracebacks += 1
        found.note(f"{what}, repeated: {error}")
        return
    if whole != after:
        found.rows += 1
        found.note(f"{what}, repeated: the database is not as after one run")
    shutil.rmtree(folder)


def state_of(database: Path) -> object:
    """Return all stored rows, but moments; read in a process of its own, since this one forks."""

    def read() -> object:
        from csvcore import store

        with store.connect(database, read_only=True) as db:
            skipped = {
                table: {i for i, name in enumerate(store.table(db, table).column_names)
                        if name in MOMENTS.get(table, ())}
                for table in store.tables(db)
            }  # fmt: skip
        return {
            table: _digest(
                [cell for i, cell in enumerate(row) if i not in skipped.get(table, ())]
                for row in rows
            )
            for table, rows in contents(database).items()
        }

    return Child.of(read).result()


def _digest(rows: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(sorted(map(repr, rows))).encode()).hexdigest()


def _call(what: str, database: Path, files: Path, again: bool = False) -> Callable[[], None]:
    if what == WORKER:
        return lambda: _work(database, files)
    return lambda: _command(what, database, files, again)


def _command(what: str, database: Path, files: Path, again: bool) -> None:
    from csvcore.cli import main

    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        sys.stdout = sys.stderr = nowhere
        words = what.format(files=files, folder=database.parent).split()
        try:
            main(["--db", str(database), *words], standalone_mode=False)
        except SystemExit as done:
            if done.code not in (None, 0, 1) or (done.code == 1 and not again):
                raise


def _work(database: Path, files: Path) -> None:
    """Import a pack and fit, as jobs of the queue, in the worker."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  # until it exits
    from csvcore import worker
    from csvcore.jobs import queue, uploads
    from csvcore.jobs.specs import ExamineJob, FitJob

    queue.ensure_worker = lambda path: None
    queue.reap(database)
    stored = [job for job in queue.recent(database) if job.live]
    if not stored:
        file = uploads.keep_path(database, files / PACK)
        queue.submit_spec(database, ExamineJob("losses", "p.parquet", str(file), {}))
        config = {"scorer": str(files / "scorer")}
        queue.submit_spec(database, FitJob("words", "sides", ("reading",), ("all-token",), config))
    sys.argv = ["worker", str(database)]
    worker.main()
    failed = [job.message for job in queue.recent(database) if job.status == "failed"]
    if failed:
        raise RuntimeError(failed[0])
