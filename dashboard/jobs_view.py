"""The queue on a page: what runs, how long it still takes, how to stop it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from csvcore import jobs
from dashboard import controls
from dashboard.data import Database

POLL_SECONDS = 2.0
STATES = {"done": "complete", "failed": "error", "lost": "error", "cancelled": "error"}
SHOWN = 8


def submit_compare(source: Database, corpus: str, split: str, tasks: Sequence[str]) -> int:
    """Queue every method on these tasks."""
    params = {"corpus": corpus, "split": split, "tasks": list(tasks)}
    return jobs.submit(source.path, "compare", params)


def submit_fit(
    source: Database,
    corpus: str,
    split: str,
    tasks: Sequence[str],
    method: str,
    config: dict[str, Any],
) -> int:
    """Queue one method on these tasks."""
    params = {
        "corpus": corpus,
        "split": split,
        "tasks": list(tasks),
        "method": method,
        "config": config,
    }
    return jobs.submit(source.path, "fit", params)


def submit_collect(source: Database, corpus: str, models: Sequence[str], dtype: str) -> int:
    """Queue the collection of these model folders' losses."""
    params = {"corpus": corpus, "models": list(models), "config": {"dtype": dtype}}
    return jobs.submit(source.path, "collect", params)


def live(source: Database, history: bool = False) -> bool:
    """Progress of live jobs, refreshed while there are any; with `history` ended ones too.

    Returns whether any job waits or runs.
    """
    running = any(job.live for job in jobs.recent(source.path, SHOWN))

    @st.fragment(run_every=POLL_SECONDS if running else None)
    def view() -> None:
        found = jobs.recent(source.path, SHOWN)
        if running and not any(job.live for job in found):
            st.rerun()  # once, so that polling stops and the page reads the new results
        for job in found:
            if job.live or history:
                _row(source, job)
        if history and not found:
            st.caption("Nothing was queued yet.")

    view()
    return running


def _work(job: jobs.Job) -> str:
    """What a job does, for its title."""
    if job.kind == "collect":
        return f"Losses of {', '.join(Path(folder).name for folder in job.params['models'])}"
    if job.kind == "import":
        return f"Import of {job.params['name']}"
    if job.kind == "mixes":
        return f"Mixes of {', '.join(job.params['corpora'])} for {job.params['task']}"
    method = controls.METHOD_NAMES.get(job.params.get("method", ""), "All methods")
    return f"{method} on {', '.join(job.params['tasks'])}"


def _row(source: Database, job: jobs.Job) -> None:
    title = f"{job.job}: {_work(job)}, {job.status}"
    state: Any = "running" if job.live else STATES[job.status]
    # Not a `with` block: leaving one marks the box as complete.
    box = st.status(controls.plain(title), state=state, expanded=job.live)
    if job.live:
        left = job.seconds_left(time.time())
        text = job.message if left is None else f"{job.message}, {left:.0f} s left"
        share = job.step / job.total if job.total else 0.0
        box.progress(min(share, 1.0), controls.plain(f"{job.status}: {text}"))
        box.button(
            "Cancel",
            key=f"cancel-{job.job}",
            on_click=jobs.cancel,
            args=(source.path, job.job),
            disabled=job.cancel_asked is not None,
        )
    else:
        seconds = (job.ended or job.created) - (job.started or job.created)
        box.text(f"{job.status} after {seconds:.0f} s: {job.message}")
