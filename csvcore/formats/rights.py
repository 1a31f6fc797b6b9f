"""What this process may write beside a database: nothing, if it was started to read only."""

import os
from pathlib import Path

VARIABLE = "CSVCORE_READ_ONLY"  # set: this process writes no file, not even a lock


def only_reads() -> bool:
    """Return whether this process was started to read only."""
    return bool(os.environ.get(VARIABLE))


def may_write_beside(database: Path) -> bool:
    """Return whether this process may make files in the folder of a database."""
    return not only_reads() and os.access(database.absolute().parent, os.W_OK)
