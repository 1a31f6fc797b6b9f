"""Records as pandas tables, for figures, pages and notebooks."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields

import pandas as pd

from csvcore.analysis.comparison import Comparison
from csvcore.records import Accuracy, ModelCard, ModelPrediction
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
