"""The `csvcore` command: a skin over `pipeline`; no number is computed here."""

from csvcore.cli import (  # noqa: F401  # they add commands
    collecting,
    corpora,
    exporting,
    fitting,
    predicting,
    serving,
)
from csvcore.cli.base import main
from csvcore.cli.exporting import export
from csvcore.cli.importing import import_

__all__ = ["export", "import_", "main"]
