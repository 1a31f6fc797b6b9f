"""The command-line interface: it calls `pipeline` and prints; no number is computed here.

Modules that load PyTorch are imported inside the commands that need them, so that `csvcore --help`
and commands on stored results start fast.
"""

from csvcore.cli import (  # noqa: F401  # they add commands
    capabilities,
    changes,
    collect,
    compare,
    corpora,
    dashboard,
    exports,
    fit,
    fits,
    forecast,
    items,
    predict,
    predictability,
    watch,
)
from csvcore.cli.base import main
from csvcore.cli.changes import remove, replace
from csvcore.cli.exports import export
from csvcore.cli.imports import import_

__all__ = ["export", "import_", "main", "remove", "replace"]
