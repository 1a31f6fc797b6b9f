"""Regular expressions of users, in a process of their own that is ended after a time.

Some expressions take exponential time on a short text, and Python's `re` cannot be interrupted.
"""

import json
import re
import subprocess
import sys

from csvcore.errors import InputError, reason

SECONDS = 20.0  # for one file; a benchmark's takes milliseconds
_MATCHES = (
    "import json, re, sys; pattern, text = json.load(sys.stdin); "
    "json.dump([match.groupdict() for match in re.finditer(pattern, text)], sys.stdout)"
)


def check(pattern: str) -> None:
    """Raise InputError unless this is a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        raise InputError(f"rows is no regular expression: {reason(error)}") from error


def matches(
    pattern: str, text: str, where: str, seconds: float = SECONDS
) -> list[dict[str, str | None]]:
    """Return the named groups of each match of a checked expression in a text.

    Raises:
        InputError: it takes more than `seconds`, or more memory than there is.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _MATCHES],
            input=json.dumps([pattern, text]).encode(),
            capture_output=True,
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{where}: the regular expression in rows takes more than {seconds:g} s; avoid repeats "
            "inside of repeats, such as (a+)+"
        ) from error
    except subprocess.CalledProcessError as error:
        raise InputError(
            f"{where}: the regular expression in rows cannot be applied to this file; simplify it"
        ) from error
    found: list[dict[str, str | None]] = json.loads(done.stdout)
    return found
