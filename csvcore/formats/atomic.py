"""Folders written whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from csvcore.errors import InputError


@contextmanager
def folder(out: Path) -> Iterator[Path]:
    """A folder to write into; its files move to out when the block has ended without an error.

    Raises:
        InputError: out is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder")
    building = out.with_name(f".{out.name}.part")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        yield building
        for file in [path for path in building.rglob("*") if path.is_file()]:
            place = out / file.relative_to(building)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
    finally:
        shutil.rmtree(building, ignore_errors=True)
