"""A database that waits for accuracies, and those that are stored of it."""

from pathlib import Path

from csvcore import store
from csvcore.records import ModelCard, Task

MODELS = ("ebb-xs", "ebb-s", "ebb-l")
TASKS = ("facts", "scenes", "arithmetic")


def made(path: Path) -> Path:
    """Three models, three tasks and no accuracy."""
    store.create(path)
    with store.connect(path) as db:
        store.add_models(db, [ModelCard(name, "ebb") for name in MODELS])
        store.add_tasks(db, [Task(name, 0.0) for name in TASKS])
    return path


def stored(database: Path) -> dict[tuple[str, str], tuple[float, int | None]]:
    """Accuracy and number of items by model and task."""
    with store.connect(database, read_only=True) as db:
        return {(e.model, e.task): (e.accuracy, e.n_items) for e in store.accuracies(db)}
