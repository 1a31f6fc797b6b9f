"""The header of a GGUF file, checked within the bounds of the file.

The package gguf follows any count that a header claims, without an end where the file has ended.
The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO

MAGIC = b"GGUF"
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes by type
STRING, ARRAY = 8, 9  # types of a value
LEAST = {STRING: 8, ARRAY: 12}  # bytes of a value
LEAST_PAIR, LEAST_TENSOR = 13, 24  # bytes of a key with its value, and of a tensor's description
DEEPEST = 4  # arrays within arrays
MOST_DIMENSIONS = 8  # the format has 4
MOST_BY_BYTE = 8  # numbers of a tensor in a byte of the file


def check(file: Path) -> None:
    """Raise ValueError for a header that claims more than the file can hold."""
    with file.open("rb") as stream:
        _Header(stream, file.stat().st_size).check()


class _Header:
    """A header that is read once, from its start to its end."""

    def __init__(self, stream: BinaryIO, n_bytes: int) -> None:
        self._stream, self._n_bytes, self._left, self._order = stream, n_bytes, n_bytes, "<"

    def check(self) -> None:
        """Read all keys with their values, and all descriptions of tensors."""
        if self._bytes(4) != MAGIC:
            raise ValueError("it does not begin as a GGUF file does")
        if not self._number("I") & 0xFFFF:
            self._order = ">"  # a version below 65,536 with its bytes the other way round
        n_tensors, n_pairs = self._number("Q"), self._number("Q")
        self._claim(n_pairs, LEAST_PAIR)
        for _ in range(n_pairs):
            self._text()
            self._value(self._number("I"), 0)
        self._claim(n_tensors, LEAST_TENSOR)
        for _ in range(n_tensors):
            self._tensor()

    def _tensor(self) -> None:
        self._text()
        n_dimensions = self._number("I")
        if n_dimensions > MOST_DIMENSIONS:
            raise ValueError(f"it has a tensor of {n_dimensions} dimensions")
        sizes = [self._number("Q") for _ in range(n_dimensions)]
        if math.prod(sizes) > MOST_BY_BYTE * self._n_bytes:
            raise ValueError("it has a tensor that is larger than the file")
        self._skip(12)  # type and place

    def _value(self, kind: int, depth: int) -> None:
        if kind in SIZES:
            self._skip(SIZES[kind])
        elif kind == STRING:
            self._text()
        elif kind == ARRAY and depth < DEEPEST:
            inside, number = self._number("I"), self._number("Q")
            self._claim(number, SIZES.get(inside) or LEAST.get(inside, 1))
            if inside in SIZES:
                self._skip(SIZES[inside] * number)
                return
            for _ in range(number):
                self._value(inside, depth + 1)
        else:
            raise ValueError(f"its header has a value of the unknown type {kind}")

    def _text(self) -> None:
        self._skip(self._number("Q"))

    def _number(self, form: str) -> int:
        [value] = struct.unpack(self._order + form, self._bytes(struct.calcsize("<" + form)))
        return int(value)

    def _claim(self, number: int, size: int) -> None:
        """Refuse more things of at least a size than the rest of the file holds."""
        if number * size > self._left:
            raise ValueError("its header ends too early")

    def _skip(self, size: int) -> None:
        self._claim(size, 1)
        self._left -= size
        self._stream.seek(size, 1)

    def _bytes(self, size: int) -> bytes:
        self._claim(size, 1)
        self._left -= size
        return self._stream.read(size)
