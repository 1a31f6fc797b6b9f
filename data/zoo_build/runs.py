"""Selection and state of the zoo's training runs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo_build.families import Run, all_runs
from zoo_build.tasks import TASKS


def chosen(families: Sequence[str] | None = None, sizes: Sequence[str] | None = None) -> list[Run]:
    """Return all runs, or those of some families and sizes."""
    return [
        run
        for run in all_runs()
        if (not families or run.family.name in families) and (not sizes or run.size.name in sizes)
    ]


def waiting(
    work: Path, families: Sequence[str] | None = None, sizes: Sequence[str] | None = None
) -> Iterator[Run]:
    """Yield runs that lack a checkpoint or its accuracies, each checked just before."""
    return (run for run in chosen(families, sizes) if not is_done(work, run))


def is_done(work: Path, run: Run) -> bool:
    """Check if every checkpoint of the run exists and is evaluated on every task."""
    for step in run.steps:
        measured = work / "runs" / run.name / f"{run.name}-step{step}" / "items.json"
        if not measured.exists() or TASKS.keys() - json.loads(measured.read_text()).keys():
            return False
    return True


def accuracies(folder: Path) -> dict[str, float]:
    """Return the accuracy of an evaluated checkpoint on each task."""
    items = json.loads((folder / "items.json").read_text())
    return {task: correct.count("1") / len(correct) for task, correct in items.items()}


def status(work: Path, families: Sequence[str] | None = None) -> Iterator[str]:
    """Yield a line for each checkpoint: training tokens, and accuracies or its state."""
    yield f"{'checkpoint':28}{'tokens':>8} " + " ".join(f"{name:>10}" for name in TASKS)
    for run in chosen(families):
        for step in run.steps:
            folder = work / "runs" / run.name / f"{run.name}-step{step}"
            tokens = step * run.family.batch * run.family.context / 1e6
            line = f"{folder.name:28}{tokens:7.2f}M "
            if (folder / "items.json").exists():
                by_task = accuracies(folder)
                line += " ".join(f"{by_task.get(name, float('nan')):10.3f}" for name in TASKS)
            else:
                line += "trained, not evaluated" if folder.exists() else "to come"
            yield line
