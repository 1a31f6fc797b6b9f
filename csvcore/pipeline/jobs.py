"""What a worker does for a job of the queue."""

from pathlib import Path
from typing import Any

from csvcore.collection import Progress
from csvcore.errors import CollectError, InputError
from csvcore.fitting.config import FitConfig
from csvcore.fitting.learn import Report, Watch
from csvcore.pipeline.collect import CollectConfig, collect, prepare
from csvcore.pipeline.compare import compare
from csvcore.pipeline.fit import fit
from csvcore.pipeline.imports import import_losses
from csvcore.pipeline.leave_one_family_out import leave_one_family_out
from csvcore.pipeline.mixes import mixes


def run_job(
    database: Path,
    kind: str,
    params: dict[str, Any],
    report: Report,
    watch: Watch = lambda look: None,
) -> str:
    """Run a queued job; one sentence of what came out.

    A `fit` job has corpus, split, tasks, methods (or one method) and the fields of FitConfig that
    differ from its defaults; a `compare` job has no methods, for it fits them all, and may have
    permutations; a `leave-out` job has no split either. A `collect` job has corpus, models
    (folders) and the fields of CollectConfig that differ from its defaults. A `mixes` job has
    corpora, split, task and budget_tokens, and the fields of FitConfig likewise. An `import` job
    has corpus, name and file, a loss pack that is deleted when it is done with. watch: see `fit`.
    """
    if kind == "collect":
        return _collect(database, params, report)
    if kind == "import":
        return _import(database, params)
    if kind == "mixes":
        where = (params["corpora"], params["split"], params["task"])
        config = FitConfig(**params.get("config", {}))
        found = mixes(database, *where, config, params.get("budget_tokens"), report)
        return f"{len(found)} mixes tried"
    config = FitConfig(**params.get("config", {}))
    corpus, tasks = params["corpus"], params["tasks"]
    if kind == "leave-out":
        out = leave_one_family_out(database, corpus, tasks, config, report)
        return f"{len({one.family for one in out})} families left out in turn"
    split = params["split"]
    if kind == "fit":
        methods = params.get("methods") or [params["method"]]
        wanted = [(task, method) for method in methods for task in tasks]
        made = fit(database, corpus, split, wanted, config, report, watch=watch)
        return f"{len(made)} fits stored"
    if kind == "compare":
        permutations = params.get("permutations", 0)
        rows = compare(database, corpus, split, tasks, config, report, permutations)
        return f"{sum(row.fit is not None for row in rows)} fits stored or found"
    raise InputError(f"a job is a fit, compare, leave-out, collect, mixes or import, got {kind!r}")


def _import(database: Path, params: dict[str, Any]) -> str:
    file = Path(params["file"])
    try:
        return import_losses(database, [file], params["corpus"])
    finally:
        file.unlink(missing_ok=True)


def _collect(database: Path, params: dict[str, Any], report: Report) -> str:
    config = CollectConfig(**params.get("config", {}))
    collection = prepare(
        *(database, params["models"], params["corpus"], config),
        lambda model: report(0, 1, f"looking at {model}"),
    )
    total = sum(one.total_tokens for one in collection.plans if not one.stored) or 1
    n_tokens = 0

    def step(progress: Progress) -> None:
        nonlocal n_tokens
        n_tokens += progress.n_tokens
        report(n_tokens, total, f"scoring {progress.model}")

    done = list(collect(collection, step))
    failed = [found for found in done if found.status == "failed"]
    if failed:
        reasons = "; ".join(found.reason for found in failed)
        rest = "" if len(failed) == len(done) else ", the others are stored"
        raise CollectError(f"{len(failed)} of {len(done)} models failed{rest}: {reasons}")
    return f"losses of {len(done)} models on {params['corpus']} stored or found"
