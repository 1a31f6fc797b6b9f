"""Collections on the made-up world: stopped on purpose, and what they left in the database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csvcore import lm, store
from csvcore.collection import Progress
from csvcore.collection.shards import Shards
from csvcore.errors import Cancelled
from csvcore.pipeline.collect import CollectConfig, Collection, prepare
from tests.support.world import DOCS, collect_models

CPU = CollectConfig(device="cpu")
SIZES = {doc.doc_id: len(doc.text.encode()) for doc in DOCS}


def coverage(database: Path) -> dict[str, int]:
    with store.connect(database, read_only=True) as db:
        return store.coverage(db, "words")


def manifest(database: Path, model: str) -> dict[str, Any]:
    with store.connect(database, read_only=True) as db:
        made = store.manifests(db, "words")[model]
    assert made is not None
    return made.to_json()


def statuses(found: list[Any]) -> dict[str, str]:
    return {one.model: one.status for one in found}


def keys(database: Path, name: str, config: CollectConfig) -> list[str]:
    """Names of all shards of a model."""
    collection = prepare(database, [name], "words", config)
    return [shard.key for shard in collection.shards(collection.plans[0])]


def missing(collection: Collection) -> int:
    """Shards of all models that are not stored whole."""
    place = Shards(collection.place)
    return sum(len(place.missing(collection.shards(one))) for one in collection.plans)


def after(n_steps: int, model: str) -> Callable[[Progress], None]:
    """Return a report that stops a model a number of scored steps after it was loaded."""
    seen: list[Progress] = []

    def report(step: Progress) -> None:
        if step.model == model and (seen or step.message.startswith("prefix")):
            if len(seen) == n_steps + 1:
                raise Cancelled("enough")
            seen.append(step)

    return report


def stop_within(database: Path, name: str, n_shards: int, config: CollectConfig = CPU) -> None:
    """Collect one model and stop when so many of its shards are written."""
    model = lm.model_name(name)
    with pytest.raises(Cancelled):
        collect_models(database, [name], config, report=after(n_shards, model))
