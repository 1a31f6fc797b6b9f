"""Records as pandas tables, for figures, pages and notebooks."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import pandas as pd

from csvcore.analysis.carriers import token_texts
from csvcore.analysis.comparison import Comparison
from csvcore.analysis.paired import PairedTest, paired_test
from csvcore.analysis.two_fits import (
    Agreement,
    ErrorDifference,
    Pieces,
    agreement,
    common_pieces,
    differing_settings,
    error_difference,
)
from csvcore.records import Accuracy, Document, Fit, FitUnits, Ints, ModelCard, ModelPrediction
from csvcore.splits import run_name

# Figures of a comparison that are not always defined.
OPTIONAL = (
    *("r2", "spearman", "pairwise", "noise_floor", "low", "high", "covered", "p_value"),
    *("difference", "difference_low", "difference_high"),
    *("to_stack", "to_stack_low", "to_stack_high", "items_worth"),
)


def models_table(cards: Sequence[ModelCard], entries: Sequence[Accuracy]) -> pd.DataFrame:
    """Return a row for each model: the fields of its card, and its accuracy on each task."""
    table = pd.DataFrame(
        {key: [getattr(card, key) for card in cards] for key in ModelCard.__dataclass_fields__}
    )
    for task in sorted({entry.task for entry in entries}):
        by_model = {entry.model: entry.accuracy for entry in entries if entry.task == task}
        table[task] = table["model"].map(by_model)
    return table


def token_table(docs: Sequence[Document], edges: Sequence[Ints]) -> pd.DataFrame:
    """Return a row for each token: doc_id, token_index, byte_start, byte_end, text, source.

    The text of a token that is a part of a character has the replacement character U+FFFD.

    Args:
        docs: documents, in order.
        edges: for each document its (n_tokens + 1,) byte boundaries.
    """
    sizes = [cuts.size - 1 for cuts in edges]
    return pd.DataFrame(
        {
            "doc_id": np.repeat([doc.doc_id for doc in docs], sizes),
            "token_index": np.concatenate([np.arange(size) for size in sizes]),
            "byte_start": np.concatenate([cuts[:-1] for cuts in edges]),
            "byte_end": np.concatenate([cuts[1:] for cuts in edges]),
            "text": token_texts(docs, edges),
            "source": np.repeat([doc.source for doc in docs], sizes),
        }
    )


def by_task(found: pd.DataFrame) -> pd.DataFrame:
    """Return forecasts of several tasks side by side: a row for each model, a text for each task.

    A text is "0.83 (0.74 to 0.91)", with " ×" behind it where the score is extrapolated.

    Args:
        found: rows of `prediction_table`, and task.
    """
    texts = [
        f"{one.predicted:.2f} ({one.low:.2f} to {one.high:.2f}){' ×' if one.extrapolated else ''}"
        for one in found.itertuples()
    ]
    wide = found.assign(text=texts).pivot_table(
        index="model", columns="task", values="text", aggfunc="first", sort=False
    )
    return wide.rename_axis(columns=None).reset_index()


def comparison_table(rows: Iterable[Comparison]) -> pd.DataFrame:
    """Return a row for each method, best first; columns are the fields of `Comparison`.

    A figure that is not defined is missing (NaN).
    """
    names = [one.name for one in fields(Comparison)]
    table = pd.DataFrame([asdict(row) for row in rows], columns=names)
    return table.astype(dict.fromkeys(OPTIONAL, float)).sort_values("mse")


def prediction_table(
    found: Sequence[ModelPrediction], cards: Iterable[ModelCard], known: dict[str, float]
) -> pd.DataFrame:
    """Return forecasts with the models' cards and accuracies where known, best score first.

    Columns: model, score, predicted, low, high, extrapolated, accuracy, run, train_tokens; the last
    three missing where they are not known.

    Args:
        found: at least one forecast.
        cards: of the models that have one.
        known: accuracy on the fit's task, by model.
    """
    by_name = {card.model: card for card in cards}
    table = pd.DataFrame([asdict(one) for one in found])
    return table.assign(
        accuracy=table["model"].map(known),
        run=table["model"].map({name: run_name(card) for name, card in by_name.items()}),
        train_tokens=table["model"].map(
            {name: card.train_tokens for name, card in by_name.items()}
        ),
    )


def item_accuracies(results: pd.DataFrame) -> pd.DataFrame:
    """Return model, n_items, accuracy and noise of each column of `store.results_by_item`.

    noise: standard deviation of the accuracy over draws of the items. Best first.
    """
    table = pd.DataFrame(
        {
            "model": results.columns.astype(str),
            "n_items": results.count().to_numpy(),
            "accuracy": results.mean().to_numpy(),
            "noise": (results.std(ddof=0) / np.sqrt(results.count())).to_numpy(),
        }
    )
    return table.sort_values(["accuracy", "model"], ascending=[False, True], ignore_index=True)


def paired_models(results: pd.DataFrame, a: str, b: str) -> PairedTest:
    """Compare two columns of `store.results_by_item` on the items that both have.

    Raises:
        InputError: fewer than 2 common items.
    """
    common = results[[a, b]].dropna()
    return paired_test(common[a].to_numpy(), common[b].to_numpy())


def item_table(results: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Return item, n_models, share (of the models that solve it), and the results of a and b.

    Args:
        results: see `store.results_by_item`.
        a: a model.
        b: another one.
    """
    return pd.DataFrame(
        {
            "item": results.index.astype(str),
            "n_models": results.count(axis=1).to_numpy(),
            "share": results.mean(axis=1).to_numpy(),
            "a": results[a].to_numpy(),
            "b": results[b].to_numpy(),
        }
    )


