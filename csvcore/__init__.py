"""Capability Salience Vectors: predict a language model's accuracy from its losses on text.

For notebooks: `csvcore.open` and `csvcore.load` return a `csvcore.Lab`. They are imported on first
use, so that `import csvcore` is fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csvcore.lab import Lab as Lab
    from csvcore.lab import load as load
    from csvcore.lab import open as open

__version__ = "0.1.0"
_LAB = ("Lab", "load", "open")


def __getattr__(name: str) -> Any:
    """Import a name of the notebook API from `csvcore.lab` on first use."""
    if name not in _LAB:
        raise AttributeError(f"module 'csvcore' has no attribute {name!r}")
    from csvcore import lab

    return getattr(lab, name)


def __dir__() -> list[str]:
    """Return the module's names, including those not imported yet."""
    return sorted({*globals(), *_LAB})
