"""Whether what is stored is complete and sound: badges, what is missing, what to do next."""

from typing import Any

import streamlit as st

from csvcore.figures import coverage
from csvcore.splits import copies
from dashboard.queries import coverage as stored
from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.widgets import figure, text

SHOWN_RUNS = 40
FINE, WRONG = ("green", ":material/check:"), ("orange", ":material/warning:")
AUDIT_HELP = (
    "Each model's tokens tile the bytes of each document, no loss is negative, and aligned to "
    "characters the losses of all tokens add up to the same total."
)


def badges(db: Database, corpus: str) -> None:
    """A badge for coverage, accuracies, audit and provenance, with what is wrong below it."""
    losses = stored.incomplete_models(stored.by_model(db, corpus))
    accuracies = stored.incomplete_models(stored.accuracies_by_model(db))
    differing = stored.provenance(db, corpus)
    same = copies([stored.fingerprints(db, corpus), stored.weight_hashes(db, corpus)])
    with st.container(horizontal=True, gap="small"):
        _badge(
            losses.empty,
            "Every model has losses on every document",
            f"{len(losses)} models lack losses",
            "Fits use models with losses on every document and list the others.",
        )
        _badge(
            accuracies.empty,
            "Every accuracy is there",
            f"{len(accuracies)} models lack accuracies",
            "A fit of a task needs the accuracies of its models.",
        )
        _badge(
            not differing,
            "All made alike",
            "Made in different ways",
            "Dtype, prefix and context, as the manifests of the losses say.",
        )
        _badge(
            not same,
            "No model twice",
            f"{len(same)} models twice",
            "Models with the same weights or exactly the same losses under two names.",
        )
        found = _audited(db, corpus)
    for sentence in differing:
        st.warning(text.plain(sentence), icon=":material/warning:")
    for names in same:
        st.warning(
            text.plain(f"{' and '.join(names)} have the same weights or losses."),
            icon=":material/content_copy:",
        )
    if found:
        for model, docs in found.broken.items():
            st.error(text.plain(f"{model}: losses of {', '.join(docs[:5])} are damaged."))
        for model, share in found.lost.items():
            st.error(text.plain(f"{model}: alignment changes its total loss by {share:.1e}."))


def gaps(db: Database, corpus: str) -> None:
    """Runs that lack losses or accuracies as a matrix, and every model that lacks some."""
    losses = stored.by_model(db, corpus)
    accuracies = stored.accuracies_by_model(db)
    for title, table, what in (
        ("Losses that are missing", losses, "the documents"),
        ("Accuracies that are missing", accuracies, "the accuracies"),
    ):
        if table["stored"].sum() == 0 or not (table["stored"] < table["wanted"]).any():
            continue  # nothing at all is a next step, not a gap
        st.subheader(title, divider="gray")
        runs = stored.incomplete_runs(table)
        figure.figure(
            coverage.coverage_figure(runs.head(SHOWN_RUNS), what),
            runs.reset_index(),
            key=f"gaps-{what}",
            name=title,
            alt=f"Share of {what} that is stored, by training run",
        )
        complete = table["run"].nunique() - len(runs)
        more = f" {len(runs) - SHOWN_RUNS} more below." if len(runs) > SHOWN_RUNS else ""
        st.caption(
            f"Share of {what} stored; grey cells are complete. {complete} other runs lack "
            f"nothing.{more}"
        )
        short = stored.incomplete_models(table)
        figure.table(short, height=min(38 + 35 * len(short), 260))
        if table is losses:
            st.download_button(
                "Every missing model and document",
                data=lambda: stored.missing_csv(db, corpus),
                file_name=f"missing-{corpus}.csv",
                mime="text/csv",
                on_click="ignore",
                icon=":material/download:",
                help="One line for each, model,source,doc_id.",
            )


def next_steps(db: Database, corpus: str, split: str | None) -> bool:
    """What is to be done before anything can be fitted; whether something is."""
    losses = stored.by_model(db, corpus)
    accuracies = stored.accuracies_by_model(db)
    missing = False
    if losses["stored"].sum() == 0:
        missing = True
        text.next_step(
            "No losses on this corpus",
            "Collect them on the Collect page, or "
            f"{database.command(db, 'import losses FILE...')}.",
        )
        st.page_link(
            "dashboard/pages/collect.py", label="Go to Collect", icon=":material/download:"
        )
    if accuracies.empty or accuracies["stored"].sum() == 0:
        missing = True
        text.next_step(
            "No accuracies",
            f"{database.command(db, 'import tasks FILE')}, then "
            f"{database.command(db, 'import accuracies FILE...')}: a law needs what some "
            "models can do.",
        )
    if split is None:
        missing = True
        text.next_step(
            "No split yet", "Say which models train, validate and test; presets do it in one click."
        )
        st.page_link(
            "dashboard/pages/models.py", label="Go to Models & splits", icon=":material/call_split:"
        )
    return missing


def _badge(fine: bool, good: str, bad: str, help_text: str) -> None:
    color: Any
    color, icon = FINE if fine else WRONG
    st.badge(good if fine else bad, icon=icon, color=color, help=help_text)


def _audited(db: Database, corpus: str) -> stored.Audit | None:
    """The audit with its badge; of very many losses only once it is asked for."""
    asked = f"audit-{corpus}"
    if stored.is_large(db, corpus) and not st.session_state.get(asked):
        if not st.button("Audit the losses", icon=":material/fact_check:", help=AUDIT_HELP):
            return None
        st.session_state[asked] = True
    found = stored.audit(db, corpus)
    if found.n_models:
        wrong = len(found.broken) + len(found.lost)
        _badge(
            wrong == 0,
            f"Audited: no loss is lost in {found.n_models} models",
            f"Losses of {wrong} models are damaged",
            AUDIT_HELP,
        )
    return found
