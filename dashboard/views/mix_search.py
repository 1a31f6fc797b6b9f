"""The form that searches mixes of sources."""

import streamlit as st

from csvcore.analysis import mix_search
from csvcore.jobs.specs import MixesJob
from dashboard.queries import access, database, duration, edits
from dashboard.queries.database import Database
from dashboard.widgets import text

FEWEST = 2  # sources of a mix


def form(db: Database, corpus: str, split: str, task: str) -> tuple[str, ...]:
    """Draw the form with the expected time and queue the search; return the chosen corpora."""
    with st.container(border=True):
        left, right = st.columns(2)
        corpora = left.multiselect(
            "Corpora",
            database.corpora(db)["corpus"].tolist(),
            default=[corpus],
            help="Sets the corpora whose sources may be mixed.",
        )
        budget = right.number_input(
            "Budget, tokens",
            1,
            10_000_000,
            None,
            placeholder="default: size of the smallest source",
            help="Sets the size of every mix in tokens of the scorer.",
        )
        st.caption(_time(db, list(corpora), split, budget))
        start = st.button(
            "Search",
            key="search-mixes",
            icon=":material/search:",
            disabled=access.locked(db) or not corpora,
            help="Adds the search to the queue, which learns new weights for dozens of mixes.",
        )
    if start and corpora:
        tokens = int(budget) if budget else None
        edits.submit(db, MixesJob(tuple(corpora), split, task, tokens))
    return tuple(corpora or [corpus])


def _time(db: Database, corpora: list[str], split: str, budget: int | None) -> str:
    """Return the number of mixes and the expected time of a search in words."""
    sizes: dict[str, int] = {}
    for corpus in corpora:
        for doc in database.documents(db, corpus):
            sizes[doc.source] = sizes.get(doc.source, 0) + len(doc.text)
    if len(sizes) < FEWEST:
        return "A mix needs two sources or more."
    n_mixes = mix_search.most_mixes(len(sizes))
    n_chars = budget * duration.CHARS_PER_TOKEN if budget else min(sizes.values())
    n_models = duration.size(db, corpora[0], split).n_models
    time = duration.expected(
        duration.timings(db), duration.Size(n_chars, n_models), n_mixes, ["csv"], "fast",
        text.BUNDLED, 0,
    )  # fmt: skip
    return (
        f"Expected: {duration.in_words(time.seconds)} for {n_mixes} mixes at most of {len(sizes)} "
        f"sources ({time.basis})."
    )
