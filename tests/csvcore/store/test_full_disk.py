"""What is said of a disk that is really full."""

from collections.abc import Callable
from pathlib import Path

import pytest

from csvcore import store
from csvcore.errors import StoreError
from csvcore.jobs import queue
from csvcore.records import ModelCard
from tests.support.disk import fill_up

pytestmark = pytest.mark.slow


def cards(part: int) -> list[ModelCard]:
    return [
        ModelCard(f"m{part}-{i}-{i * 7919 % 100_003}", f"f{i * 31_337}" * 5) for i in range(5000)
    ]


def test_a_full_disk_is_named_and_what_was_stored_is_whole(
    small_disk: Callable[[int], Path],
) -> None:
    database = small_disk(3) / "results.duckdb"
    store.create(database)
    n_stored = 0

    def fill() -> None:
        nonlocal n_stored
        for part in range(100):
            with store.connect(database) as db:
                store.add_models(db, cards(part))
            n_stored += 5000

    with pytest.raises(StoreError, match=r"no space is left.* MB free; .*is whole.* repeat"):
        fill()
    assert n_stored
    with store.connect(database, read_only=True) as db:
        assert len(store.models(db)) == n_stored


def test_a_database_that_a_full_disk_has_no_room_for_is_not_made(
    small_disk: Callable[[int], Path],
) -> None:
    folder = small_disk(1)
    filler = fill_up(folder)
    with filler.open("rb+") as file:
        file.truncate(filler.stat().st_size - 100_000)  # a new database takes 270 kB
    with pytest.raises(StoreError, match=r"no space is left to write .*results\.duckdb"):
        store.create(folder / "results.duckdb")
    assert {path.name for path in folder.iterdir()} == {"filler", "results.duckdb.lock"}


def test_a_backup_that_a_full_disk_has_no_room_for_is_not_made(
    small_disk: Callable[[int], Path], world_db: Path
) -> None:
    folder = small_disk(1)
    fill_up(folder)
    with pytest.raises((StoreError, OSError), match=r"[Nn]o space"):
        store.backup(world_db, folder / "copy.duckdb")
    assert [path.name for path in folder.iterdir()] == ["filler"]


def test_a_full_disk_is_named_by_the_queue(
    small_disk: Callable[[int], Path], idle: list[list[str]]
) -> None:
    database = small_disk(3) / "results.duckdb"
    queue.submit(database, "fit", {})
    fill_up(database.parent)
    with pytest.raises(StoreError, match=r"no space is left to write .*\.jobs\.sqlite"):
        for i in range(100):
            queue.submit(database, "fit", {"task": "x" * 50_000, "seed": i})
