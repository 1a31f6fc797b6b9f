"""Laws of atomic writes: whole or not at all, and nothing else is touched."""

import os
from pathlib import Path

import pytest

from csvcore.errors import InputError
from csvcore.formats import atomic


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with pytest.raises(ZeroDivisionError), atomic.file(path) as building:
        building.write_text("half")
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []
    with atomic.file(path) as building:
        building.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_a_device_or_a_folder_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/null")):
        with pytest.raises(InputError, match="is no ordinary file"), atomic.file(path):
            pytest.fail("it would be replaced")
    assert pipe.is_fifo() and Path("/dev/null").is_char_device()


def test_a_failed_write_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("older")
    with pytest.raises(ZeroDivisionError), atomic.file(path):
        1 / 0  # noqa: B018
    assert path.read_text() == "older"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic.folder(tmp_path / "out") as building:
        (building / "half.csv").write_text("x")
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with atomic.folder(tmp_path / "out") as building:
        (building / "new.csv").write_text("x")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mine.txt", "new.csv"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
