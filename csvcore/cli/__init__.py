"""The `csvcore` command: a skin over `pipeline`; no number is computed here."""

from csvcore.cli import collecting, fitting, predicting, serving  # noqa: F401  # add commands
from csvcore.cli.base import main
from csvcore.cli.exporting import export
from csvcore.cli.importing import import_

__all__ = ["export", "import_", "main"]
