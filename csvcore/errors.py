"""Every error csvcore raises on purpose.

CsvcoreError
├── InputError          a file, table or array does not say what it must say
│   └── OffsetsError    spans do not tile the text they belong to
├── FitError            the scaling law could not be fitted
├── ModelError          a language model cannot be loaded or cannot score a text
├── CollectError        some models of a collection failed
├── StoreError          the results database is missing, locked, damaged or of another version
└── Cancelled           a piece of long work was asked to stop, and stopped

`explained` turns the errors of the machine into one of these, for the command line, the pages and
the worker alike. Each outside library has one door that does so for its own errors, where the file
is known: DuckDB `store.connection`, SQLite `jobs.queue`, readers `formats.outside`.
"""

import errno
import shutil
from pathlib import Path

LONGEST_MESSAGE = 4000  # characters


class CsvcoreError(Exception):
    """Base of all errors whose message is meant for the user."""


class InputError(CsvcoreError):
    """A file, table or array does not say what it must say."""


class DifferentError(InputError):
    """A value differs from the stored one; `without_values` is the message without either."""

    def __init__(self, message: str, without_values: str) -> None:
        """Keep both messages."""
        super().__init__(message)
        self.without_values = without_values


class OffsetsError(InputError):
    """Spans do not tile the text they belong to."""


class FitError(CsvcoreError):
    """The scaling law could not be fitted."""


class ModelError(CsvcoreError):
    """A language model cannot be loaded or cannot score a text."""


class CollectError(CsvcoreError):
    """Some models of a collection failed; the others are stored."""


class StoreError(CsvcoreError):
    """The results database is missing, locked, damaged or of another version."""


class ChangedError(StoreError):
    """The database has changed since a list of changes was made."""


class Cancelled(CsvcoreError):
    """A piece of long work was asked to stop, and stopped."""


def explained(error: BaseException) -> CsvcoreError | None:
    """Return an error as one for the user; None for a fault of this program, which needs a trace.

    Not faults are: what csvcore raises on purpose, no room on a disk and other refusals of the
    operating system, too little memory, content nested or numbered beyond what Python takes.
    """
    match error:
        case CsvcoreError():
            return error
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            if error.filename is not None:
                return no_space(Path(str(error.filename)))
            return StoreError(
                "no space is left on what the command writes to; what was stored before is whole, "
                "free space and repeat"
            )
        case OSError():
            where = f": {error.filename}" if error.filename else ""
            return InputError(f"{error.strerror or error}{where}")
        case MemoryError() | RecursionError() | OverflowError() | UnicodeError():
            return InputError(f"the command stopped: {reason(error)}; nothing stored was lost")
    return None


def no_space(path: Path) -> StoreError:
    """Return the error of a full disk; path: the file that could not be written."""
    folder = next((up for up in path.absolute().parents if up.is_dir()), Path("/"))
    free = shutil.disk_usage(folder).free / 1e6
    return StoreError(
        f"no space is left to write {path}: {folder} has {free:.1f} MB free; what was stored "
        "before is whole, free more space than the file to write takes and repeat"
    )


def reason(error: BaseException) -> str:
    """Return why an outside error was raised, in one line."""
    match error:
        case MemoryError():
            return "it takes more memory than there is"
        case RecursionError():
            return "it is nested too deeply"
        case UnicodeDecodeError():
            return f"it is not UTF-8 text (byte {error.start})"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return "no space is left"
    text = str(error).strip()
    if text.startswith("Exceeds the limit"):  # of Python, against numbers that take it minutes
        return "a whole number in it has more than 4,300 digits"
    return text.split("\n")[0] or type(error).__name__


def shortened(message: str) -> str:
    """Return a message cut in its middle where it is longer than anybody reads."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    half = LONGEST_MESSAGE // 2
    return f"{message[:half]} ... {message[-half:]}"
