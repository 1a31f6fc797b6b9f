"""Commands that create the database and import files into it."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from csvcore.cli.base import FILE, PATH, database, echo, main, progress
from csvcore.pipeline import imports, splits
from csvcore.pipeline.importers import Evaluations


@main.command()
@click.option("--zoo", is_flag=True, help="Also load the bundled measurements.")
@database
def init(db: Path, zoo: bool) -> None:
    """Create the results database."""
    echo(imports.init(db, zoo))


@main.group("import")
def import_() -> None:
    """Import files; each import is all or nothing."""


@import_.command("corpus")
@click.argument("file", type=PATH)
@click.option("--name", required=True, help="Name to store the corpus by.")
@database
def import_corpus(db: Path, file: Path, name: str) -> None:
    """Import documents from a JSONL, CSV or Parquet file, or from a folder of text files."""
    echo(imports.import_corpus(db, file, name))


@import_.command("losses")
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--corpus", help="Name of a stored corpus, for packs without a manifest.")
@database
def import_losses(db: Path, files: tuple[Path, ...], corpus: str | None) -> None:
    """Import loss packs."""
    echo(imports.import_losses(db, files, corpus))


@import_.command("models")
@click.argument("file", type=FILE)
@database
def import_models(db: Path, file: Path) -> None:
    """Import model cards from a CSV file."""
    echo(imports.import_models(db, file))


@import_.command("tasks")
@click.argument("file", type=FILE)
@database
def import_tasks(db: Path, file: Path) -> None:
    """Import tasks and chance levels from a CSV file."""
    echo(imports.import_tasks(db, file))


def accuracy_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how accuracies are read from files; see `evaluations_of`."""
    options = [
        click.option(
            "--format",
            "form",
            type=click.Choice(["csv", "lm-eval", "opencompass"]),
            default="csv",
            show_default=True,
            help="Format of the files; CSV has columns model,task,accuracy, or model and one per "
            "task.",
        ),
        click.option(
            "--metric",
            "metrics",
            multiple=True,
            metavar="[TASK=]METRIC",
            help="Metrics in results, preferred first, e.g. acc_norm or "
            "gsm8k=exact_match,strict-match.",
        ),
        click.option(
            "--task",
            "tasks",
            multiple=True,
            metavar="STORED[=THEIRS]",
            help="Tasks or columns to import.  [default: all in a CSV, all stored tasks in "
            "results]",
        ),
        click.option("--names", type=FILE, help="CSV of name,model: names to store models by."),
        click.option(
            "--chance",
            "chances",
            multiple=True,
            metavar="TASK=LEVEL",
            help="Also store this task with its chance level, e.g. arc_easy=0.25.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def evaluations_of(
    form: str,
    metrics: Sequence[str],
    tasks: Sequence[str],
    names: Path | None,
    chances: Sequence[str],
) -> Evaluations:
    """Return how accuracies are read, from the options of `accuracy_options`."""
    from csvcore.formats import csv_tables

    if form == "csv" and metrics:
        raise click.UsageError("--metric is for result files, not for CSV")
    theirs = [task.split("=", 1) for task in tasks]
    for name, count in Counter(pair[-1] for pair in theirs).items():
        if count > 1:
            raise click.UsageError(f"--task takes {name} {count} times; a result has one task here")
    wanted = {pair[-1]: pair[0] for pair in theirs}
    return Evaluations(form, metrics, wanted, names, csv_tables.chance_levels(chances))


@import_.command("accuracies")
@click.argument("files", type=PATH, nargs=-1, required=True)
@accuracy_options
@database
def import_accuracies(db: Path, files: tuple[Path, ...], **options: Any) -> None:
    """Import accuracies from CSV files, or from lm-evaluation-harness or OpenCompass results."""
    how = evaluations_of(**options)
    echo(
        imports.import_accuracies(
            db, files, how.form, how.metrics, how.tasks, how.names, how.new_tasks
        )
    )


@import_.command("items")
@click.argument("file", type=FILE)
@database
def import_items(db: Path, file: Path) -> None:
    """Import the result of each model on each item from a Parquet file.

    Its columns are model, task, item and correct. Accuracies that are not stored are made from it.
    """
    echo(imports.import_items(db, file))


@import_.command("completions")
@click.argument("url")
@click.option("--served", required=True, help="Name of the model on the server.")
@click.option("--reference", required=True, help="Same model as a folder, .gguf or Hub name.")
@click.option("--corpus", required=True, help="Name of a stored corpus.")
@click.option("--name", help="Name to store the model by.  [default: the reference's]")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.02,
    show_default=True,
    help="Largest mean difference to the reference, in nats per token.",
)
@click.option("--key", envvar="OPENAI_API_KEY", help="API key.  [default: $OPENAI_API_KEY]")
@database
def import_completions(db: Path, corpus: str, **options: Any) -> None:
    """Import token losses from the server at URL (up to /v1).

    Two documents are first compared with the reference model.
    """
    from csvcore.pipeline import completions

    with progress() as report:
        message = completions.import_completions(
            db,
            corpus,
            completions.ServerConfig(**options),
            lambda done, total: report(done, total, "asking the server"),
        )
    echo(message)


@import_.command("split")
@click.argument("file", type=FILE)
@click.option("--name", required=True, help="Name to store the split by.")
@database
def import_split(db: Path, file: Path, name: str) -> None:
    """Import a split of the models from a CSV file.

    From an exported splits.csv, the split of that name is read.
    """
    echo(imports.import_split(db, file, name))


@main.command("split")
@click.option("--name", required=True, help="Name to store the split by.")
@click.option(
    "--from",
    "start",
    required=True,
    help="Split to start from: a stored one, or by-size, table-2, without-FAMILY.",
)
@click.option("--test", multiple=True, metavar="MODEL", help="Test model in place of its own.")
@database
def split_(db: Path, name: str, start: str, test: tuple[str, ...]) -> None:
    """Make a split from a preset or another split, store it and warn of data leaks."""
    message, leaks = splits.make_split(db, name, start, test)
    echo(message)
    for leak in leaks:
        echo(leak, err=True)
