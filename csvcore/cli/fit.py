"""Commands that fit, compare, and show what was fitted."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from csvcore import report as reports
from csvcore import store
from csvcore.cli.base import OUT, database, main, progress, table_option, text_table
from csvcore.fitting import config
from csvcore.methods import weighted
from csvcore.pipeline import compare as comparing
from csvcore.pipeline import exports, splits
from csvcore.pipeline import fit as fitting
from csvcore.pipeline import leave_one_family_out as leaving_out
from csvcore.records import Fit

METHODS = tuple(weighted())


def fit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that all commands that fit share."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option("--scorer", help="Folder or hub name of the scoring model."),
        click.option("--own-units", is_flag=True, help="Weigh the losses' units, such as words."),
        click.option("--mask-first-token", is_flag=True, help="Leave out any model's first token."),
        click.option(
            "--label-spans",
            type=click.Choice(["all", "last", "letter", "text"]),
            help="Which answer spans label-token counts.  [default: all]",
        ),
        click.option(
            "--label",
            type=click.Choice(["per-char", "per-byte", "per-token", "sum"]),
            help="What an answer's loss is divided by in label-token.  [default: per-char]",
        ),
        click.option("--seed", type=int, default=0, show_default=True),
        click.option(
            "--penalty",
            type=click.FloatRange(0, min_open=True),
            help="A fixed penalty instead of one chosen inside train (fast).",
        ),
        click.option(
            "--members",
            type=click.IntRange(1),
            help="Heads that tell how stable the weights are (fast).  [default: 5]",
        ),
        click.option(
            "--activation",
            type=click.Choice(["exp", "softplus"]),
            help="The head's non-linearity (fast).  [default: exp]",
        ),
        click.option(
            "--learning-rate",
            type=click.FloatRange(0, min_open=True),
            help="Of the paper's loop.  [default: 0.01]",
        ),
        click.option(
            "--steps",
            type=click.IntRange(0),
            help="At most, for each penalty (fast, default 30) or in all (paper, default 300).",
        ),
        click.option(
            "--algorithm",
            type=click.Choice(["fast", "paper"]),
            help="Second-order fit with a penalty chosen inside train, or the paper's Algorithm 2."
            "  [default: fast]",
        ),
        click.option("--task", "tasks", multiple=True, help="One or more, e.g. --task mmlu bbh."),
        click.argument("more_tasks", nargs=-1, metavar="[TASK]..."),  # those behind the first
        click.option("--corpus", required=True),
    ):
        command = option(command)
    return command


def split_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which split, and which models test in place of its own."""
    for option in (
        click.option(
            "--test",
            "test",
            multiple=True,
            metavar="MODEL",
            help="Judge on this model, and others so named, in place of the split's test models.",
        ),
        click.option("--split", required=True, help="A stored one, or by-size, without-FAMILY."),
    ):
        command = option(command)
    return command


def ready(db: Path, split: str, test: tuple[str, ...]) -> str:
    """The name of the split to work with; on standard error, how it was made and what leaks."""
    name, notes = splits.ready_split(db, split, test)
    for note in notes:
        click.echo(note, err=True)
    return name


def settings(options: dict[str, Any]) -> Any:
    """A FitConfig of the options given; those not given keep its defaults."""
    given = {name: value for name, value in options.items() if value is not None}
    return config.FitConfig(**given)


@main.command()
@fit_options
@split_options
@click.option("--method", type=click.Choice(METHODS), default="csv", show_default=True)
@database
def fit(
    db: Path,
    corpus: str,
    split: str,
    test: tuple[str, ...],
    tasks: tuple[str, ...],
    more_tasks: tuple[str, ...],
    method: str,
    as_json: bool,
    **options: Any,
) -> None:
    """One fit per task (all tasks if none is named), all optimised together."""
    tasks += more_tasks
    if not tasks:
        with store.connect(db, read_only=True) as connection:
            tasks = tuple(task.task for task in store.tasks(connection))
    wanted = [(task, method) for task in tasks]
    split = ready(db, split, test)
    with progress() as report:
        fits = fitting.fit(db, corpus, split, wanted, settings(options), report)
    if as_json:
        click.echo(json.dumps({"fits": [fit_json(found) for found in fits]}))
        return
    rows = [
        [
            *(found.task, found.fit, slope(found), f"{found.beta:.3g}", str(found.steps)),
            *mse_cells(found),
        ]
        for found in fits
    ]
    header = ["task", "fit", "alpha", "beta", "step", "train", "validation", "test", "noise floor"]
    click.echo(text_table(header, rows))
    for found in fits:
        choice = found.choice
        if choice is not None:
            strength = choice.chosen.strength
            pulled = f"pulled towards {choice.chosen.pull}" + (
                " and no further" if strength is None else f", penalty {strength:.0e}"
            )
            click.echo(f"{found.task}: {pulled}, chosen among {len(choice.tried)}")
        for note in found.notes:
            click.echo(f"{found.task}: {note}")


