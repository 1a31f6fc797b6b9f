"""Commands that use fits: forecasts of new models, and what to validate on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from csvcore.cli.base import FILE, OUT, database, main, progress, table_option, text_table
from csvcore.cli.fit import METHODS, figure, settings, span
from csvcore.formats import atomic
from csvcore.pipeline import exports
from csvcore.pipeline import mixes as mixing
from csvcore.pipeline import predict as predicting
from csvcore.records import Forecast, Method, Mix
from csvcore.store.mixes import save_mix


@main.command()
@click.option("--fit", "fit_ids", multiple=True, help="One or more, as `csvcore fits` lists them.")
@click.option("--corpus", help="In place of --fit, with --split: of every task the newest fit.")
@click.option("--split")
@click.option("--method", type=click.Choice(METHODS), help="Of those fits.  [default: csv]")
@click.option("--model", "models", multiple=True, help="One or more with losses in the database.")
@click.option("--losses", "files", type=FILE, multiple=True, help="Loss packs of further models.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.argument("more_models", nargs=-1, metavar="[MORE]...")  # models and packs behind the first
@table_option
@database
def predict(
    db: Path,
    table: Path | None,
    fit_ids: tuple[str, ...],
    corpus: str | None,
    split: str | None,
    method: Method | None,
    models: tuple[str, ...],
    files: tuple[Path, ...],
    more_models: tuple[str, ...],
    as_json: bool,
) -> None:
    """Accuracy of models that need none, with 90 % intervals, on one task or on all.

    Without models and packs, of all with losses on the fit's corpus that the fit did not use.
    """
    files += tuple(Path(name) for name in more_models if files and name.endswith(".parquet"))
    models += tuple(name for name in more_models if Path(name) not in files)
    by_task = bool(corpus and split)
    if by_task == bool(fit_ids) or (fit_ids and (corpus or split or method)):
        raise click.UsageError("name fits by --fit, or all tasks' by --corpus and --split")
    if corpus and split:
        fit_ids = tuple(predicting.newest_fits(db, corpus, split, method or "csv").values())
    found = {name: predicting.predict(db, name, models, files) for name in fit_ids}
    task_of = _tasks(db, fit_ids)
    if table is not None:
        rows = [
            {"fit": name, "task": task_of[name]} | asdict(one)
            for name, own in found.items()
            for one in own
        ]
        exports.write_rows(rows, table)
    if as_json:
        told = [
            {"fit": name, "predictions": [asdict(one) for one in own]}
            for name, own in found.items()
        ]
        click.echo(json.dumps({"fits": told} if by_task or len(told) > 1 else told[0]))
    elif by_task or len(found) > 1:
        click.echo(_side_by_side(task_of, found))
    else:
        click.echo(_one_fit(next(iter(found.values()))))


def _one_fit(found: Sequence[Forecast]) -> str:
    rows = [
        [
            *(one.model, f"{one.score:.4f}", f"{one.predicted:.3f}"),
            f"{one.low:.3f} to {one.high:.3f}",
            "beyond the train models" if one.extrapolated else "",
        ]
        for one in found
    ]
    return text_table(["model", "score", "predicted", "90 %", "score lies"], rows)


def _tasks(db: Path, fits: Sequence[str]) -> dict[str, str]:
    """What each of these fits predicts."""
    from csvcore import store

    with store.connect(db, read_only=True) as connection:
        return {name: store.fit(connection, name).task for name in fits}


def _side_by_side(task_of: Mapping[str, str], found: Mapping[str, Sequence[Forecast]]) -> str:
    """A column a fit, under its task's name, or its own where a task has several."""
    import pandas as pd

    from csvcore import frames

    several = len(set(task_of.values())) < len(task_of)
    parts = [
        frames.forecast_table(own, [], {}).assign(task=name if several else task_of[name])
        for name, own in found.items()
    ]
    wide = frames.by_task(pd.concat(parts)).fillna("")
    note = "In brackets the 90 % interval; ×: the score lies beyond those of the train models."
    return f"{text_table(list(wide.columns), wide.values.tolist())}\n{note}"


@main.command()
@click.option("--corpus", "corpora", required=True, multiple=True, help="One or more.")
@click.option("--split", required=True)
@click.option("--task", required=True)
@click.option(
    "--budget-tokens",
    type=click.IntRange(1),
    help="Size of every mix in tokens of the scorer.  [default: the smallest source's]",
)
@click.option("--out", type=OUT, help="Write the documents of the recommended mix here, as JSON.")
@click.option("--save", "name", help="Store the recommended mix as a corpus of this name.")
@click.option("--scorer", help="Folder or hub name of the scoring model.")
@click.option("--own-units", is_flag=True, help="Weigh the losses' units, such as words.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@table_option
@database
def mixes(
    db: Path,
    table: Path | None,
    corpora: tuple[str, ...],
    split: str,
    task: str,
    budget_tokens: int | None,
    out: Path | None,
    name: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Which sources, and how much of each, predict a task best; the recommended mix first.

    Mixes are chosen by the error on models left out inside train and validation; the test models
    have no part in it.
    """
    with progress() as report:
        found = mixing.mixes(db, corpora, split, task, settings(options), budget_tokens, report)
    if out is not None:
        with atomic.file(out) as building:
            building.write_text(json.dumps({"doc_ids": found[0].doc_ids}) + "\n", encoding="utf-8")
    if name is not None:
        save_mix(db, corpora, found[0].doc_ids, name)
    if table is not None:
        sources = list(dict.fromkeys(source for mix in found for source in mix.shares))
        exports.write_rows([_mix_row(mix, sources) for mix in found], table)
    if as_json:
        click.echo(json.dumps({"mixes": [asdict(mix) for mix in found]}))
        return
    rows = [
        [
            ", ".join(f"{share:.0%} {source}" for source, share in mix.shares.items()),
            *(str(mix.n_tokens), str(len(mix.doc_ids)), f"{100 * mix.error:.1f}"),
            *(figure(mix.test_mse), span(mix.low, mix.high)),
        ]
        for mix in found
    ]
    header = ["mix", "tokens", "documents", "points off when left out", "test MSE", "90 %"]
    click.echo(text_table(header, rows))


def _mix_row(mix: Mix, sources: Sequence[str]) -> dict[str, Any]:
    """The mix with a column a source, 0 where it has none of it."""
    row = asdict(mix)
    del row["shares"]
    return {f"share {source}": mix.shares.get(source, 0.0) for source in sources} | row
