"""Folders of the measurements and guides that come with csvcore."""

from pathlib import Path

ROOT = Path(__file__).parents[2]  # of a checkout


def folder(name: str) -> Path:
    """Return the folder of `zoo`, `paper`, `evidence` or `docs`.

    An installed package has it inside; a checkout has docs at its root and the others in data/.
    """
    inside = Path(__file__).parents[1] / name
    return inside if inside.is_dir() else ROOT / name if name == "docs" else ROOT / "data" / name


ZOO = folder("zoo")
ZOO_CORPORA = {"zoo": "documents.jsonl", "zoo-prose": "prose.jsonl"}
