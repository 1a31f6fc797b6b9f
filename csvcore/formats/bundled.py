"""Where the measurements lie that come with csvcore."""

from pathlib import Path


def folder(name: str) -> Path:
    """The folder of `zoo`, `paper` or `evidence`.

    In an installed package it lies inside it, in a checkout in data/.
    """
    inside = Path(__file__).parent / name
    return inside if inside.is_dir() else Path(__file__).parents[1] / "data" / name
