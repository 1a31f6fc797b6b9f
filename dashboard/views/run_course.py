"""The course of a run to its end, renewed while its checkpoints come in."""

import pandas as pd
import streamlit as st

from csvcore.figures import forecast as figures
from csvcore.figures.law import short_run
from csvcore.forecasting.course import Course
from csvcore.records import Task
from dashboard.queries import database, forecast
from dashboard.views.forecast_target import rounded, short_number
from dashboard.widgets import address, boundary, figure, state, text

POLL_SECONDS = 5
LONGER = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)  # times the tokens seen so far
FEWEST = 2  # checkpoints


@st.fragment(run_every=POLL_SECONDS)
@boundary.shown()
def show(corpus: str, split: str, families: tuple[str, ...], task: Task) -> None:
    """Choose a run and its end, and draw its course; looks at the database every few seconds.

    Runs outside the split are being watched, so they are listed first; then come those of the
    chosen families, the largest first.
    """
    db = database.database()
    trained = forecast.known(db, corpus, split)
    runs = {name: own for name, own in trained.runs().items() if len(own) >= FEWEST}
    if not runs:
        st.caption("No run has two checkpoints whose parameters, tokens and step are known.")
        return

    def order(name: str) -> tuple[bool, bool, int]:
        last = runs[name][-1]
        size = last.n_params or 0
        return last.model in trained.in_split, last.family not in families, -size

    names = sorted(runs, key=order)
    left, right = st.columns(2)
    run = address.choose(
        left.selectbox,
        "Run",
        names,
        format_func=short_run,
        key=state.FOLLOWED_RUN,
        help="Sets the run whose end is forecast. `csvcore watch` adds its checkpoints as they "
        "appear.",
    )
    seen = float(runs[run][-1].train_tokens or 1)
    ends = sorted({rounded(seen * factor) for factor in LONGER if rounded(seen * factor) >= seen})
    end = address.choose(
        right.select_slider, "Tokens at its end", ends, value=ends[min(2, len(ends) - 1)],
        format_func=short_number, key=state.FOLLOWED_END,
        help="Sets the training tokens up to which the course is drawn.",
    )  # fmt: skip
    found = forecast.course(db, corpus, split, str(run), float(end), task.task)
    if found is None:
        st.caption(f"No model was measured on {text.plain(task.task)}.")
        return
    st.markdown(_told(found))
    figure.show(
        figures.course_figure(found, task.chance),
        pd.DataFrame(
            {
                "train_tokens": found.tokens,
                "predicted": found.predicted,
                "low": found.low,
                "high": found.high,
            }
        ),
        key="run-course",
        name=f"run-{run}-{task.task}",
        alt=f"Accuracy of {run} on {task.task} so far, and its forecast course",
    )


def _told(course: Course) -> str:
    """Return where the run is heading in words."""
    now, end = course.known_accuracy[-1], course.predicted[-1]
    sentences = [
        f"{text.plain(short_run(course.run))} is at **{now:.3f}**"
        + ("" if course.measured else " by its losses")
        + f" after {short_number(course.known_tokens[-1])} tokens and heads for **{end:.3f}** "
        f"({course.low[-1]:.2f} to {course.high[-1]:.2f}) at {short_number(course.tokens[-1])}."
    ]
    last = course.lag[-1]
    side = "above" if last.difference > 0 else "below"
    promise = (
        f"It is {100 * abs(last.difference):.1f} points {side} what its size and tokens promise"
    )
    if course.behind_since is not None:
        promise += f", significantly since {short_number(course.behind_since)} tokens"
    elif last.low <= 0 <= last.high:
        promise += ", within the interval"
    sentences.append(f"{promise}.")
    if course.leaves_chance is not None:
        sentences.append(f"It leaves chance at {short_number(course.leaves_chance)} tokens.")
    return " ".join(sentences)
