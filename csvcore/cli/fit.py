"""Commands that fit, and that write out a stored fit."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from csvcore.cli.base import (
    OUT,
    SAFE_CSV,
    database,
    echo,
    format_number,
    main,
    progress,
    text_table,
)
from csvcore.cli.options import METHODS, fit_id_option, fit_options, split_options
from csvcore.records import Fit

if TYPE_CHECKING:
    from csvcore.fitting.config import FitConfig


@main.command("fit")
@database
@fit_options
@split_options
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="csv",
    show_default=True,
    help="CSV or the baseline to fit.",
)
def fit_command(
    db: Path,
    corpus: str,
    split: str,
    tasks: tuple[str, ...],
    method: str,
    config: "FitConfig",
    as_json: bool,
) -> None:
    """Fit one law per task, by default for all tasks, and store the fits."""
    from csvcore import store
    from csvcore.pipeline.fit import fit

    if not tasks:
        with store.connect(db, read_only=True) as connection:
            tasks = tuple(task.task for task in store.tasks(connection))
    with progress() as report:
        fits = fit(db, corpus, split, [(task, method) for task in tasks], config, report)
    if as_json:
        echo(json.dumps({"fits": [fit_json(record) for record in fits]}))
        return
    echo(fit_table(fits))
    for record in fits:
        for line in fit_notes(record):
            echo(f"{record.task}: {line}")


def fit_table(fits: Sequence[Fit]) -> str:
    """Return a text table of fits: alpha, beta and the MSE of each side."""
    header = ["task", "fit", "alpha", "beta", "step", "train", "validation", "test", "noise floor"]
    rows = [
        [record.task, record.fit, slope(record), f"{record.beta:.3g}", str(record.steps)]
        + [format_number(record.mse.get(side)) for side in ("train", "validation", "test")]
        + [format_number(record.noise_floor.get("test"))]
        for record in fits
    ]
    return text_table(header, rows)


def fit_notes(fit: Fit) -> list[str]:
    """Return the chosen penalty and the fit's notes."""
    if fit.choice is None:
        return list(fit.notes)
    chosen = fit.choice.chosen
    strength = " and no further" if chosen.strength is None else f", penalty {chosen.strength:.0e}"
    pull = f"pulled towards {chosen.pull}{strength}, chosen among {len(fit.choice.tried)}"
    return [pull, *fit.notes]


@main.command()
@fit_id_option
@click.option("--out", type=OUT, required=True, help="A Parquet or CSV file, by its name.")
@SAFE_CSV
@database
def weights(db: Path, fit_id: str, out: Path, safe_csv: bool) -> None:
    """Write the salience of every token."""
    from csvcore.pipeline import exports

    echo(exports.export_weights(db, fit_id, out, safe_csv))


@main.command()
@fit_id_option
@click.option("--out", type=OUT, required=True, help="An HTML file.")
@database
def report(db: Path, fit_id: str, out: Path) -> None:
    """Write a fit, its comparison and its salient text as one self-contained page."""
    from csvcore.report import write_report

    echo(write_report(db, fit_id, out))


def fit_json(fit: Fit) -> dict[str, Any]:
    """Return a fit as the contract's JSON; the trace stays in the database."""
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
    """Return alpha as text, or "step" for a step-like law."""
    return "step" if any(note.startswith("step-like") for note in fit.notes) else f"{fit.alpha:.3g}"
