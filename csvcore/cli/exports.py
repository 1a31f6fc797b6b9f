"""Commands that give out what the database holds, and look at whether it is sound."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from csvcore.cli.base import OUT, database, main
from csvcore.pipeline import exports

FOLDER = click.Path(path_type=Path)


@main.group()
def export() -> None:
    """Write what the database holds as files for others."""


@export.command("losses")
@click.option("--corpus", required=True)
@click.option("--model", "models", multiple=True, help="One or more.  [default: all with losses]")
@click.option("--out", type=OUT, required=True, help="The loss pack, Parquet.")
@click.argument("more_models", nargs=-1, metavar="[MODEL]...")  # those behind the first
@database
def export_losses(
    db: Path, corpus: str, models: tuple[str, ...], out: Path, more_models: tuple[str, ...]
) -> None:
    """Token losses as one loss pack with its manifest."""
    click.echo(exports.export_losses(db, corpus, models + more_models, out))


@export.command("tables")
@click.option("--out", type=FOLDER, required=True, help="A folder.")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv")
@database
def export_tables(db: Path, out: Path, form: Literal["csv", "parquet"]) -> None:
    """Models, accuracies, splits, documents, fits, predictions and more, a file each."""
    click.echo(exports.export_tables(db, out, form))


@export.command("weights")
@click.option("--fit", "fit_id", required=True, help="As `csvcore fits` lists it.")
@click.option("--out", type=FOLDER, required=True, help="A folder.")
@database
def export_weights(db: Path, fit_id: str, out: Path) -> None:
    """The salience of every token as a folder that Hugging Face's datasets loads."""
    click.echo(exports.export_weights_dataset(db, fit_id, out))


@export.command("figures")
@click.option("--fit", "fit_id", required=True, help="As `csvcore fits` lists it.")
@click.option("--out", type=FOLDER, required=True, help="A folder.")
@database
def export_figures_command(db: Path, fit_id: str, out: Path) -> None:
    """Every figure of a fit, and its highlights, as HTML."""
    from csvcore.report import export_figures

    click.echo(export_figures(db, fit_id, out))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check the installation, the database and every stored loss; exit status 1 if one is wrong."""
    from csvcore.doctor import look

    found = []
    for check in look(ctx.obj):
        found.append(check)
        if not as_json:
            click.echo(f"{check.state:5}  {check.what}: {check.said}")
    sound = all(check.state != "wrong" for check in found)
    if as_json:
        click.echo(json.dumps({"sound": sound, "checks": [asdict(check) for check in found]}))
    ctx.exit(0 if sound else 1)
