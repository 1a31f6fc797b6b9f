"""A fit as one self-contained page, or as a folder of its figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csvcore import frames, store
from csvcore.analysis.comparison import Comparison, judge_fits, verdict, verdict_sentence
from csvcore.figures import comparison, law, panels, tokens
from csvcore.figures.html import Part, report
from csvcore.formats import atomic
from csvcore.methods import label
from csvcore.records import Document, Fit, ModelCard

SHOWN_DOCS = 3  # of each source of the task
TOP_SHARE = 0.995  # of the weights lies below the darkest shade


@dataclass(frozen=True, slots=True)
class Told:
    """What a fit's report and figures tell of; weights by document, rows where there are tests."""

    fit: Fit
    table: pd.DataFrame
    rows: list[Comparison]
    docs: list[Document]
    weights: dict[str, dict[str, list[float]]]
    cards: dict[str, ModelCard]
    models: pd.DataFrame
    sources: tuple[str, ...]


def _told(database: Path, fit: str) -> Told:
    with store.connect(database, read_only=True) as db:
        record = store.fit(db, fit)
        cards = {card.model: card for card in store.models(db)}
        rivals = [store.fit(db, name) for name in _rivals(store.fits(db), record)]
        judged = record.mse.get("test")
        return Told(
            fit=record,
            table=store.predictions(db, fit),
            rows=judge_fits([record, *rivals], cards, store.control(db, fit)) if judged else [],
            docs=store.documents(db, record.corpus),
            weights={row["doc_id"]: row for row in store.weights(db, fit).to_pylist()},
            cards=cards,
            models=frames.models_table(list(cards.values()), store.accuracies(db)),
            sources=next(task.sources for task in store.tasks(db) if task.task == record.task),
        )


def _figures(told: Told) -> dict[str, Any]:
    """Every figure of a fit, by the name of its file."""
    fit, colours = told.fit, law.family_colours(told.models["family"].tolist())
    found = {
        "curve": law.with_legend(law.sigmoid_figure(told.table, fit, colours)),
        "growth": law.growth_figure(told.models, fit.task, colours),
    }
    if told.rows:
        compared = frames.comparison_table(told.rows)
        found["baselines"] = comparison.baselines_figure(compared, told.rows[0].noise_floor)
        found["parity"] = law.with_legend(
            panels.parity_panels([(fit.task, told.table)], colours, 1)
        )
    if fit.choice is not None:
        found["penalty"] = law.penalty_figure([fit])
    if fit.trace:
        found["steps"] = law.trace_figure([fit])
    return found


def write_report(database: Path, fit: str, out: Path) -> str:
    """Write `fit_page` as a file, whole or not at all; returns what was written, for people.

    Raises:
        InputError: there is no such fit.
    """
    record, page = fit_page(database, fit)
    with atomic.file(out) as building:
        building.write_text(page, encoding="utf-8")
    return f"{out}: {record.task} by {record.method} on {record.corpus}, {record.split}"


def fit_page(database: Path, fit: str) -> tuple[Fit, str]:
    """A fit, and its page: its law, its rivals on the same models, its highlights, every model.

    Raises:
        InputError: there is no such fit.
    """
    told = _told(database, fit)
    record, figures = told.fit, _figures(told)
    parts = [
        Part("What this is", lines=_facts(record)),
        Part("Accuracy against the score", figure=figures["curve"]),
    ]
    if told.rows:
        parts += [
            _comparison(told.rows, figures["baselines"]),
            Part("Predicted and observed", figure=figures["parity"]),
        ]
    parts += [_highlights(told), _models(record, told.cards)]
    return record, report(f"{record.task} by {label(record.method)}", parts)


