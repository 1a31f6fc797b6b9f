"""Expected time of a fit, from earlier fits or else from a benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from csvcore import store
from dashboard.queries import database, test_set
from dashboard.queries.database import Database

# docs/fitting.md: six tasks on 165,000 tokens and 49 models, on 2 cores, a task's share.
BENCHMARK_TOKENS, BENCHMARK_MODELS = 165_000, 49
BENCHMARK_SECONDS = {"fast": 8.0, "paper": 46.0}
BENCHMARK_STEPS = 300
LATEST = 12  # fits whose pace counts: the machine may be busier than it was
CHARS_PER_TOKEN = 4  # roughly, of English


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a fit: characters of the corpus, train and validation models."""

    n_chars: int
    n_models: int


@dataclass(frozen=True, slots=True)
class Expected:
    """Seconds of optimising, and the basis of the estimate in words."""

    seconds: float
    basis: str


@st.cache_data(max_entries=8, show_spinner=False)
def timings(db: Database) -> pd.DataFrame:
    """Return `store.timings`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.timings(con)


def expected(
    earlier_fits: pd.DataFrame,
    fit_size: Size,
    n_tasks: int,
    methods: Sequence[str],
    algorithm: str,
    scorer: str,
    steps: int,
) -> Expected:
    """Return the expected time of fitting these tasks by these methods; 0 for baselines.

    The stack takes the time of the CSV fit that is a part of it.

    Args:
        earlier_fits: from `timings`.
        fit_size: of the corpus and the split.
        n_tasks: tasks to fit.
        methods: names of methods.
        algorithm: fast or paper, of CSV.
        scorer: name of the scorer.
        steps: of Algorithm 2.
    """
    if not {"csv", "stack"} & set(methods):
        return Expected(0.0, "fixed weights need no optimisation")
    work = float(fit_size.n_chars) * fit_size.n_models * n_tasks
    if algorithm == "paper":
        work *= steps + 1
    earlier = earlier_fits[
        (earlier_fits["method"] == "csv") & (earlier_fits["algorithm"] == algorithm)
    ]
    earlier = earlier[(earlier["scorer"] == scorer) & earlier["penalty"].isna()].dropna(
        subset=["n_chars"]
    )
    earlier = earlier.head(LATEST)
    done = earlier["n_chars"].astype(float) * earlier["n_models"]
    if algorithm == "paper":
        done *= earlier["steps"].astype(float) + 1.0
    if not earlier.empty:
        pace = earlier["seconds"].astype(float) / done
        slowest = in_words(work * float(pace.max()))
        return Expected(
            work * float(pace.median()),
            f"based on {len(earlier)} earlier fit{'s' * (len(earlier) > 1)}; {slowest} at the "
            f"slowest pace",
        )
    done_there = float(BENCHMARK_TOKENS * CHARS_PER_TOKEN * BENCHMARK_MODELS)
    if algorithm == "paper":
        done_there *= BENCHMARK_STEPS + 1
    return Expected(
        work * BENCHMARK_SECONDS[algorithm] / done_there,
        "estimated from the benchmark in docs/fitting.md; the first fit by a scorer on a corpus "
        "also "
        "encodes the text",
    )


def size(db: Database, corpus: str, split: str) -> Size:
    """Return the size of a fit on a corpus and a split."""
    complete = set(database.complete_models(db, corpus))
    sides = database.split(db, split)
    n_models = sum(side != "test" and model in complete for model, side in sides.items())
    return Size(sum(len(doc.text) for doc in database.documents(db, corpus)), n_models)


def in_words(seconds: float) -> str:
    """Return a time in words, rounded."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
