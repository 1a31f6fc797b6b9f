"""What a worker does for a job of the queue."""

from pathlib import Path
from typing import Any

from csvcore.errors import InputError
from csvcore.pipeline.comparing import compare
from csvcore.pipeline.fitting import FitConfig, Report, fit


def run_job(database: Path, kind: str, params: dict[str, Any], report: Report) -> str:
    """Run a queued job; one sentence of what came out.

    A `fit` job has corpus, split, tasks, method and the fields of FitConfig that differ from its
    defaults; a `compare` job has no method, for it fits them all.
    """
    config = FitConfig(**params.get("config", {}))
    corpus, split, tasks = params["corpus"], params["split"], params["tasks"]
    if kind == "fit":
        wanted = [(task, params["method"]) for task in tasks]
        made = fit(database, corpus, split, wanted, config, report)
        return f"{len(made)} fits stored"
    if kind == "compare":
        rows = compare(database, corpus, split, tasks, config, report)
        return f"{sum(row.fit is not None for row in rows)} fits stored or found"
    raise InputError(f"a job is a fit or a compare, got {kind!r}")
