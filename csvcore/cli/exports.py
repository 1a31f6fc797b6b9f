"""Commands that export stored data, and `doctor`, which checks it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click

from csvcore import store
from csvcore.cli.base import FILE, OUT, SAFE_CSV, database, echo, main
from csvcore.pipeline import exports

FOLDER = click.Path(path_type=Path)


@main.group()
def export() -> None:
    """Export stored data as files."""


@export.command("losses")
@click.option("--corpus", required=True, help="Name of a stored corpus.")
@click.option(
    "--model", "models", multiple=True, help="Models to export.  [default: all with losses]"
)
@click.option("--out", type=OUT, required=True, help="Loss pack to write (Parquet).")
@click.argument("more_models", nargs=-1, metavar="[MODEL]...")  # those behind the first
@database
def export_losses(
    db: Path, corpus: str, models: tuple[str, ...], out: Path, more_models: tuple[str, ...]
) -> None:
    """Write token losses as one loss pack with its manifest."""
    echo(exports.export_losses(db, corpus, models + more_models, out))


@export.command("items")
@click.option("--out", type=OUT, required=True, help="Parquet file to write.")
@database
def export_items(db: Path, out: Path) -> None:
    """Write all item results as one file: model, task, item, correct."""
    echo(exports.export_items(db, out))


@export.command("tables")
@click.option("--out", type=FOLDER, required=True, help="Folder to write.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
    help="File format.",
)
@SAFE_CSV
@database
def export_tables(db: Path, out: Path, form: exports.Format, safe_csv: bool) -> None:
    """Write models, accuracies, splits, documents, fits, predictions and more, a file each."""
    echo(exports.export_tables(db, out, form, safe_csv))


@export.command("weights")
@click.option("--fit", "fit_id", required=True, help="Id of a stored fit, from `csvcore fits`.")
@click.option("--out", type=FOLDER, required=True, help="Folder to write.")
@database
def export_weights(db: Path, fit_id: str, out: Path) -> None:
    """Write the salience of every token as a data set folder for Hugging Face `datasets`."""
    echo(exports.export_weights_dataset(db, fit_id, out))


@export.command("figures")
@click.option("--fit", "fit_id", required=True, help="Id of a stored fit, from `csvcore fits`.")
@click.option("--out", type=FOLDER, required=True, help="Folder to write.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "svg", "pdf", "png"]),
    default="html",
    show_default=True,
    help="File format; html has the salient text as well.",
)
@click.option("--width", type=float, help="Width in inches, not of html.  [default: 5.5]")
@click.option("--font-size", type=float, help="Font size in points, not of html.  [default: 9]")
@click.option(
    "--theme",
    type=click.Choice(["light", "dark", "grey"]),
    help="Colours, not of html; grey is for print without colour.  [default: light]",
)
@database
def export_figures_command(
    db: Path, fit_id: str, out: Path, form: Literal["html", "svg", "pdf", "png"], **style: Any
) -> None:
    """Draw every figure of a fit as interactive HTML, or as SVG, PDF or PNG for a paper."""
    from csvcore.figures.printed import PrintStyle
    from csvcore.report import export_figures, print_figures

    given = {name: value for name, value in style.items() if value is not None}
    if form != "html":
        echo(print_figures(db, fit_id, out, form, PrintStyle(**given)))
        return
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.UsageError(f"{flags} is of svg, pdf and png; add --format svg")
    echo(export_figures(db, fit_id, out))


@main.command()
@click.argument("file", type=OUT)
@database
def backup(db: Path, file: Path) -> None:
    """Write a consistent copy of the database to FILE, also while it is in use."""
    store.backup(db, file)
    echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB, the state of {db} just now")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--untrusted",
    type=FILE,
    help="Check this database from elsewhere instead, before its first use; it is not changed.",
)
@click.option(
    "--clean",
    is_flag=True,
    help="Remove unfinished files, uploads and shards beside the database that nobody uses.",
)
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, untrusted: Path | None, clean: bool) -> None:
    """Check the installation, the database and every stored loss; exit with 1 on an error."""
    from csvcore.doctor import look, look_at_untrusted

    checks = []
    if untrusted and clean:
        raise click.UsageError("--clean is of the own database, --untrusted changes nothing")
    for check in look_at_untrusted(untrusted) if untrusted else look(ctx.obj, clean):
        checks.append(check)
        if not as_json:
            echo(f"{check.state:5}  {check.what}: {check.said}")
    sound = all(check.state != "wrong" for check in checks)
    if as_json:
        echo(json.dumps({"sound": sound, "checks": [asdict(check) for check in checks]}))
    ctx.exit(0 if sound else 1)
