"""Checks of names and numbers that come from outside: files, servers, the command line, forms.

Every importer and the collection use them, so one rule holds for a name or a number anywhere.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from csvcore.errors import InputError

LARGEST_WHOLE = 2**63 - 1  # what the database can hold
LARGEST_EXACT = 2**53  # from here on a float stands for more than one whole number
SHOWN = 80  # characters of a value in a message
# Letters and marks that print nothing, and so pass `str.isprintable`: joiner, Hangul and Khmer
# fillers, the braille blank.
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def name(value: object, what: str, where: str = "") -> str:
    """Return a name in Unicode's composed form (NFC).

    Args:
        value: from outside.
        what: what it names, for messages.
        where: its place in a file, for messages.

    Raises:
        InputError: it is no text or blank, or has a character that is not printed: control,
            text direction, zero width, a blank other than the space.
    """
    if isinstance(value, str) and value.isascii() and value.isprintable() and value.strip():
        return value
    prefix = f"{where}: " if where else ""
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"{prefix}{what} must be a text that is not empty, got {quoted(value)}; name it"
        )
    hidden = next((char for char in value if not _is_seen(char)), None)
    if hidden is not None:
        raise InputError(
            f"{prefix}{what} {quoted(value)} has the invisible character U+{ord(hidden):04X}; "
            "two names that look alike must be the same, remove it"
        )
    return unicodedata.normalize("NFC", value)


def _is_seen(char: str) -> bool:
    return char.isprintable() and char not in INVISIBLE


def whole(value: object, what: str, where: str, least: int = 0) -> int:
    """Return a whole number, exactly; text is read digit by digit, never through a float.

    `10`, `10.0` and `1e1` are the same number. A float of 2^53 or more is refused, since it may
    stand for another whole number than it was written as.

    Raises:
        InputError: it is none, or not between least and LARGEST_WHOLE.
    """
    exact = _decimal(value)
    if (
        exact is None
        or not exact.is_finite()
        or not least <= exact <= LARGEST_WHOLE
        or exact != exact.to_integral_value()
    ):
        raise InputError(
            f"{where}: {what} must be a whole number from {least}, got {quoted(value)}"
        )
    if isinstance(value, float) and exact >= LARGEST_EXACT:
        raise InputError(
            f"{where}: {what} {value!r} is too large to be exact with a decimal point; write it as "
            "a whole number"
        )
    return int(exact)


def number(value: object, what: str, where: str) -> float:
    """Return a finite number; a truth value is none.

    Raises:
        InputError: it is no number, or not finite.
    """
    exact = _decimal(value)
    if exact is None:
        raise InputError(f"{where}: {what} must be a number, got {quoted(value)}")
    parsed = float(exact) if exact.is_finite() else math.inf  # infinite beyond the largest float
    if not math.isfinite(parsed):
        raise InputError(f"{where}: {what} must be finite, got {quoted(value)}")
    return parsed


def _decimal(value: object) -> Decimal | None:
    """Return a number or a text of one without rounding; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def is_number(value: object) -> bool:
    """Return whether a value of JSON is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def twice(names: Iterable[str]) -> str | None:
    """Return the first name that stands there twice, or None; in linear time."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def quoted(value: Any) -> str:
    """Return a value as it is shown in a message: quoted, without raw control characters, short."""
    try:
        shown = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # an integer of over 4,300 digits, a deep list
        return f"a {type(value).__name__} that is too long to show"
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}... ({len(shown)} characters)"


def refuse_shared(doc_ids: Iterable[str], known: Container[str], corpus: str) -> None:
    """Raise InputError for the first document of a corpus whose name another corpus has as well."""
    twice = next((doc_id for doc_id in doc_ids if doc_id in known), None)
    if twice is not None:
        raise InputError(
            f"the document {quoted(twice)} of {corpus} has the name of one in another corpus of "
            "the mix; import one of them again with names of its own"
        )
