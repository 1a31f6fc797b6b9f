"""Coverage of models, documents and accuracies, and the audit of losses."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import streamlit as st

from csvcore import splits, store
from csvcore.alignment import Aligner, character_edges, lost_share
from csvcore.records import Document
from dashboard.queries import database, test_set
from dashboard.queries.database import Database

AT_ONCE = 10_000_000  # token losses that are audited without a request
BATCH = 20  # models read at once
ROUNDING = 1e-6  # share of a model's nll that sums may differ by


@st.cache_data(max_entries=8, show_spinner=False)
def by_model(db: Database, corpus: str) -> pd.DataFrame:
    """Return the number of documents with losses by model and source.

    Columns: model, family, run, source, stored, wanted.
    """
    with store.connect(db.path, read_only=True) as con:
        table = store.coverage_by_source(con, corpus)
        cards = {card.model: card for card in store.models(con)}
    runs = {name: splits.run_name(card) for name, card in cards.items()}
    families = {name: card.family for name, card in cards.items()}
    return table.assign(family=table["model"].map(families), run=table["model"].map(runs))


@st.cache_data(max_entries=8, show_spinner=False)
def accuracies_by_model(db: Database) -> pd.DataFrame:
    """Return `by_model` for accuracies: source is a task, stored 1 or 0, wanted 1."""
    with store.connect(db.path, read_only=True) as con:
        present = test_set.accuracy_keys(con)
        tasks = store.tasks(con)
        rows = [
            {
                "model": card.model,
                "family": card.family,
                "run": splits.run_name(card),
                "source": task.task,
                "stored": int((card.model, task.task) in present),
                "wanted": 1,
            }
            for card in store.models(con)
            for task in tasks
        ]
    columns = ["model", "family", "run", "source", "stored", "wanted"]
    return pd.DataFrame(rows, columns=columns)


@st.cache_data(max_entries=8, show_spinner=False)
def sources(db: Database, corpus: str) -> pd.DataFrame:
    """Return documents and characters of each source of a corpus."""
    docs = database.documents(db, corpus)
    table = pd.DataFrame(
        {
            "source": [doc.source for doc in docs],
            "characters": [len(doc.text) for doc in docs],
            "answers": [len(doc.answers) > 0 for doc in docs],
        }
    )
    return (
        table.groupby("source", sort=False)
        .agg(
            documents=("characters", "size"),
            characters=("characters", "sum"),
            with_answers=("answers", "sum"),
        )
        .reset_index()
        .rename(columns={"with_answers": "with answers"})
    )


@st.cache_data(max_entries=8, show_spinner=False)
def families(db: Database, corpus: str) -> pd.DataFrame:
    """Return models, sizes and models with all losses of each family."""
    complete = database.complete_models(db, corpus)
    cards = database.cards(db)
    table = pd.DataFrame(
        {
            "model": [card.model for card in cards],
            "family": [card.family for card in cards],
            "n_params": pd.array([card.n_params for card in cards], "Int64"),
            "complete": [card.model in complete for card in cards],
        }
    )
    return (
        table.groupby("family")
        .agg(
            models=("model", "size"),
            sizes=("n_params", "nunique"),
            smallest=("n_params", "min"),
            largest=("n_params", "max"),
            with_all_losses=("complete", "sum"),
        )
        .reset_index()
        .rename(columns={"with_all_losses": "with all losses"})
    )


def incomplete_runs(table: pd.DataFrame) -> pd.DataFrame:
    """Return the share stored of each source in each incomplete run, the emptiest first.

    Args:
        table: from `by_model` or `accuracies_by_model`.

    Returns:
        A row per run, a column per source, from 0 to 1.
    """
    sums = table.groupby(["run", "source"], sort=False)[["stored", "wanted"]].sum()
    wide = (sums["stored"] / sums["wanted"]).unstack("source")
    wide = wide[list(dict.fromkeys(table["source"]))]
    short = wide[(wide < 1).any(axis=1)]
    return short.loc[short.mean(axis=1).sort_values(kind="stable").index]


def incomplete_models(table: pd.DataFrame) -> pd.DataFrame:
    """Return the incomplete models. Columns: model, family, run, stored, missing, where."""
    short = table[table["stored"] < table["wanted"]]
    where = short.groupby("model")["source"].agg(", ".join)
    lacking = table[table["model"].isin(where.index)]
    sums = lacking.groupby(["model", "family", "run"])[["stored", "wanted"]].sum().reset_index()
    sums["missing"] = sums["wanted"] - sums["stored"]
    sums = sums.sort_values(["missing", "model"], ascending=[False, True])
    return sums.assign(where=sums["model"].map(where)).drop(columns="wanted")


def missing(db: Database, corpus: str) -> pd.DataFrame:
    """Return `store.missing_losses`."""
    with store.connect(db.path, read_only=True) as con:
        return store.missing_losses(con, corpus)


@dataclass(frozen=True, slots=True)
class Audit:
    """Result of an audit of the losses of a corpus, by model.

    broken: documents whose tokens do not tile their text or whose losses are invalid. lost: share
    of the total nll that alignment to characters loses or invents, where it is not rounding.
    """

    n_models: int
    broken: dict[str, list[str]] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)


@st.cache_data(max_entries=8, show_spinner=False)
def fingerprints(db: Database, corpus: str) -> dict[str, str]:
    """Return `store.loss_fingerprints`."""
    with store.connect(db.path, read_only=True) as con:
        return store.loss_fingerprints(con, corpus)


@st.cache_data(max_entries=8, show_spinner=False)
def weight_hashes(db: Database, corpus: str) -> dict[str, str]:
    """Return `store.weight_fingerprints`."""
    with store.connect(db.path, read_only=True) as con:
        return store.weight_fingerprints(con, corpus)


@st.cache_data(max_entries=8, show_spinner=False)
def is_large(db: Database, corpus: str) -> bool:
    """Return whether an audit is slow, so that it waits for a request."""
    with store.connect(db.path, read_only=True) as con:
        return store.n_losses(con, corpus) > AT_ONCE


@st.cache_data(max_entries=8, show_spinner=False)
def audit(db: Database, corpus: str) -> Audit:
    """Audit all losses of a corpus; cached until losses change."""
    return _audit(db.path, corpus, tuple(fingerprints(db, corpus).items()))


@st.cache_data(max_entries=4, show_spinner="Auditing the losses")
def _audit(path: Path, corpus: str, losses: tuple[tuple[str, str], ...]) -> Audit:
    with store.connect(path, read_only=True) as con:
        docs = store.documents(con, corpus)
        damaged = store.broken_losses(con, corpus)
        gaps = store.missing_losses(con, corpus)
    broken = {str(model): ids.tolist() for model, ids in damaged.groupby("model")["doc_id"]}
    without = {str(model): frozenset(ids) for model, ids in gaps.groupby("model")["doc_id"]}
    aligners: dict[frozenset[str], Aligner] = {}
    lost = {}
    sound = [model for model, _ in losses if model not in broken]
    for at in range(0, len(sound), BATCH):
        names = sound[at : at + BATCH]
        with store.connect(path, read_only=True) as con:
            batch = store.losses(con, corpus, names)
        for entry in batch:
            missing = without.get(entry.model, frozenset())
            if missing not in aligners:
                aligners[missing] = _aligner(docs, missing)
            if (share := lost_share(entry, aligners[missing])) > ROUNDING:
                lost[entry.model] = share
    return Audit(len(losses), broken, lost)


def _aligner(docs: list[Document], missing: frozenset[str]) -> Aligner:
    texts = [doc.text for doc in docs if doc.doc_id not in missing]
    return Aligner(texts, [character_edges(text) for text in texts])


@st.cache_data(max_entries=8, show_spinner=False)
def provenance(db: Database, corpus: str) -> list[str]:
    """Return the differences in collection settings as sentences; none if consistent."""
    made = database.manifests(db, corpus)
    if made.empty:
        return []
    sentences = []
    unknown = int(made["dtype"].isna().sum())
    if unknown:
        sentences.append(
            f"{unknown} of {len(made)} models came without a manifest: collection settings unknown."
        )
    # Whether rows are packed is a matter of speed: the self-test of collection sees to that.
    for column, what in (("dtype", "weights in"), ("context", "context")):
        counts = Counter(made[column].dropna().astype(str))
        if len(counts) > 1:
            parts = ", ".join(f"{value} ({count})" for value, count in counts.most_common())
            sentences.append(f"Models differ in {what}: {parts}.")
    recorded = made[made["dtype"].notna()]
    bare = int(recorded["prefix"].isna().sum())
    if 0 < bare < len(recorded):
        sentences.append(
            f"{bare} of {len(recorded)} models were scored without a known prefix token."
        )
    families = database.family_of(db)
    by_family = recorded.assign(family=recorded["model"].map(families)).groupby("family")["prefix"]
    mixed = sorted(by_family.nunique().loc[lambda counts: counts > 1].index)
    if mixed:
        sentences.append(f"The prefix token differs within {', '.join(mixed)}.")
    return sentences
