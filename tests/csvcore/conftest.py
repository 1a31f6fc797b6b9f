"""Fixtures of several test files of the library."""

import shutil
from pathlib import Path

import pytest

import csvcore
from csvcore.lab import Lab


@pytest.fixture(scope="module")
def lab(_world_made: Path, tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab on the made-up world, for tests that only add fits to it."""
    folder = tmp_path_factory.mktemp("lab") / "db"
    shutil.copytree(_world_made, folder)
    return csvcore.open(folder / "world.duckdb", scorer=str(tiny_lm))
