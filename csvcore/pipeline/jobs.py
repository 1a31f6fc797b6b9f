"""Jobs of the queue, run by the worker.

The queue is a file beside the database and may have come with it: a job runs no model's own code,
connects to no cluster, and removes no file but an upload. Modules that load PyTorch are imported by
the jobs that need them, so that an import begins at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from csvcore.errors import CollectError, InputError
from csvcore.jobs import specs
from csvcore.jobs.specs import (
    CapabilitiesJob,
    CollectJob,
    CompareJob,
    ExamineJob,
    FitJob,
    ImportJob,
    LeaveOutJob,
    MixesJob,
)
from csvcore.pipeline import import_jobs

if TYPE_CHECKING:
    from csvcore.collection import Progress
    from csvcore.fitting.learn import Report, Watch

# Settings of a collection that a job may have; `csvcore collect` takes all.
COLLECT_SETTINGS = {"device", "dtype", "batch_tokens", "context", "stride", "prefix"}


def run_job(
    database: Path,
    kind: str,
    params: dict[str, Any],
    report: "Report",
    watch: "Watch" = lambda look: None,
) -> str:
    """Run a queued job (see `jobs.specs`) and return one sentence about its result.

    Args:
        database: the results database.
        kind: the kind of the job.
        params: its parameters, as the queue stores them.
        report: called with (step, steps, message); may raise to stop.
        watch: see `fit`.

    Raises:
        InputError: there is no such kind of job, or what the job itself refuses.
    """
    match specs.from_json(kind, params):
        case FitJob() as job:
            return _fit(database, job, report, watch)
        case CompareJob() as job:
            return _compare(database, job, report)
        case LeaveOutJob() as job:
            return _leave_out(database, job, report)
        case CollectJob() as job:
            return _collect(database, job, report)
        case MixesJob() as job:
            return _mixes(database, job, report)
        case CapabilitiesJob() as job:
            return _capabilities(database, job, report)
        case ExamineJob() as job:
            return import_jobs.examine(database, job, report)
        case ImportJob() as job:
            return import_jobs.take(database, job, report)


def _fit(database: Path, job: FitJob, report: "Report", watch: "Watch") -> str:
    from csvcore.fitting.config import FitConfig
    from csvcore.pipeline.fit import fit

    wanted = [(task, method) for method in job.methods for task in job.tasks]
    config = FitConfig(**job.config)
    fits = fit(database, job.corpus, job.split, wanted, config, report, watch=watch)
    return f"{len(fits)} fits stored"


def _compare(database: Path, job: CompareJob, report: "Report") -> str:
    from csvcore.fitting.config import FitConfig
    from csvcore.pipeline.compare import compare

    config = FitConfig(**job.config)
    rows = compare(database, job.corpus, job.split, job.tasks, config, report, job.permutations)
    return f"{sum(row.fit is not None for row in rows)} fits stored or found"


def _leave_out(database: Path, job: LeaveOutJob, report: "Report") -> str:
    from csvcore.fitting.config import FitConfig
    from csvcore.pipeline.leave_one_family_out import leave_one_family_out

    config = FitConfig(**job.config)
    comparisons = leave_one_family_out(database, job.corpus, job.tasks, config, report)
    return f"{len({entry.family for entry in comparisons})} families left out in turn"


def _mixes(database: Path, job: MixesJob, report: "Report") -> str:
    from csvcore.fitting.config import FitConfig
    from csvcore.pipeline.mixes import mixes

    config = FitConfig(**job.config)
    tried = mixes(database, job.corpora, job.split, job.task, config, job.budget_tokens, report)
    return f"{len(tried)} mixes tried"


def _capabilities(database: Path, job: CapabilitiesJob, report: "Report") -> str:
    from csvcore.fitting.capabilities import CapabilityConfig
    from csvcore.fitting.config import FitConfig
    from csvcore.pipeline.capabilities import capabilities

    config, settings = FitConfig(**job.config), CapabilityConfig(**job.settings)
    found = capabilities(database, job.corpus, job.split, job.tasks, config, settings, report)
    return f"{len(found.factors)} factors of {len(found.tasks)} tasks stored"


def _collect(database: Path, job: CollectJob, report: "Report") -> str:
    from csvcore.pipeline.collect import CollectConfig, collect, prepare

    if others := job.config.keys() - COLLECT_SETTINGS:
        raise InputError(
            f"a job collects without {', '.join(sorted(others))}; use `csvcore collect` for it"
        )
    collection = prepare(
        database,
        job.models,
        job.corpus,
        CollectConfig(**job.config),
        lambda model: report(0, 1, f"looking at {model}"),
    )
    total = sum(plan.total_tokens for plan in collection.plans if not plan.stored) or 1
    n_tokens = 0

    def step(progress: "Progress") -> None:
        nonlocal n_tokens
        n_tokens += progress.n_tokens
        report(n_tokens, total, f"scoring {progress.model}")

    models = list(collect(collection, step))
    failed = [model for model in models if model.status == "failed"]
    if failed:
        reasons = "; ".join(model.reason for model in failed)
        rest = "" if len(failed) == len(models) else ", the others are stored"
        raise CollectError(f"{len(failed)} of {len(models)} models failed{rest}: {reasons}")
    return f"losses of {len(models)} models on {job.corpus} stored or found"
