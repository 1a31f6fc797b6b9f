"""A fit as one self-contained page."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from csvcore import store
from csvcore.figures import charts, findings, highlights, panels
from csvcore.figures.report import Part, report
from csvcore.judging import Comparison, judge_fits
from csvcore.records import Document, Fit, ModelCard

SHOWN_DOCS = 3  # of each source of the task
TOP_SHARE = 0.995  # of the weights lies below the darkest shade


def write_report(database: Path, fit: str, out: Path) -> str:
    """Write `fit_page` as a file, whole or not at all; returns what was written, for people.

    Raises:
        InputError: there is no such fit.
    """
    record, page = fit_page(database, fit)
    building = out.with_name(f".{out.name}.part")
    building.write_text(page, encoding="utf-8")
    building.replace(out)
    return f"{out}: {record.task} by {record.method} on {record.corpus}, {record.split}"


def fit_page(database: Path, fit: str) -> tuple[Fit, str]:
    """A fit, and its page: its law, its rivals on the same models, its highlights, every model.

    Raises:
        InputError: there is no such fit.
    """
    with store.connect(database, read_only=True) as db:
        record = store.fit(db, fit)
        table = store.predictions(db, fit)
        weights = {row["doc_id"]: row for row in store.weights(db, fit).to_pylist()}
        docs = store.documents(db, record.corpus)
        cards = {card.model: card for card in store.models(db)}
        sources = next(task.sources for task in store.tasks(db) if task.task == record.task)
        control = store.control(db, fit)
        rivals = [store.fit(db, name) for name in _rivals(store.fits(db), record)]
    colours = charts.family_colours(table["family"].tolist())
    rows = judge_fits([record, *rivals], cards, control) if record.mse.get("test") else []
    parts = [
        Part("What this is", lines=_facts(record)),
        Part("Accuracy against the score", figure=charts.sigmoid_figure(table, record, colours)),
    ]
    if rows:
        parts += [
            _comparison(rows),
            Part(
                "Predicted and observed",
                figure=panels.parity_panels([(record.task, table)], colours, 1),
            ),
        ]
    parts += [_highlights(docs, weights, sources), _models(record, cards)]
    return record, report(f"{record.task} by {record.method}", parts)


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
        f"Fit {record.fit} of {record.task} by {record.method} on corpus {record.corpus}, split "
        f"{record.split}: {sides}.",
        f"Mean squared error: {errors}; noise floor of the test models "
        + (f"{record.noise_floor['test']:.2e}." if "test" in record.noise_floor else "unknown."),
        f"alpha {record.alpha:.4g} characters per nat, beta {record.beta:.4g} nats per character, "
        f"chance {record.gamma:g}.",
        *record.notes,
    ]


def _comparison(rows: list[Comparison]) -> Part:
    ordered = sorted(rows, key=lambda row: row.test_mse)
    table = pd.DataFrame([asdict(row) for row in ordered]).astype({"low": float, "high": float})
    names = {row.method: row.method for row in ordered}
    return Part(
        "Every method and null on the test models",
        header=["method", "test MSE", "90 %", "mean error, points", "rank correlation"],
        rows=[
            [
                row.method,
                f"{row.test_mse:.2e}",
                "" if row.low is None else f"{row.low:.1e} to {row.high:.1e}",
                f"{100 * row.test_mae:.1f}",
                "" if row.spearman is None else f"{row.spearman:.2f}",
            ]
            for row in ordered
        ],
        figure=findings.baselines_figure(table, names, ordered[0].noise_floor),
    )


def _highlights(
    docs: list[Document], weights: dict[str, dict[str, list[float]]], sources: tuple[str, ...]
) -> Part:
    own = [doc for doc in docs if not sources or doc.source in sources]
    shown = [
        doc
        for source in dict.fromkeys(doc.source for doc in own)
        for doc in [d for d in own if d.source == source][:SHOWN_DOCS]
    ]
    texts = []
    for doc in shown:
        row = weights[doc.doc_id]
        cells = highlights.cells(doc.text, [int(end) for end in row["byte_end"]])
        texts.append((doc.doc_id, cells, cells.mean(np.array(row["weight"]))))
    every = np.concatenate([row["weight"] for row in weights.values()])
    return Part(
        "Where the weight lies",
        lines=["Darker is more; the mean over the corpus is 1."],
        texts=texts,
        top=float(np.quantile(every, TOP_SHARE)),
    )


def _models(record: Fit, cards: dict[str, ModelCard]) -> Part:
    return Part(
        "Every model",
        header=["model", "family", "side", "score", "accuracy", "predicted", "90 %"],
        rows=[
            [
                *(one.model, cards[one.model].family, one.split, f"{one.score:.4f}"),
                *(f"{one.accuracy:.3f}", f"{one.predicted:.3f}"),
                f"{one.low:.3f} to {one.high:.3f}",
            ]
            for one in sorted(record.predictions, key=lambda one: one.score)
        ],
    )