def export_figures(database: Path, fit: str, out: Path) -> str:
    """Write every figure of a fit and its highlights as HTML files into a folder.

    They share one copy of Plotly beside them and ask the network nothing.

    Raises:
        InputError: there is no such fit, or out is a file.
    """
    told = _told(database, fit)
    with atomic.folder(out) as building:
        for name, figure in _figures(told).items():
            figure.write_html(building / f"{name}.html", include_plotlyjs="directory")
        title = f"{told.fit.task} by {label(told.fit.method)}"
        page = report(title, [_highlights(told)])
        (building / "salience.html").write_text(page, encoding="utf-8")
        written = sorted(file.name for file in building.glob("*.html"))
    return f"{out}: {', '.join(written)}"


def _rivals(fits: pd.DataFrame, record: Fit) -> list[str]:
    """The newest fits of other methods on the same corpus, split and task."""
    same = fits[
        (fits["corpus"] == record.corpus)
        & (fits["split"] == record.split)
        & (fits["task"] == record.task)
        & (fits["method"] != record.method)
        & ~fits["stale"]
    ]
    return [str(name) for name in same.drop_duplicates("method")["fit"]]


def _facts(record: Fit) -> list[str]:
    sides = ", ".join(f"{count} {side}" for side, count in record.n_models.items())
    errors = ", ".join(f"{side} {mse:.2e}" for side, mse in record.mse.items())
    return [
        f"Fit {record.fit} of {record.task} by {label(record.method)} on corpus {record.corpus}, "
        f"split {record.split}: {sides}.",
        f"Mean squared error: {errors}; noise floor of the test models "
        + (f"{record.noise_floor['test']:.2e}." if "test" in record.noise_floor else "unknown."),
        f"alpha {record.alpha:.4g} characters per nat, beta {record.beta:.4g} nats per character, "
        f"chance {record.gamma:g}.",
        *record.notes,
    ]


def _comparison(rows: list[Comparison], figure: Any) -> Part:
    ordered = sorted(rows, key=lambda row: row.mse)
    said = verdict(rows)
    return Part(
        "Every method and trivial baseline on the test models",
        lines=[verdict_sentence(said)] if said else [],
        header=[
            *("method", "test MSE", "90 %", "mean error, points"),
            *("R2", "rank correlation", "pairs in order"),
        ],
        rows=[
            [
                label(row.method),
                f"{row.mse:.2e}",
                "" if row.low is None else f"{row.low:.1e} to {row.high:.1e}",
                f"{100 * row.mae:.1f}",
                *(
                    "" if value is None else f"{value:.2f}"
                    for value in (row.r2, row.spearman, row.pairwise)
                ),
            ]
            for row in ordered
        ],
        figure=figure,
    )


def _highlights(told: Told) -> Part:
    own = [doc for doc in told.docs if not told.sources or doc.source in told.sources]
    shown = [
        doc
        for source in dict.fromkeys(doc.source for doc in own)
        for doc in [d for d in own if d.source == source][:SHOWN_DOCS]
    ]
    texts = []
    for doc in shown:
        row = told.weights[doc.doc_id]
        cells = tokens.cells(doc.text, [int(end) for end in row["byte_end"]])
        texts.append((doc.doc_id, cells, cells.mean(np.array(row["weight"]))))
    every = np.concatenate([row["weight"] for row in told.weights.values()])
    return Part(
        "Where the weight lies",
        lines=["The fuller the green, the more a token weighs; the mean over the corpus is 1."],
        texts=texts,
        top=float(np.quantile(every, TOP_SHARE)),
    )


def _models(record: Fit, cards: dict[str, ModelCard]) -> Part:
    return Part(
        "Every model",
        header=["model", "family", "side", "score", "accuracy", "predicted", "90 %"],
        rows=[
            [
                *(one.model, cards[one.model].family, one.side, f"{one.score:.4f}"),
                *(f"{one.accuracy:.3f}", f"{one.predicted:.3f}"),
                f"{one.low:.3f} to {one.high:.3f}",
            ]
            for one in sorted(record.predictions, key=lambda one: one.score)
        ],
    )
