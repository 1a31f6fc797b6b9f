"""Capability Salience Vectors: what a language model can do, from the loss it gives to text.

For notebooks: `csvcore.open` and `csvcore.load` give a `csvcore.Lab`. They are loaded when asked
for, so that `import csvcore` takes no time.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csvcore.lab import Lab as Lab
    from csvcore.lab import load as load
    from csvcore.lab import open as open

__version__ = "0.1.0"
_LAB = ("Lab", "load", "open")


def __getattr__(name: str) -> Any:
    """What notebooks use, from `csvcore.lab`."""
    if name not in _LAB:
        raise AttributeError(f"module 'csvcore' has no attribute {name!r}")
    from csvcore import lab

    return getattr(lab, name)


def __dir__() -> list[str]:
    """Names, those that are not loaded yet among them."""
    return sorted({*globals(), *_LAB})
