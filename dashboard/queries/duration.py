"""How long a fit will take, from the fits before it or else from a benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from csvcore import store
from dashboard.queries.database import Database

# docs/fitting.md: six tasks on 165,000 tokens and 49 models, on 2 cores, a task's share.
BENCHMARK_TOKENS, BENCHMARK_MODELS = 165_000, 49
BENCHMARK_SECONDS = {"fast": 8.0, "paper": 46.0}
BENCHMARK_STEPS = 300
LATEST = 12  # fits whose pace counts: the machine may be busier than it was
CHARS_PER_TOKEN = 4  # roughly, of English


@dataclass(frozen=True, slots=True)
class Size:
    """What a fit has to go through: characters of the corpus, models that train or validate."""

    n_chars: int
    n_models: int


@dataclass(frozen=True, slots=True)
class Expected:
    """Seconds of optimising, and in a few words where the number is from."""

    seconds: float
    basis: str


@st.cache_data(max_entries=8, show_spinner=False)
def timings(db: Database) -> pd.DataFrame:
    """See `store.timings`."""
    with store.connect(db.path, read_only=True) as con:
        return store.timings(con)


def expected(
    known: pd.DataFrame,
    size: Size,
    n_tasks: int,
    methods: Sequence[str],
    algorithm: str,
    scorer: str,
    steps: int,
) -> Expected:
    """The time of fitting these tasks by these methods; baselines take next to none.

    Args:
        known: from `timings`.
        size: of the corpus and the split.
        n_tasks: tasks to fit.
        methods: ways to weigh tokens.
        algorithm: fast or paper, of CSV.
        scorer: name of the scorer.
        steps: of the paper's loop.
    """
    if "csv" not in methods:
        return Expected(0.0, "fixed weights have nothing to optimise")
    work = float(size.n_chars) * size.n_models * n_tasks
    if algorithm == "paper":
        work *= steps + 1
    own = known[(known["method"] == "csv") & (known["algorithm"] == algorithm)]
    own = own[(own["scorer"] == scorer) & own["penalty"].isna()].dropna(subset=["n_chars"])
    own = own.head(LATEST)
    done = own["n_chars"].astype(float) * own["n_models"]
    if algorithm == "paper":
        done *= own["steps"].astype(float) + 1.0
    if not own.empty:
        pace = own["seconds"].astype(float) / done
        slowest = in_words(work * float(pace.max()))
        return Expected(
            work * float(pace.median()),
            f"from the last {len(own)} fits by this scorer, scaled by text, models and tasks; at "
            f"the pace of the slowest {slowest}",
        )
    done_there = float(BENCHMARK_TOKENS * CHARS_PER_TOKEN * BENCHMARK_MODELS)
    if algorithm == "paper":
        done_there *= BENCHMARK_STEPS + 1
    return Expected(
        work * BENCHMARK_SECONDS[algorithm] / done_there,
        "a rough guess from the benchmark in docs/fitting.md, for no fit by this scorer is stored; "
        "its first one on a corpus also has to read the text",
    )


def in_words(seconds: float) -> str:
    """A time for people, no finer than it is known."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
