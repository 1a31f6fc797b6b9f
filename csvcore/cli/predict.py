"""Commands that use fits: predictions for further models, and mixes of sources."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from csvcore.cli.base import (
    FILE,
    OUT,
    database,
    echo,
    format_interval,
    format_number,
    main,
    progress,
    table_option,
    text_table,
)
from csvcore.cli.options import METHODS, engine_options, fit_settings, json_option
from csvcore.formats import atomic
from csvcore.pipeline.exports import TableFile
from csvcore.records import Fit, Mix, ModelPrediction

if TYPE_CHECKING:
    from csvcore.fitting.config import FitConfig

Predictions = Mapping[str, Sequence[ModelPrediction]]  # by the id of a fit


@main.command("predict")
@click.option("--fit", "fit_ids", multiple=True, help="Ids of stored fits, from `csvcore fits`.")
@click.option("--corpus", help="With --split: use the newest fit of every task on this corpus.")
@click.option("--split", help="With --corpus: use the newest fit of every task on this split.")
@click.option(
    "--method", type=click.Choice(METHODS), help="Method of these fits.  [default: stack, else csv]"
)
@click.option("--model", "models", multiple=True, help="Models with losses in the database.")
@click.option("--losses", "files", type=FILE, multiple=True, help="Loss packs of further models.")
@json_option
@click.argument("more", nargs=-1, metavar="[MODEL|PACK]...")
@table_option
@database
def predict_command(
    db: Path,
    table: TableFile | None,
    fit_ids: tuple[str, ...],
    corpus: str | None,
    split: str | None,
    method: str | None,
    models: tuple[str, ...],
    files: tuple[Path, ...],
    more: tuple[str, ...],
    as_json: bool,
) -> None:
    """Predict accuracies of models without measured accuracy, with 90 % prediction intervals.

    By default for all models with losses on the fit's corpus that the fit did not use.
    """
    from csvcore.pipeline import exports
    from csvcore.pipeline.predict import newest_fits, predict

    files += tuple(Path(name) for name in more if files and name.endswith(".parquet"))
    models += tuple(name for name in more if Path(name) not in files)
    all_tasks = bool(corpus and split)
    if all_tasks == bool(fit_ids) or (fit_ids and (corpus or split or method)):
        raise click.UsageError("name fits by --fit, or all tasks' by --corpus and --split")
    if corpus and split:
        fit_ids = tuple(newest_fits(db, corpus, split, method).values())
    predictions = {name: predict(db, name, models, files) for name in fit_ids}
    tasks = _tasks(db, fit_ids)
    if table is not None:
        exports.write_rows(_rows(tasks, predictions), table)
    if as_json:
        echo(json.dumps(_document(predictions, all_tasks)))
    elif all_tasks or len(predictions) > 1:
        echo(_tasks_table(tasks, predictions))
    else:
        echo(_models_table(next(iter(predictions.values()))))


def _rows(tasks: Mapping[str, str], predictions: Predictions) -> list[dict[str, Any]]:
    """Return a row for each fit and model."""
    return [
        {"fit": name, "task": tasks[name]} | asdict(prediction)
        for name, of_fit in predictions.items()
        for prediction in of_fit
    ]


def _document(predictions: Predictions, all_tasks: bool) -> dict[str, Any]:
    """Return the contract's JSON for one named fit or for several."""
    fits = [
        {"fit": name, "predictions": [asdict(prediction) for prediction in of_fit]}
        for name, of_fit in predictions.items()
    ]
    return {"fits": fits} if all_tasks or len(fits) > 1 else fits[0]


def _models_table(predictions: Sequence[ModelPrediction]) -> str:
    """Return a text table of one fit: a row for each model."""
    rows = [
        [
            prediction.model,
            f"{prediction.score:.4f}",
            f"{prediction.predicted:.3f}",
            f"{prediction.low:.3f} to {prediction.high:.3f}",
            "beyond the train models" if prediction.extrapolated else "",
        ]
        for prediction in predictions
    ]
    return text_table(["model", "score", "predicted", "90 % interval", "extrapolated"], rows)


def _tasks(db: Path, fits: Sequence[str]) -> dict[str, str]:
    """Return the task of each fit."""
    from csvcore import store

    with store.connect(db, read_only=True) as connection:
        records: dict[str, Fit] = {name: store.fit(connection, name) for name in fits}
    return {name: record.task for name, record in records.items()}