@dataclass(frozen=True, slots=True)
class TwoFits:
    """Differences of fit a and fit b; tables as of the functions of these names.

    weights, agreement: None where they cannot be compared, for the reason why_not.
    """

    a: Fit
    b: Fit
    settings: pd.DataFrame
    predictions: pd.DataFrame
    errors: ErrorDifference | None
    weights: pd.DataFrame | None = None
    agreement: Agreement | None = None
    why_not: str | None = None


def side_by_side(
    a: Fit,
    b: Fit,
    units: tuple[FitUnits, FitUnits],
    docs: Sequence[Document],
    runs: Mapping[str, Hashable],
) -> TwoFits:
    """Return the differences of two fits.

    Args:
        a: a fit.
        b: another one.
        units: of both.
        docs: of a's corpus.
        runs: training run of each model.
    """
    found = TwoFits(
        a,
        b,
        settings_side_by_side(a, b),
        predictions_side_by_side(a, b),
        error_difference(a, b, runs),
    )
    left, right = units[0].weight, units[1].weight
    if a.corpus != b.corpus:
        return replace(found, why_not=f"the fits are of other corpora, {a.corpus} and {b.corpus}")
    if left is None or right is None:
        method = a.method if left is None else b.method
        return replace(found, why_not=f"{method} gives no token a weight")
    pieces = common_pieces(units[0].edges, left, units[1].edges, right)
    return replace(
        found,
        weights=weights_side_by_side(pieces, docs),
        agreement=agreement(pieces.a, pieces.b),
    )


def settings_side_by_side(a: Fit, b: Fit) -> pd.DataFrame:
    """Return setting, a and b, as text, of each setting that differs between two fits."""
    rows = [
        (name, *(None if value is None else str(value) for value in pair))
        for name, *pair in differing_settings(a, b)
    ]
    return pd.DataFrame(rows, columns=["setting", "a", "b"])


def predictions_side_by_side(a: Fit, b: Fit) -> pd.DataFrame:
    """Return both predictions for each model that two fits share, largest difference first.

    Columns: model, side_a, side_b, accuracy (of a's task), a, b, difference (a - b).
    """
    others = {entry.model: entry for entry in b.predictions}
    rows = [
        (
            one.model,
            one.side,
            others[one.model].side,
            one.accuracy,
            one.predicted,
            others[one.model].predicted,
            one.predicted - others[one.model].predicted,
        )
        for one in a.predictions
        if one.model in others
    ]
    table = pd.DataFrame(
        rows, columns=["model", "side_a", "side_b", "accuracy", "a", "b", "difference"]
    )
    return table.sort_values("difference", key=np.abs, ascending=False, ignore_index=True)


def weights_side_by_side(pieces: Pieces, docs: Sequence[Document]) -> pd.DataFrame:
    """Return both weights of each piece of text, largest difference first.

    Columns: text, a, b, difference (a - b), source, doc_id, byte_start, byte_end. A piece that is a
    part of a character has the replacement character U+FFFD.
    """
    encoded = [doc.text.encode() for doc in docs]
    order = np.argsort(-np.abs(pieces.a - pieces.b), kind="stable")
    doc, start, end = (column[order].tolist() for column in (pieces.doc, pieces.start, pieces.end))
    spans = list(zip(doc, start, end, strict=True))
    return pd.DataFrame(
        {
            "text": [encoded[at][i:j].decode(errors="replace") for at, i, j in spans],
            "a": pieces.a[order],
            "b": pieces.b[order],
            "difference": (pieces.a - pieces.b)[order],
            "source": [docs[at].source for at in doc],
            "doc_id": [docs[at].doc_id for at in doc],
            "byte_start": start,
            "byte_end": end,
        }
    )
