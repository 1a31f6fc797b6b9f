"""The `csvcore` command: a skin over `pipeline`; no number is computed here."""

from csvcore.cli import collecting, corpora, exporting, fitting, predicting  # noqa: F401  # they add theirs
from csvcore.cli.base import main
from csvcore.cli.importing import import_

__all__ = ["import_", "main"]