def _tasks_table(tasks: Mapping[str, str], predictions: Predictions) -> str:
    """Return a text table of several fits: a column for each.

    Column headers are tasks, or fit ids where a task has several fits.
    """
    import pandas as pd

    from csvcore import frames

    several = len(set(tasks.values())) < len(tasks)
    parts = [
        frames.prediction_table(of_fit, [], {}).assign(task=name if several else tasks[name])
        for name, of_fit in predictions.items()
    ]
    wide = frames.by_task(pd.concat(parts)).fillna("")
    note = "In brackets the 90 % prediction interval; ×: the score is beyond the train models'."
    return f"{text_table(list(wide.columns), wide.values.tolist())}\n{note}"


@main.command("mixes")
@click.option(
    "--corpus", "corpora", required=True, multiple=True, help="Corpora whose sources are mixed."
)
@click.option("--split", required=True, help="Name of a stored split.")
@click.option("--task", required=True, help="Name of a stored task.")
@click.option(
    "--budget-tokens",
    type=click.IntRange(1),
    help="Size of every mix in tokens of the scorer.  [default: size of the smallest source]",
)
@click.option("--out", type=OUT, help="Write the document ids of the best mix to this JSON file.")
@click.option("--save", "name", help="Store the best mix as a corpus of this name.")
@json_option
@engine_options
@table_option
@database
@fit_settings("scorer", "own_units", "seed")
def mixes_command(
    db: Path,
    table: TableFile | None,
    corpora: tuple[str, ...],
    split: str,
    task: str,
    budget_tokens: int | None,
    out: Path | None,
    name: str | None,
    config: "FitConfig",
    as_json: bool,
) -> None:
    """Search for the mix of sources that predicts a task best; the recommended mix comes first.

    Mixes are chosen by cross-validated error within train and validation models, never by the test
    models.
    """
    from csvcore.pipeline import exports
    from csvcore.pipeline.mixes import mixes
    from csvcore.store.mixes import save_mix

    with progress() as report:
        tried = mixes(db, corpora, split, task, config, budget_tokens, report)
    if out is not None:
        with atomic.file(out) as building:
            building.write_text(json.dumps({"doc_ids": tried[0].doc_ids}) + "\n", encoding="utf-8")
    if name is not None:
        save_mix(db, corpora, tried[0].doc_ids, name)
    if table is not None:
        sources = list(dict.fromkeys(source for mix in tried for source in mix.shares))
        exports.write_rows([_mix_row(mix, sources) for mix in tried], table)
    if as_json:
        echo(json.dumps({"mixes": [asdict(mix) for mix in tried]}))
    else:
        echo(_mixes_table(tried))


def _mixes_table(mixes: Sequence[Mix]) -> str:
    """Return a text table of mixes with their errors, and how certain the choice is."""
    from csvcore.analysis import mix_search

    compared = mix_search.differences(mixes)
    rows = [
        [
            ", ".join(f"{share:.0%} {source}" for source, share in mix.shares.items()),
            str(mix.n_tokens),
            str(len(mix.doc_ids)),
            f"{100 * mix.error:.1f}",
            "-"
            if at == 0 or found.low is None or found.high is None
            else f"{100 * found.low:+.1f} to {100 * found.high:+.1f}",
            "recommended" if at == 0 else found.verdict,
            format_number(mix.test_mse),
            format_interval(mix.low, mix.high),
        ]
        for at, (mix, found) in enumerate(zip(mixes, compared, strict=True))
    ]
    header = [
        *("mix", "tokens", "documents", "cross-validated RMSE (points)"),
        *("difference (90 % CI)", "verdict", "test MSE", "90 % CI"),
    ]
    return (
        f"{text_table(header, rows)}\n"
        f"{mix_search.alike(mixes)} of the {len(mixes) - 1} other mixes are not distinguishable "
        "from the recommended one."
    )


def _mix_row(mix: Mix, sources: Sequence[str]) -> dict[str, Any]:
    """Return a mix as a row with the share of each source, 0 for absent ones."""
    row = asdict(mix)
    del row["shares"]
    return {f"share {source}": mix.shares.get(source, 0.0) for source in sources} | row
