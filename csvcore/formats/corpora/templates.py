"""Templates of documents: text with fields of a row, and the answer marked.

`{question}` stands for a field, `{choices[0]}` and `{choices[label]}` for an entry of a list by
number or by the field that holds the number, `{answer|letter}` for a number as a letter, A for 0.
Text between `[[` and `]]` is an answer span. `{{` and `}}` are braces.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from csvcore.errors import InputError
from csvcore.values import quoted

_PIECE = re.compile(r"(\{\{|\}\}|\[\[|\]\]|\{[^{}]*\})")
_FIELD = re.compile(r"(?P<name>\w+)(\[(?P<key>\w{1,1000})\])?(?P<letter>\|letter)?")
N_LETTERS = 26


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rendered text with the (start, end) characters of its answers."""

    text: str
    answers: tuple[tuple[int, int], ...]


def check(template: str) -> None:
    """Raise InputError unless every answer mark is closed and every field is valid."""
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
        InputError: a field is missing from the row or empty, or a list entry is missing.
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
    match = _FIELD.fullmatch(field)
    if match is None:
        raise InputError(f"{{{field}}} is no field")
    value = _of(row, match["name"])
    if match["key"] is not None:
        key = match["key"]
        index = int(key) if key.isdecimal() else _index(_of(row, key), key)
        if not isinstance(value, list) or not 0 <= index < len(value):
            raise InputError(f"{match['name']} has no entry {index}")
        value = value[index]
    if match["letter"]:
        index = _index(value, match["name"])
        if not 0 <= index < N_LETTERS:
            raise InputError(f"{match['name']} is {index}, and no letter stands for it")
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
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be a number to choose by, got {quoted(value)}") from error
