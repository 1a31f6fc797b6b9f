"""Commands that write what the database holds for other programs and people."""

from pathlib import Path
from typing import Literal

import click

from csvcore.cli.base import database, main

FOLDER = click.Path(path_type=Path)


@main.group()
def export() -> None:
    """Write out what the database holds."""


@export.command("tables")
@click.option("--out", type=FOLDER, required=True, help="A folder.")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv")
@database
def export_tables(db: Path, out: Path, form: Literal["csv", "parquet"]) -> None:
    """Models, accuracies, splits, documents, fits, predictions and more, a file each."""
    from csvcore import pipeline

    click.echo(pipeline.export_tables(db, out, form))


@export.command("weights")
@click.option("--fit", "fit_id", required=True, help="As `csvcore fits` lists it.")
@click.option("--out", type=FOLDER, required=True, help="A folder.")
@database
def export_weights(db: Path, fit_id: str, out: Path) -> None:
    """The salience of every token as a folder that Hugging Face's datasets loads."""
    from csvcore import pipeline

    click.echo(pipeline.export_weights_dataset(db, fit_id, out))


@export.command("figures")
@click.option("--fit", "fit_id", required=True, help="As `csvcore fits` lists it.")
@click.option("--out", type=FOLDER, required=True, help="A folder.")
@database
def export_figures(db: Path, fit_id: str, out: Path) -> None:
    """Every figure of a fit, and its highlights, as HTML."""
    from csvcore import pipeline

    click.echo(pipeline.export_figures(db, fit_id, out))
