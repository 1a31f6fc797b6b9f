"""Reading of what others wrote: the words of other libraries become one `InputError`."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from csvcore.errors import InputError, reason

# What readers of other libraries raise on content that they do not expect. A ValueError is also a
# wrong encoding and a number of too many digits; an OverflowError also a date out of range.
REFUSALS = (
    ValueError,
    TypeError,
    OverflowError,
    NotImplementedError,
    RecursionError,
    MemoryError,
    pa.ArrowException,
    csv.Error,
)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Raise InputError, saying why `what` cannot be read, for any refusal in the block.

    what: a file or a place in it, such as `x.json line 3`.
    """
    try:
        yield
    except REFUSALS as error:
        raise InputError(f"{what} cannot be read: {reason(error)}") from error


def json_value(text: str | bytes, where: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        InputError: it is not JSON, not UTF-8, nested too deeply, or has a number of thousands of
            digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{where} is not JSON that can be read: {reason(error)}") from error
