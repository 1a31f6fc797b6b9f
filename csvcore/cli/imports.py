"""Commands that make the database and fill it."""

from collections import Counter
from pathlib import Path
from typing import Any

import click

from csvcore.cli.base import FILE, PATH, database, main, progress
from csvcore.pipeline import imports, splits


@main.command()
@click.option("--zoo", is_flag=True, help="Load the bundled measurements.")
@database
def init(db: Path, zoo: bool) -> None:
    """Make the database."""
    click.echo(imports.init(db, zoo))


@main.group("import")
def import_() -> None:
    """Bring in files; each import is all or nothing."""


@import_.command("corpus")
@click.argument("file", type=PATH)
@click.option("--name", required=True)
@database
def import_corpus(db: Path, file: Path, name: str) -> None:
    """Documents of a JSONL, CSV or Parquet file, or of a folder with one text file each."""
    click.echo(imports.import_corpus(db, file, name))


@import_.command("losses")
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--corpus", help="Needed for packs without a manifest.")
@database
def import_losses(db: Path, files: tuple[Path, ...], corpus: str | None) -> None:
    """Loss packs."""
    click.echo(imports.import_losses(db, files, corpus))


@import_.command("models")
@click.argument("file", type=FILE)
@database
def import_models(db: Path, file: Path) -> None:
    """Model cards of a CSV file."""
    click.echo(imports.import_models(db, file))


@import_.command("tasks")
@click.argument("file", type=FILE)
@database
def import_tasks(db: Path, file: Path) -> None:
    """Tasks and chance levels of a CSV file."""
    click.echo(imports.import_tasks(db, file))


@import_.command("accuracies")
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "lm-eval", "opencompass"]),
    default="csv",
    show_default=True,
    help="CSV is long (model,task,accuracy) or wide (model, and a column a task).",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="[TASK=]METRIC",
    help="Of result files, by preference, e.g. acc_norm or gsm8k=exact_match,strict-match.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="STORED[=THEIRS]",
    help="A task or column to take.  [default: of result files all stored tasks, of CSV all]",
)
@click.option("--names", type=FILE, help="CSV of name,model: what models are stored as.")
@click.option(
    "--chance",
    "chances",
    multiple=True,
    metavar="TASK=LEVEL",
    help="Store this task too, with the accuracy of guessing, e.g. arc_easy=0.25.",
)
@database
def import_accuracies(
    db: Path,
    files: tuple[Path, ...],
    form: str,
    metrics: tuple[str, ...],
    tasks: tuple[str, ...],
    names: Path | None,
    chances: tuple[str, ...],
) -> None:
    """Accuracies of CSV files, of lm-evaluation-harness (result folders) or of OpenCompass."""
    from csvcore.formats import csv_tables

    if form == "csv" and metrics:
        raise click.UsageError("--metric is for result files, not for CSV")
    theirs = [task.split("=", 1) for task in tasks]
    for name, count in Counter(pair[-1] for pair in theirs).items():
        if count > 1:
            raise click.UsageError(f"--task takes {name} {count} times; a result has one task here")
    wanted = {pair[-1]: pair[0] for pair in theirs}
    new = csv_tables.chance_levels(chances)
    click.echo(imports.import_accuracies(db, files, form, metrics, wanted, names, new))


@import_.command("completions")
@click.argument("url")
@click.option("--served", required=True, help="The model's name on the server.")
@click.option("--reference", required=True, help="The same model: folder, .gguf or hub name.")
@click.option("--corpus", required=True)
@click.option("--name", help="What to store it as.")
@click.option("--tolerance", type=click.FloatRange(0), default=0.02, show_default=True)
@click.option("--key", envvar="OPENAI_API_KEY", help="The server's key, or $OPENAI_API_KEY.")
@database
def import_completions(db: Path, corpus: str, **options: Any) -> None:
    """Token losses of a server (URL up to /v1), once two documents agree with the model itself."""
    from csvcore.pipeline import completions

    with progress() as report:
        message = completions.import_completions(
            db,
            corpus,
            completions.ServerConfig(**options),
            lambda done, total: report(done, total, "asking the server"),
        )
    click.echo(message)


@import_.command("split")
@click.argument("file", type=FILE)
@click.option("--name", required=True)
@database
def import_split(db: Path, file: Path, name: str) -> None:
    """A split of the models; of an exported splits.csv, the one of that name."""
    click.echo(imports.import_split(db, file, name))


@main.command("split")
@click.option("--name", required=True)
@click.option(
    "--from",
    "start",
    required=True,
    help="A stored split, or by-size, table-2 or without-FAMILY over all models.",
)
@click.option("--test", multiple=True, metavar="MODEL", help="Tests in place of its test models.")
@database
def split_(db: Path, name: str, start: str, test: tuple[str, ...]) -> None:
    """Store a split made from a preset or another split; warns where something leaks."""
    said, leaks = splits.make_split(db, name, start, test)
    click.echo(said)
    for leak in leaks:
        click.echo(leak, err=True)
