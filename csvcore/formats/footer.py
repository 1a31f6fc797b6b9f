"""Sizes that the footer of a Parquet file promises.

They are read here since pyarrow ends the whole process, not only the call, where the description
of a column in a footer is damaged. The footer is a structure of Thrift's compact protocol:
https://github.com/apache/parquet-format, README.md and src/main/thrift/parquet.thrift.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = b"PAR1"
TAIL = 8  # bytes: the length of the footer, and MAGIC
LARGEST = 32 << 20  # bytes of a footer
DEEPEST = 32  # structures within structures; Parquet has 5
TRUE, FALSE = 1, 2  # kinds of a field that are its value


@dataclass(frozen=True, slots=True)
class Chunk:
    """One column of one row group: its top-level name, number of values, uncompressed bytes."""

    column: str
    n_values: int
    n_bytes: int
    group: int


def chunks(source: Path | bytes) -> list[Chunk]:
    """Return the column chunks of a Parquet file.

    Raises:
        ValueError: it does not end with a footer of Parquet that can be read.
    """
    groups = _Thrift(_footer(source)).struct().get(4, [])
    try:
        return [
            Chunk(meta[3][0].decode(), int(meta[5]), int(meta[6]), number)
            for number, group in enumerate(groups)
            for meta in (column[3] for column in group[1])
        ]
    except (LookupError, AttributeError, TypeError) as error:
        raise ValueError("its footer does not describe its columns") from error


def _footer(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        size, tail = len(source), source[-TAIL:]
    else:
        size = source.stat().st_size
        with source.open("rb") as file:
            file.seek(max(0, size - TAIL))
            tail = file.read(TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or not 0 < length <= min(size - TAIL, LARGEST):
        raise ValueError("it has no footer of Parquet at its end")
    if isinstance(source, bytes):
        return source[-TAIL - length : -TAIL]
    with source.open("rb") as file:
        file.seek(size - TAIL - length)
        return file.read(length)


class _Thrift:
    """A reader of the compact protocol; ValueError for what it does not know."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at, self._depth = content, 0, 0

    def struct(self) -> dict[int, Any]:
        """Return the fields of a structure by their numbers."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            fields[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind)
        self._depth -= 1
        return fields

    def _value(self, kind: int) -> Any:
        match kind:
            case 1 | 2 | 3:  # TRUE, FALSE, BYTE
                return self._byte()
            case 4 | 5 | 6:  # I16, I32, I64
                return self._zigzag()
            case 7:  # DOUBLE
                return self._bytes(8)
            case 8:  # BINARY
                return self._bytes(self._varint())
            case 9 | 10:  # LIST, SET
                return self._list()
            case 12:  # STRUCT
                return self.struct()
        raise ValueError(f"its footer has a value of the unknown kind {kind}")

    def _list(self) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._varint()
        if size > len(self._content) - self._at:
            raise ValueError("its footer ends too early")
        return [self._value(head & 15) for _ in range(size)]

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _bytes(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        if self._at > len(self._content):
            raise ValueError("its footer ends too early")
        return self._content[start : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("its footer has a number of more than 64 bits")

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