@main.command()
@fit_options
@split_options
@click.option(
    "--permutations",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Refits of CSV with the accuracies shuffled among the train models, for its p-value.",
)
@table_option
@database
def compare(
    db: Path,
    table: Path | None,
    corpus: str,
    split: str,
    test: tuple[str, ...],
    tasks: tuple[str, ...],
    more_tasks: tuple[str, ...],
    permutations: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Every method and null on the same split: test MSE with its 90 % interval, noise floor.

    Below them stands, for each task, whether CSV is significantly better than all others.

    best-constant is an oracle: it knows the mean accuracy of the test models.
    """
    from csvcore.analysis.comparison import verdict, verdict_sentence

    split = ready(db, split, test)
    with progress() as report:
        rows = comparing.compare(
            db, corpus, split, tasks + more_tasks, settings(options), report, permutations
        )
    records = [asdict(row) for row in rows]
    if table is not None:
        exports.write_rows(records, table)
    if as_json:
        click.echo(json.dumps({"rows": records}))
        return
    cells = [
        [
            *(row.task, row.method, f"{row.test_mse:.2e}", span(row.low, row.high)),
            span(row.difference_low, row.difference_high),
            f"{100 * row.test_mae:.1f}",
            *map(short, (row.r2, row.spearman, row.pairwise, row.covered)),
            figure(row.noise_floor),
        ]
        for row in rows
    ]
    header = [
        *("task", "method", "test MSE", "90 %", "above csv by", "points off"),
        *("R2", "rank", "pairs", "covered", "floor"),
    ]
    click.echo(text_table(header, cells))
    for task in dict.fromkeys(row.task for row in rows):
        if said := verdict([row for row in rows if row.task == task]):
            click.echo(f"{task}, verdict: {verdict_sentence(said)}")
    for row in rows:
        for note in row.notes:
            click.echo(f"{row.task}, {row.method}: {note}")
        if row.p_value is not None:
            click.echo(f"{row.task}, {row.method}: permutation p-value {row.p_value:.3f}")


@main.command()
@fit_options
@table_option
@database
def leave_one_family_out(
    db: Path,
    table: Path | None,
    corpus: str,
    tasks: tuple[str, ...],
    more_tasks: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Every method with each family in turn unseen; the splits are stored as without-FAMILY."""
    with progress() as report:
        found = leaving_out.leave_one_family_out(
            db, corpus, tasks + more_tasks, settings(options), report
        )
    rows = [{"family": one.family, "split": one.split} | asdict(one.row) for one in found]
    if table is not None:
        exports.write_rows(rows, table)
    if as_json:
        click.echo(json.dumps({"rows": rows}))
        return
    families = list(dict.fromkeys(one.family for one in found))
    mse = {(one.family, one.row.task, one.row.method): one.row.test_mse for one in found}
    cells = [
        [task, method]
        + [figure(mse.get((family, task, method))) for family in families]
        + [figure(median), "-" if worst is None else f"{worst:.2f}"]
        for task, method, median, worst, _ in leaving_out.medians(found)
    ]
    header = ["task", "method", *(f"without {family}" for family in families)]
    click.echo(text_table([*header, "median", "worst / all-token"], cells))


@main.command()
@click.option("--fit", "fit_id", required=True)
@click.option("--out", type=OUT, required=True)
@database
def weights(db: Path, fit_id: str, out: Path) -> None:
    """The salience of every token, as Parquet, or as CSV where --out ends so."""
    click.echo(exports.export_weights(db, fit_id, out))


@main.command()
@click.option("--fit", "fit_id", required=True, help="As `csvcore fits` lists it.")
@click.option("--out", type=OUT, required=True, help="An HTML file.")
@database
def report(db: Path, fit_id: str, out: Path) -> None:
    """A fit, its rivals and its highlights as one self-contained page."""
    click.echo(reports.write_report(db, fit_id, out))


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
    shown = table[names].astype({"created": "datetime64[s]"}).astype({"created": str})
    for name in ("mse_train", "mse_test"):
        shown[name] = [figure(None if math.isnan(value) else value) for value in table[name]]
    click.echo(text_table(names, shown.to_numpy().tolist()))


def fit_json(fit: Fit) -> dict[str, Any]:
    """A fit as the contract's JSON; the trace stays in the database."""
    record = asdict(fit)
    for name in ("trace", "config", "n_chars", "residuals"):
        del record[name]
    if record["choice"] is not None:
        for penalty in (record["choice"]["chosen"], *record["choice"]["tried"]):
            penalty["figure"] = penalty.pop("cv_error")
    record["predictions"] = [
        {"split" if key == "side" else key: value for key, value in prediction.items()}
        for prediction in record["predictions"]
    ]
    return record


def slope(fit: Fit) -> str:
    """alpha, or in its place that it has none."""
    return "step" if any(note.startswith("step-like") for note in fit.notes) else f"{fit.alpha:.3g}"


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
