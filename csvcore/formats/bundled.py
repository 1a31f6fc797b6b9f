"""Folders of the measurements that come with csvcore."""

from pathlib import Path


def folder(name: str) -> Path:
    """Return the folder of `zoo`, `paper` or `evidence`.

    An installed package has it inside, a checkout in data/.
    """
    inside = Path(__file__).parents[1] / name
    return inside if inside.is_dir() else Path(__file__).parents[2] / "data" / name


ZOO = folder("zoo")
ZOO_CORPORA = {"zoo": "documents.jsonl", "zoo-prose": "prose.jsonl"}
