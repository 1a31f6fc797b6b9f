"""Replays of optimisations: one small file per fit beside the database."""

import hashlib
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from csvcore.formats import atomic
from csvcore.records import Replay

# What numpy and zipfile raise on a damaged file; a RuntimeError is one that claims to be encrypted.
DAMAGED = (
    *(ValueError, TypeError, LookupError, EOFError, OSError, OverflowError, MemoryError),
    *(RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error, struct.error),
)


def replay_path(database: Path, fit: str) -> Path:
    """Return the path of a fit's replay, named by a hash since ids are not valid file names."""
    name = hashlib.sha256(fit.encode()).hexdigest()[:32]
    return database.with_name(f"{database.name}.cache") / f"{name}.replay.npz"


def write(database: Path, fit: str, replay: Replay) -> None:
    """Store the replay of a fit atomically, replacing an earlier one."""
    path = replay_path(database, fit)
    path.parent.mkdir(exist_ok=True)
    with atomic.file(path) as building, building.open("wb") as stream:
        np.savez_compressed(
            stream,
            at=replay.at,
            kept=replay.kept,
            alpha=replay.alpha,
            beta=replay.beta,
            models=np.array(replay.models),
            score=replay.score,
        )


def read(database: Path, fit: str) -> Replay | None:
    """Read the replay of a fit; None if there is none or its file is damaged."""
    try:
        with (
            replay_path(database, fit).open("rb") as stream,
            np.load(stream, allow_pickle=False) as parts,
        ):
            return Replay(
                at=parts["at"],
                kept=int(parts["kept"]),
                alpha=parts["alpha"],
                beta=parts["beta"],
                models=tuple(parts["models"].tolist()),
                score=parts["score"],
            )
    except DAMAGED:
        return None
