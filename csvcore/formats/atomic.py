"""Atomic writes of files and folders."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from csvcore.errors import InputError


@contextmanager
def file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; the file moves to `path` when the block ends without an error.

    The file is flushed to disk before it moves, so `path` is complete even after a power failure.

    Raises:
        InputError: path is a folder, a device or a pipe, which a file would replace.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no ordinary file, and a file is written there; name another")
    building = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield building
        with building.open("rb+") as stream:
            os.fsync(stream.fileno())
        building.replace(path)
    finally:
        building.unlink(missing_ok=True)


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write into; its files move to `path` when the block ends without an error.

    Files of other names in `path` stay.

    Raises:
        InputError: path is a file.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; name a folder")
    building = path.with_name(f".{path.name}.part")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        yield building
        for written in [entry for entry in building.rglob("*") if entry.is_file()]:
            target = path / written.relative_to(building)
            target.parent.mkdir(parents=True, exist_ok=True)
            written.replace(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
