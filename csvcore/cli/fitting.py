"""Commands that fit, compare, and show what was fitted."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from csvcore import store
from csvcore.cli.base import FILE, database, main, progress, text_table
from csvcore.records import Fit, Method

METHODS = ("csv", "all-token", "label-token", "source-token")


def fit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that fit and compare share."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option("--scorer", help="Folder or hub name of the scoring model."),
        click.option("--mask-first-token", is_flag=True, help="Leave out any model's first token."),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option("--learning-rate", type=click.FloatRange(0, min_open=True)),
        click.option("--steps", type=click.IntRange(0), default=300, show_default=True),
        click.option("--task", "tasks", multiple=True, help="One or more, e.g. --task mmlu bbh."),
        click.argument("more_tasks", nargs=-1, metavar="[TASK]..."),  # those behind the first
        click.option("--split", required=True),
        click.option("--corpus", required=True),
    ):
        command = option(command)
    return command


def settings(
    steps: int,
    learning_rate: float | None,
    seed: int,
    scorer: str | None,
    mask_first_token: bool,
) -> Any:
    """A FitConfig of the options given."""
    from csvcore import pipeline

    config = pipeline.FitConfig(steps=steps, seed=seed, mask_first_token=mask_first_token)
    if learning_rate is not None:
        config = replace(config, learning_rate=learning_rate)
    return config if scorer is None else replace(config, scorer=scorer)


@main.command()
@fit_options
@click.option("--method", type=click.Choice(METHODS), default="csv", show_default=True)
@database
def fit(
    db: Path,
    corpus: str,
    split: str,
    tasks: tuple[str, ...],
    more_tasks: tuple[str, ...],
    method: Method,
    as_json: bool,
    **options: Any,
) -> None:
    """One fit per task (all tasks if none is named), all optimised together."""
    from csvcore import pipeline

    tasks += more_tasks
    if not tasks:
        with store.connect(db, read_only=True) as connection:
            tasks = tuple(task.task for task in store.tasks(connection))
    wanted = [(task, method) for task in tasks]
    with progress() as report:
        fits = pipeline.fit(db, corpus, split, wanted, settings(**options), report)
    if as_json:
        click.echo(json.dumps({"fits": [fit_json(found) for found in fits]}))
        return
    rows = [
        [
            *(found.task, found.fit, f"{found.alpha:.3g}", f"{found.beta:.3g}", str(found.steps)),
            *mse_cells(found),
        ]
        for found in fits
    ]
    header = ["task", "fit", "alpha", "beta", "step", "train", "validation", "test", "noise floor"]
    click.echo(text_table(header, rows))


@main.command()
@fit_options
@database
def compare(
    db: Path,
    corpus: str,
    split: str,
    tasks: tuple[str, ...],
    more_tasks: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Every method on the same split: test MSE with its 90 % interval, and the noise floor."""
    from csvcore import pipeline

    with progress() as report:
        rows = pipeline.compare(db, corpus, split, tasks + more_tasks, settings(**options), report)
    if as_json:
        click.echo(json.dumps({"rows": [asdict(row) for row in rows]}))
        return
    cells = [
        [
            *(row.task, row.method, f"{row.test_mse:.2e}", span(row.low, row.high)),
            f"{100 * row.test_mae:.1f}",
            *map(short, (row.r2, row.spearman, row.pairwise)),
            figure(row.noise_floor),
        ]
        for row in rows
    ]
    header = ["task", "method", "test MSE", "90 %", "points off", "R2", "rank", "pairs", "floor"]
    click.echo(text_table(header, cells))


@main.command()
@click.option("--fit", "fit_id", required=True)
@click.option("--out", type=FILE, required=True)
@database
def weights(db: Path, fit_id: str, out: Path) -> None:
    """The salience of every token, as Parquet."""
    from csvcore import pipeline

    click.echo(pipeline.export_weights(db, fit_id, out))


@main.command()
@database
def fits(db: Path) -> None:
    """The stored fits, newest first."""
    with store.connect(db, read_only=True) as connection:
        table = store.fits(connection)
    if table.empty:
        click.echo("no fits yet; make some with csvcore fit")
        return
    names = ["fit", "corpus", "split", "mse_train", "mse_test", "created"]
    click.echo(text_table(names, table[names].astype(str).to_numpy().tolist()))


def fit_json(fit: Fit) -> dict[str, Any]:
    """A fit as the contract's JSON; the trace stays in the database."""
    record = asdict(fit)
    del record["trace"], record["config"]
    return record


def mse_cells(fit: Fit) -> list[str]:
    """MSE by side and the test models' noise floor, for the text table."""
    sides = [fit.mse.get(side) for side in ("train", "validation", "test")]
    return [figure(value) for value in (*sides, fit.noise_floor.get("test"))]


def figure(value: float | None) -> str:
    """A squared error, or a dash where it is not known."""
    return "-" if value is None else f"{value:.2e}"


def short(value: float | None) -> str:
    """A correlation, or a dash where it is not defined."""
    return "-" if value is None else f"{value:.2f}"


def span(low: float | None, high: float | None) -> str:
    """An interval, or a dash."""
    return "-" if low is None or high is None else f"{low:.1e} to {high:.1e}"
