"""The `csvcore` command: a skin over `pipeline`; no number is computed here."""

from csvcore.cli import (  # noqa: F401  # they add commands
    collect,
    corpora,
    dashboard,
    exports,
    fit,
    predict,
)
from csvcore.cli.base import main
from csvcore.cli.exports import export
from csvcore.cli.imports import import_

__all__ = ["export", "import_", "main"]
