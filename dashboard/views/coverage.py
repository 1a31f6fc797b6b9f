"""Coverage and soundness of the stored data: badges, gaps and next steps."""

from typing import Any

import streamlit as st

from csvcore.figures.coverage import coverage_figure
from csvcore.splits import copies
from dashboard.queries import coverage, database
from dashboard.queries.database import Database
from dashboard.widgets import figure, state, text

SHOWN_RUNS = 40
FINE, WRONG = ("green", ":material/check:"), ("orange", ":material/warning:")
AUDIT_HELP = (
    "Each model's tokens tile the bytes of each document, no loss is negative, and aligned to "
    "characters the losses of all tokens add up to the same total."
)


def badges(db: Database, corpus: str) -> None:
    """Draw badges for the soundness of the data, with warnings below."""
    losses = coverage.incomplete_models(coverage.by_model(db, corpus))
    accuracies = coverage.incomplete_models(coverage.accuracies_by_model(db))
    differing = coverage.provenance(db, corpus)
    same = copies([coverage.fingerprints(db, corpus), coverage.weight_hashes(db, corpus)])
    with st.container(horizontal=True, gap="small"):
        _badge(
            losses.empty,
            "All losses present",
            f"{len(losses)} models lack losses",
            "Fits use models with losses on every document and list the others.",
        )
        _badge(
            accuracies.empty,
            "All accuracies present",
            f"{len(accuracies)} models lack accuracies",
            "A fit of a task needs the accuracies of its models.",
        )
        _badge(
            not differing,
            "Collected consistently",
            "Collection settings differ or unknown",
            "Compares dtype, prefix and context in the manifests of the losses.",
        )
        _badge(
            not same,
            "No duplicate models",
            f"{len(same)} duplicate models",
            "Finds models with the same weights or losses under two names.",
        )
        audit = _audited(db, corpus)
    twins = [f"{' and '.join(names)} have the same weights or losses." for names in same]
    text.warn([text.plain(sentence) for sentence in [*differing, *twins]])
    if audit and (audit.broken or audit.lost):
        damaged = [
            f"{model}: losses of {', '.join(docs[:5])} are damaged."
            for model, docs in audit.broken.items()
        ]
        lost = [
            f"{model}: alignment changes its total loss by {share:.1e}."
            for model, share in audit.lost.items()
        ]
        st.error(text.listed([text.plain(sentence) for sentence in damaged + lost]))


def gaps(db: Database, corpus: str) -> None:
    """Draw the runs and models with missing losses or accuracies."""
    losses = coverage.by_model(db, corpus)
    accuracies = coverage.accuracies_by_model(db)
    for title, table, what in (
        ("Missing losses", losses, "the documents"),
        ("Missing accuracies", accuracies, "the accuracies"),
    ):
        if table["stored"].sum() == 0 or not (table["stored"] < table["wanted"]).any():
            continue  # nothing at all is a next step, not a gap
        st.subheader(title, divider="gray")
        runs = coverage.incomplete_runs(table)
        figure.show(
            coverage_figure(runs.head(SHOWN_RUNS), what),
            runs.reset_index(),
            key=f"gaps-{what}",
            name=title,
            alt=f"Share of {what} that is stored, by training run",
        )
        complete = table["run"].nunique() - len(runs)
        more = f" {len(runs) - SHOWN_RUNS} more below." if len(runs) > SHOWN_RUNS else ""
        st.caption(
            f"Share of {what} stored; grey cells are complete. {complete} other runs are "
            f"complete.{more}"
        )
        short = coverage.incomplete_models(table)
        figure.show_table(short, height=min(38 + 35 * len(short), 260))
        if table is losses:
            st.download_button(
                "Download the list",
                data=lambda: figure.csv(coverage.missing(db, corpus)),
                file_name=f"{figure.file_name(f'missing-{corpus}')}.csv",
                mime="text/csv",
                on_click="ignore",
                icon=":material/download:",
                help="Downloads every missing model and document, a line each: "
                "model,source,doc_id.",
            )


def contents(db: Database, corpus: str) -> None:
    """Draw the sources of a corpus and the model families."""
    grid = st.grid(2, min_column_width=400, gap="medium")
    with grid.cell():
        st.subheader("Sources", divider="gray")
        figure.show_table(coverage.sources(db, corpus))
    with grid.cell():
        st.subheader("Families", divider="gray")
        figure.show_table(coverage.families(db, corpus))


def next_steps(db: Database, corpus: str, split: str | None) -> bool:
    """Draw the steps before a fit is possible; return whether there are any."""
    losses = coverage.by_model(db, corpus)
    accuracies = coverage.accuracies_by_model(db)
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
            f"{database.command(db, 'import accuracies FILE...')}: a law is fitted to "
            "them.",
        )
    if split is None:
        missing = True
        text.next_step(
            "No split yet",
            "Divide the models into train, validation and test; presets do it in one click.",
        )
        text.to_models()
    return missing


def _badge(fine: bool, good: str, bad: str, help_text: str) -> None:
    color: Any
    color, icon = FINE if fine else WRONG
    st.badge(good if fine else bad, icon=icon, color=color, help=help_text)


def _audited(db: Database, corpus: str) -> coverage.Audit | None:
    """Return the audit and draw its badge; a large corpus is audited on request."""
    requested = state.audit(corpus)
    if coverage.is_large(db, corpus) and not requested.get(False):
        if not st.button("Audit the losses", icon=":material/fact_check:", help=AUDIT_HELP):
            return None
        requested.set(True)
    audit = coverage.audit(db, corpus)
    if audit.n_models:
        wrong = len(audit.broken) + len(audit.lost)
        _badge(
            wrong == 0,
            f"Losses audited: {audit.n_models} of {audit.n_models} models",
            f"Losses of {wrong} models are damaged",
            AUDIT_HELP,
        )
    return audit
