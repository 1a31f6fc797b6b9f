"""Capability Salience Vectors: predict a language model's accuracy from its losses on text.

For notebooks: `csvcore.open` and `csvcore.load` return a `csvcore.Lab`; `csvcore.fit_salience` is a
fit on arrays. They are imported on first use, so that `import csvcore` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csvcore.arrays import fit_salience as fit_salience
    from csvcore.lab import Lab as Lab
    from csvcore.labs import load as load
    from csvcore.labs import open as open

__version__ = "0.1.0"
_MODULES = {"Lab": "lab", "load": "labs", "open": "labs", "fit_salience": "arrays"}


def __getattr__(name: str) -> Any:
    """Import a name of the notebook API from its module on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'csvcore' has no attribute {name!r}")
    return getattr(import_module(f"csvcore.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the module's names, including those not imported yet."""
    return sorted({*globals(), *_MODULES})
