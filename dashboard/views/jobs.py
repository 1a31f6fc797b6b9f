"""The queue on a page: progress, remaining time and Cancel."""

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from csvcore.figures import optimisation
from csvcore.jobs import queue
from csvcore.jobs.specs import CollectJob, FitJob
from csvcore.records import Glimpse
from dashboard.queries import access, edits
from dashboard.queries.database import Database
from dashboard.widgets import boundary, text

POLL_SECONDS, IDLE_SECONDS = 1.5, 6.0
ICONS = {
    "queued": ":material/hourglass_empty:",
    "running": "spinner",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "lost": ":material/error:",
    "cancelled": ":material/cancel:",
}
SHOWN = 8
REMEMBERED = 50  # jobs among which a page finds its own
TOLD_SECONDS = 86_400.0  # during which a page warns of an unfinished job


def submit_fit(
    db: Database,
    corpus: str,
    split: str,
    tasks: Sequence[str],
    methods: Sequence[str],
    config: dict[str, Any],
) -> int:
    """Queue these methods on these tasks as one job."""
    spec = FitJob(corpus, split, tuple(tasks), tuple(methods), config)
    live = {job.job for job in queue.recent(db.path, SHOWN) if job.live}
    number = edits.submit(db, spec)
    if number in live:
        st.toast(f"This fit is in the queue already, as job {number}.")
    return number


def submit_collect(db: Database, corpus: str, models: Sequence[str], dtype: str) -> int:
    """Queue the collection of these model folders' losses."""
    return edits.submit(db, CollectJob(corpus, tuple(models), {"dtype": dtype}))


def live(db: Database, history: bool = False) -> bool:
    """Draw the progress of live jobs, refreshed while there are any.

    With `history` also ended jobs, and the errors of a running fit. Return whether any job is live.
    """
    before = {job.job for job in queue.recent(db.path, SHOWN) if job.live}

    @st.fragment(run_every=POLL_SECONDS if before else IDLE_SECONDS if history else None)
    @boundary.shown()
    def view() -> None:
        recent = queue.recent(db.path, SHOWN)
        waiting = sorted((job for job in recent if job.live), key=lambda job: job.job)
        if before != {job.job for job in waiting}:
            st.rerun()  # one ended, so that the page reads new results; or another tab began one
        for job in waiting:
            _row(db, job, history)
        for job in recent:
            if history and not job.live:
                _row(db, job, history)
        if history and not recent:
            st.caption("Queue is empty.")

    view()
    return bool(before)


def waits(db: Database, kind: str, **params: Any) -> bool:
    """Return whether a job of this kind and with these parameters is live."""
    return any(
        job.live and job.kind == kind and params.items() <= job.params.items()
        for job in queue.recent(db.path, SHOWN)
    )


def ended_badly(db: Database, kind: str, **params: Any) -> None:
    """Warn of unfinished jobs of this kind and with these parameters.

    The newest job of the same work counts, for a day.
    """
    newest: dict[str, queue.Job] = {}
    for job in queue.recent(db.path, REMEMBERED):
        if job.kind == kind and params.items() <= job.params.items():
            newest.setdefault(job.spec.title, job)
    lines = [
        f"{text.plain(work)}: {text.sentence(_why(job))}"
        for work, job in newest.items()
        if job.ended and job.status != "done" and time.time() - job.ended < TOLD_SECONDS
    ]
    if lines:
        st.warning("  \n".join(lines), icon=ICONS["failed"])


def _why(job: queue.Job) -> str:
    return job.message if job.message.startswith(job.status) else f"{job.status}, {job.message}"


def _row(db: Database, job: queue.Job, moving: bool) -> None:
    state = job.status if job.cancel_asked is None or not job.live else "cancelling\u2026"
    by = f", by {job.who}" if job.who else ""
    title = f"{job.job}: {job.spec.title}, {state}{by}"
    # Not st.status: each of these keeps the script waiting.
    is_open = job.status == "running"
    box = st.expander(text.plain(title), icon=ICONS[job.status], expanded=is_open)
    if job.live:
        share = job.step / job.total if job.total else 0.0
        box.progress(min(share, 1.0), text.plain(_pace(job, time.time())))
        if moving and job.kind == "fit":
            with box:
                _moving(job.job, queue.glimpses(db.path, job.job))
        box.button(
            "Cancel",
            key=f"cancel-{job.job}",
            on_click=boundary.shown()(edits.cancel),
            args=(db, job.job),
            disabled=job.cancel_asked is not None or access.locked(db),
            help="Stops the job at its next step; results stored by then stay.",
        )
    else:
        seconds = (job.ended or job.created) - (job.started or job.created)
        box.text(f"{job.status} after {seconds:.0f} s: {job.message}")


def _pace(job: queue.Job, now: float) -> str:
    """Return the progress of a live job with its time so far and left."""
    if job.started is None:
        return f"{job.status}, for {now - job.created:.0f} s"
    left = job.seconds_left(now)
    progress = f"{job.message}, {now - job.started:.0f} s so far"
    if left is None:
        return progress
    if job.kind == "fit":  # most end before their last step
        return (
            f"step {job.step} of at most {job.total}, {progress}, at most about {left:.0f} s left"
        )
    return f"{progress}, about {left:.0f} s left"


def _moving(job: int, glimpses: Sequence[Glimpse]) -> None:
    """Draw the errors of a running fit, and the law of one of its tasks at the last step."""
    glimpses = [glimpse for glimpse in glimpses if glimpse.trace]
    if not glimpses:
        return
    names = [glimpse.task for glimpse in glimpses]
    task = names[0]
    if len(names) > 1:
        task = st.segmented_control(
            "Curve",
            names,
            default=names[0],
            required=True,
            format_func=text.plain,
            key=f"moving-{job}",
            help="Sets the task whose law is drawn.",
        )
    left, right = st.columns(2)
    left.plotly_chart(
        optimisation.errors_so_far(glimpses),
        key=f"errors-{job}",
        alt="Mean squared error on train and validation models over the steps so far",
    )
    right.plotly_chart(
        optimisation.law_so_far(next(glimpse for glimpse in glimpses if glimpse.task == task)),
        key=f"law-{job}",
        alt=f"Accuracy on {task} against the capability score at the last step",
    )
    st.caption("Train and validation models alone; test models are not used.")
