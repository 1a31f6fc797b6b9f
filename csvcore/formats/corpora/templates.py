"""Templates of documents: fields of a row in a text, with the answer marked.

`{question}` stands for a field, `{choices[0]}` and `{choices[label]}` for an entry of a list by
number or by the field that holds the number, `{answer|letter}` for a number as a letter, A for 0.
What stands between `[[` and `]]` is an answer span. `{{` and `}}` are braces.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from csvcore.errors import InputError

_PIECE = re.compile(r"(\{\{|\}\}|\[\[|\]\]|\{[^{}]*\})")
_FIELD = re.compile(r"(?P<name>\w+)(\[(?P<key>\w+)\])?(?P<letter>\|letter)?")
N_LETTERS = 26


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text and the (start, end) characters of its answers."""

    text: str
    answers: tuple[tuple[int, int], ...]


def check(template: str) -> None:
    """Raise InputError unless every mark is closed and every field can be read."""
    opened = False
    for piece in _pieces(template):
        if piece in ("[[", "]]"):
            if opened == (piece == "[["):
                raise InputError(f"the template has a {piece} too many; answers stand in [[ and ]]")
            opened = not opened
        elif _is_field(piece) and not _FIELD.fullmatch(piece[1:-1]):
            raise InputError(
                f"the template's {piece} is none of {{field}}, {{field[0]}}, {{field[other]}} and "
                "{field|letter}"
            )
    if opened:
        raise InputError("the template opens an answer with [[ and never closes it")


def render(template: str, row: Mapping[str, Any]) -> Rendered:
    """Fill a checked template with a row.

    Raises:
        InputError: a field that the row lacks or that is empty, or an entry that is not there.
    """
    text, answers, start = "", [], 0
    for piece in _pieces(template):
        if piece == "[[":
            start = len(text)
        elif piece == "]]":
            answers.append((start, len(text)))
        elif piece in ("{{", "}}"):
            text += piece[0]
        elif _is_field(piece):
            text += _value(piece[1:-1], row)
        else:
            text += piece
    return Rendered(text, tuple(answers))


@lru_cache(maxsize=64)
def _pieces(template: str) -> tuple[str, ...]:
    return tuple(piece for piece in _PIECE.split(template) if piece)


def _is_field(piece: str) -> bool:
    return len(piece) > 1 and piece[0] == "{" and piece[-1] == "}" and piece not in ("{{", "}}")


def _value(field: str, row: Mapping[str, Any]) -> str:
    found = _FIELD.fullmatch(field)
    if found is None:
        raise InputError(f"{{{field}}} is no field")
    value = _of(row, found["name"])
    if found["key"] is not None:
        key = found["key"]
        index = int(key) if key.isdecimal() else _index(_of(row, key), key)
        if not isinstance(value, list) or not 0 <= index < len(value):
            raise InputError(f"{found['name']} has no entry {index}")
        value = value[index]
    if found["letter"]:
        index = _index(value, found["name"])
        if not 0 <= index < N_LETTERS:
            raise InputError(f"{found['name']} is {index}, and no letter stands for it")
        value = chr(ord("A") + index)
    if not str(value):
        raise InputError(f"{field} is empty")
    return str(value)


def _of(row: Mapping[str, Any], name: str) -> Any:
    if row.get(name) is None:
        raise InputError(f"it has no {name}, but {', '.join(map(str, row)) or 'nothing'}")
    return row[name]


def _index(value: Any, name: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a number to choose by, got {value!r}") from error
