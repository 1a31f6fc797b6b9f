"""A disk that is really full: a small tmpfs, mounted for the test."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from csvcore import store
from csvcore.errors import StoreError
from csvcore.jobs import queue
from csvcore.records import ModelCard

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of a disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def cards(part: int) -> list[ModelCard]:
    return [
        ModelCard(f"m{part}-{i}-{i * 7919 % 100_003}", f"f{i * 31_337}" * 5) for i in range(5000)
    ]


def test_a_full_disk_is_named_and_what_was_stored_is_whole(small_disk: Path) -> None:
    database = small_disk / "results.duckdb"
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


def test_a_full_disk_is_named_by_the_queue(small_disk: Path, idle: list[list[str]]) -> None:
    database = small_disk / "results.duckdb"
    queue.submit(database, "fit", {})
    with (
        (small_disk / "filler").open("wb", buffering=0) as filler,
        pytest.raises(OSError, match="No space"),
    ):
        while True:
            filler.write(bytes(4096))
    with pytest.raises(StoreError, match=r"no space is left to write .*\.jobs\.sqlite"):
        for i in range(100):
            queue.submit(database, "fit", {"task": "x" * 50_000, "seed": i})
