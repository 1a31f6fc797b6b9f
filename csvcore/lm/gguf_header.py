"""The header of a GGUF file: names and shapes of its tensors, read without its weights.

The format is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO

from csvcore.errors import ModelError

VERSIONS = (2, 3)
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes, by type
STRING, ARRAY = 8, 9
MOST_DIMENSIONS = 8


def n_params(file: Path) -> int:
    """Return the number of parameters of a GGUF file: the sizes of all its tensors.

    Raises:
        ModelError: the file is cut off, damaged or of another version.
    """
    with file.open("rb") as stream:
        try:
            return _n_params(stream)
        except (struct.error, ValueError, OverflowError) as error:
            raise ModelError(f"{file.name} is damaged: {error}; download it again") from error


def _n_params(stream: BinaryIO) -> int:
    if stream.read(4) != b"GGUF":
        raise ValueError("it does not begin as a GGUF file")
    version = _number(stream, "I")
    if version not in VERSIONS:
        raise ValueError(f"version {version} of the format is not known")
    n_tensors, n_entries = _number(stream, "Q"), _number(stream, "Q")
    for _ in range(n_entries):
        _skip(stream, _number(stream, "Q"))  # its key
        _skip_value(stream, _number(stream, "I"))
    total = 0
    for _ in range(n_tensors):
        _skip(stream, _number(stream, "Q"))  # its name
        n_dimensions = _number(stream, "I")
        if n_dimensions > MOST_DIMENSIONS:
            raise ValueError(f"a tensor with {n_dimensions} dimensions")
        total += math.prod(_number(stream, "Q") for _ in range(n_dimensions))
        _skip(stream, 12)  # its type and place
    return total


def _number(stream: BinaryIO, kind: str) -> int:
    (value,) = struct.unpack(f"<{kind}", stream.read(struct.calcsize(kind)))
    return int(value)


def _skip(stream: BinaryIO, size: int) -> None:
    stream.seek(size, 1)


def _skip_value(stream: BinaryIO, kind: int) -> None:
    if kind == STRING:
        _skip(stream, _number(stream, "Q"))
    elif kind == ARRAY:
        inner, n = _number(stream, "I"), _number(stream, "Q")
        if inner in SIZES:
            _skip(stream, n * SIZES[inner])
        else:
            for _ in range(n):
                _skip_value(stream, inner)
    elif kind in SIZES:
        _skip(stream, SIZES[kind])
    else:
        raise ValueError(f"a value of the unknown type {kind}")
