"""Tables of numbers that may be larger than memory: above a size they are in a file."""

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_IN_MEMORY = 256 << 20  # bytes


def table(
    rows: Iterable[NDArray[np.floating]], shape: tuple[int, int], folder: Path
) -> NDArray[np.float32]:
    """Return rows as one table of a shape, in float32.

    A table above LARGEST_IN_MEMORY is a memory map of a file without a name in the folder, which
    goes with the table; see `release`.

    Raises:
        OSError: no space is left for the file.
    """
    if 4 * shape[0] * shape[1] <= LARGEST_IN_MEMORY:
        whole = np.empty(shape, dtype=np.float32)
        for place, row in enumerate(rows):
            whole[place] = row
        return whole
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        for row in rows:
            file.write(np.ascontiguousarray(row, dtype=np.float32).tobytes())
        file.flush()
        return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)


def release(*arrays: NDArray[Any]) -> None:
    """Let the system have back the memory of what was read of maps; it is read again on use.

    Other arrays have none, and a private map (numpy's mode "c") would forget its changes.
    """
    for array in arrays:
        own: Any = getattr(array, "_mmap", None) if getattr(array, "mode", "c") != "c" else None
        if own is not None and hasattr(mmap, "MADV_DONTNEED"):
            own.madvise(mmap.MADV_DONTNEED)
