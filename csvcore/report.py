"""A fit as one self-contained page, or as a folder of its figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from plotly.offline import get_plotlyjs

from csvcore import frames, store
from csvcore.analysis.comparison import Comparison, judge_fits, verdict, verdict_sentence
from csvcore.figures import comparison, law, panels, printed, scales, tokens
from csvcore.figures.html import Part, report
from csvcore.formats import atomic
from csvcore.methods import label
from csvcore.records import Document, Fit, ModelCard

SHOWN_DOCS = 3  # of each source of the task


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a fit's report and figures; weights by document, rows if there are tests."""

    fit: Fit
    table: pd.DataFrame
    rows: list[Comparison]
    docs: list[Document]
    weights: dict[str, dict[str, list[float]]]
    cards: dict[str, ModelCard]
    models: pd.DataFrame
    sources: tuple[str, ...]


def _content(database: Path, fit: str) -> Content:
    with store.connect(database, read_only=True) as db:
        record = store.fit(db, fit)
        cards = {card.model: card for card in store.models(db)}
        rivals = [store.fit(db, name) for name in _rivals(store.fits(db), record)]
        tested = "test" in record.mse
        return Content(
            fit=record,
            table=store.predictions(db, fit),
            rows=judge_fits([record, *rivals], cards, store.control(db, fit)) if tested else [],
            docs=store.documents(db, record.corpus),
            weights={row["doc_id"]: row for row in store.weights(db, fit).to_pylist()},
            cards=cards,
            models=frames.models_table(list(cards.values()), store.accuracies(db)),
            sources=next(task.sources for task in store.tasks(db) if task.task == record.task),
        )


def _figures(content: Content) -> dict[str, Any]:
    """Draw every figure of a fit; keys are file names."""
    fit, colours = content.fit, law.family_colours(content.models["family"].tolist())
    figures = {
        "curve": law.with_legend(law.sigmoid_figure(content.table, fit, colours)),
        "growth": law.growth_figure(content.models, fit.task, colours),
    }
    if content.rows:
        compared = frames.comparison_table(content.rows)
        figures["baselines"] = comparison.baselines_figure(compared, content.rows[0].noise_floor)
        figures["parity"] = law.with_legend(
            panels.parity_panels([(fit.task, content.table)], colours, 1)
        )
    if fit.choice is not None:
        figures["penalty"] = law.penalty_figure([fit])
    if fit.trace:
        figures["steps"] = law.trace_figure([fit])
    return figures


def write_report(database: Path, fit: str, out: Path) -> str:
    """Write `fit_page` as a file, whole or not at all; return a message about it.

    Raises:
        InputError: there is no such fit.
    """
    record, page = fit_page(database, fit)
    with atomic.file(out) as building:
        building.write_text(page, encoding="utf-8")
    return f"{out}: {record.task} by {record.method} on {record.corpus}, {record.split}"


def fit_page(database: Path, fit: str) -> tuple[Fit, str]:
    """Return a fit and its page: law, comparison, salient text and all models.

    Raises:
        InputError: there is no such fit.
    """
    content = _content(database, fit)
    record, figures = content.fit, _figures(content)
    parts = [
        Part("Fit", lines=_facts(record)),
        Part("Accuracy against score", figure=figures["curve"]),
    ]
    if content.rows:
        parts += [
            _comparison(content.rows, figures["baselines"]),
            Part("Observed against predicted accuracy", figure=figures["parity"]),
        ]
    parts += [_salient_text(content), _models(record, content.cards)]
    return record, report(f"{record.task} by {label(record.method)}", parts)


def export_figures(database: Path, fit: str, out: Path) -> str:
    """Write every figure of a fit and its salient text as HTML files into a folder.

    They share one copy of Plotly beside them and need no network.

    Raises:
        InputError: there is no such fit, or out is a file.
    """
    content = _content(database, fit)
    with atomic.folder(out) as building:
        for name, figure in _figures(content).items():
            drawn = figure.to_html(include_plotlyjs="directory")
            page = drawn.replace("<head>", f"<head>\n{tokens.policy(drawn, beside=True)}", 1)
            (building / f"{name}.html").write_text(page, encoding="utf-8")
        (building / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
        title = f"{content.fit.task} by {label(content.fit.method)}"
        page = report(title, [_salient_text(content)])
        (building / "salience.html").write_text(page, encoding="utf-8")
        written = sorted(file.name for file in building.glob("*.html"))
    return f"{out}: {', '.join(written)}"


def print_figures(
    database: Path, fit: str, out: Path, form: printed.Format, style: printed.PrintStyle
) -> str:
    """Write every figure of a fit as a file for print into a folder.

    Raises:
        InputError: there is no such fit, or out is a file.
    """
    figures = _figures(_content(database, fit))
    with atomic.folder(out) as building:
        for name, figure in figures.items():
            content = printed.printed(figure, style, form)
            (building / f"{name}.{form}").write_bytes(content)
    return f"{out}: {', '.join(f'{name}.{form}' for name in sorted(figures))}"


def _rivals(fits: pd.DataFrame, record: Fit) -> list[str]:
    """Return the newest fits of other methods on the same corpus, split and task."""
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
    decisions = [verdict(rows, of=method) for method in ("stack", "csv")]
    return Part(
        "All methods and trivial baselines on the test models",
        lines=[verdict_sentence(decision) for decision in decisions if decision],
        header=[
            *("method", "test MSE", "90 % CI", "mean error, points"),
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


def _salient_text(content: Content) -> Part:
    docs = [doc for doc in content.docs if not content.sources or doc.source in content.sources]
    shown = [
        doc
        for source in dict.fromkeys(doc.source for doc in docs)
        for doc in [d for d in docs if d.source == source][:SHOWN_DOCS]
    ]
    texts = []
    for doc in shown:
        row = content.weights[doc.doc_id]
        cells = tokens.cells(doc.text, [int(end) for end in row["byte_end"]])
        texts.append((doc.doc_id, cells, cells.mean(np.array(row["weight"]))))
    weights = np.concatenate([row["weight"] for row in content.weights.values()])
    return Part(
        "Salient text",
        lines=["Stronger colour = larger weight."],
        texts=texts,
        scale=scales.weight_scale(weights),
    )


def _models(record: Fit, cards: dict[str, ModelCard]) -> Part:
    return Part(
        "All models",
        header=["model", "family", "side", "score", "accuracy", "predicted", "90 % interval"],
        rows=[
            [
                *(entry.model, cards[entry.model].family, entry.side, f"{entry.score:.4f}"),
                *(f"{entry.accuracy:.3f}", f"{entry.predicted:.3f}"),
                f"{entry.low:.3f} to {entry.high:.3f}",
            ]
            for entry in sorted(record.predictions, key=lambda entry: entry.score)
        ],
    )
