"""The training runs of the zoo in the order they are made, and how far each is."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo_build.families import FAMILIES, Family, Size
from zoo_build.tasks import TASKS
from zoo_build.train import checkpoint_steps, run_name


@dataclass(frozen=True, slots=True)
class Job:
    """One training run."""

    family: Family
    size: Size

    @property
    def name(self) -> str:
        """Name of the run, e.g. `abacus-m`."""
        return run_name(self.family, self.size)


def jobs(families: Sequence[str] | None = None, sizes: Sequence[str] | None = None) -> list[Job]:
    """All runs, or those of some families and sizes: the small sizes of all families first."""
    ranks = max(len(family.sizes) for family in FAMILIES)
    return [
        Job(family, family.sizes[rank])
        for rank in range(ranks)
        for family in FAMILIES
        if rank < len(family.sizes)
        and (not families or family.name in families)
        and (not sizes or family.sizes[rank].name in sizes)
    ]


def waiting(
    work: Path, families: Sequence[str] | None = None, sizes: Sequence[str] | None = None
) -> Iterator[Job]:
    """Runs that lack a checkpoint or its accuracies, asked for one by one."""
    return (job for job in jobs(families, sizes) if not is_done(work, job))


def is_done(work: Path, job: Job) -> bool:
    """Whether every checkpoint of the run is there and has an accuracy on every task."""
    run = work / "runs" / job.name
    for step in checkpoint_steps(job.family, job.size):
        measured = run / f"{job.name}-step{step}" / "accuracy.json"
        if not measured.exists() or TASKS.keys() - json.loads(measured.read_text()).keys():
            return False
    return True


def status(work: Path, families: Sequence[str] | None = None) -> Iterator[str]:
    """A line for each checkpoint: tokens seen and accuracies, or that it is still to come."""
    yield f"{'checkpoint':24}{'tokens':>8} " + " ".join(f"{name:>10}" for name in TASKS)
    for job in jobs(families):
        for step in checkpoint_steps(job.family, job.size):
            folder = work / "runs" / job.name / f"{job.name}-step{step}"
            tokens = step * job.family.batch * job.family.context / 1e6
            line = f"{folder.name:24}{tokens:7.2f}M "
            measured = folder / "accuracy.json"
            if measured.exists():
                found = json.loads(measured.read_text())
                line += " ".join(f"{found[name][0] if name in found else '':>10}" for name in TASKS)
            else:
                line += "trained, not evaluated" if folder.exists() else "to come"
            yield line
