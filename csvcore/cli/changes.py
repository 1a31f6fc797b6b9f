"""Commands that remove stored things, or replace them by those of a file."""

import sys
from pathlib import Path
from typing import Any

import click

from csvcore import store
from csvcore.cli.base import FILE, PATH, database, echo, main, on_terminal
from csvcore.cli.imports import accuracy_options, evaluations_of
from csvcore.errors import InputError
from csvcore.pipeline import importers
from csvcore.store import Changes, Edit, Target
from csvcore.store.changes import counted

SHOWN = 20  # changes of a kind that are written out
YES = click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")


def lines(changes: Changes) -> list[str]:
    """Return what changes, in lines: a number of each kind, then names, with old and new values."""
    told = []
    for effect, what, number in changes.counts():
        rows = [row for row in changes.rows if (row.what, row.effect) == (what, effect)]
        told.append(f"{effect}: {counted(what, number)}")
        for row in rows[:SHOWN]:
            values = f"{row.before} -> {row.after}" if effect == "changed" else row.after
            told.append(f"  {row.name}{f': {values}' if values else ''}")
        if number > SHOWN:
            told.append(f"  and {number - SHOWN:,} more")
    if changes.n_unchanged:
        told.append(f"unchanged: {changes.n_unchanged:,}")
    return told


def asks() -> bool:
    """Return whether there is a terminal to ask in."""
    return on_terminal(sys.stdin)


def carry_out(db: Path, edit: Edit, yes: bool, whole_losses: bool = False) -> None:
    """Print what an edit would change, ask unless told, and do it."""
    planned = store.rehearse(db, edit, whole_losses)
    for line in lines(planned):
        echo(line)
    if not planned.rows:
        echo("nothing changes")
        return
    if not yes:
        if not asks():
            raise InputError(
                "nothing was changed: there is no terminal to ask in; add --yes to do what is "
                "listed"
            )
        click.confirm("Do this?", abort=True)
    done = store.perform(db, edit, planned.fingerprint, whole_losses)
    number = ", ".join(
        f"{counted(what, number)} {effect}" for effect, what, number in done.counts()
    )
    echo(f"done: {number}")


@main.group()
def remove() -> None:
    """Remove stored things with all that was made from them; lists them first and asks."""


def _by_name(command: str, kind: Any, metavar: str, help_text: str) -> None:
    """Add `csvcore remove COMMAND NAME...` for a kind of things that have names."""

    @remove.command(command, help=help_text)
    @click.argument("names", nargs=-1, required=True, metavar=f"{metavar}...")
    @YES
    @database
    def command_(db: Path, names: tuple[str, ...], yes: bool) -> None:
        carry_out(db, store.removal(Target(kind, names=names)), yes)


_by_name(
    "models", "models", "MODEL",
    "Remove models: cards, losses, accuracies, sides in splits, and fits made with them.",
)  # fmt: skip
_by_name("tasks", "tasks", "TASK", "Remove tasks with their accuracies and fits.")
_by_name("corpus", "corpora", "NAME", "Remove corpora with their documents, losses and fits.")
_by_name("split", "splits", "NAME", "Remove splits with the fits on them.")
_by_name("fits", "fits", "FIT", "Remove fits; `csvcore fits` lists their ids.")

MODELS = click.option("--model", "models", multiple=True, help="Only of this model; repeatable.")


@remove.command("accuracies")
@MODELS
@click.option("--task", "tasks", multiple=True, help="Only on this task; repeatable.")
@YES
@database
def remove_accuracies(db: Path, models: tuple[str, ...], tasks: tuple[str, ...], yes: bool) -> None:
    """Remove accuracies with their item results, and fits made with them."""
    if not models and not tasks:
        raise click.UsageError("say whose accuracies with --model or on what with --task")
    carry_out(db, store.removal(Target("accuracies", models=models, tasks=tasks)), yes)


@remove.command("losses")
@click.option("--corpus", required=True, help="Name of a stored corpus.")
@MODELS
@YES
@database
def remove_losses(db: Path, corpus: str, models: tuple[str, ...], yes: bool) -> None:
    """Remove losses on a corpus, by default of all models, and fits made with them."""
    carry_out(db, store.removal(Target("losses", corpora=(corpus,), models=models)), yes)


@main.group()
def replace() -> None:
    """Import a file over what is stored; lists what changes first and asks."""


@replace.command("models")
@click.argument("file", type=FILE)
@YES
@database
def replace_models(db: Path, file: Path, yes: bool) -> None:
    """Replace model cards by those of a CSV file; an empty cell empties the card's."""
    carry_out(db, importers.models(file, replace=True), yes)


@replace.command("accuracies")
@click.argument("files", type=PATH, nargs=-1, required=True)
@accuracy_options
@YES
@database
def replace_accuracies(db: Path, files: tuple[Path, ...], yes: bool, **options: Any) -> None:
    """Replace accuracies by those of files; item results and fits of the old ones are removed."""
    carry_out(db, importers.accuracies(db, files, evaluations_of(**options), replace=True), yes)


@replace.command("losses")
@click.argument("file", type=FILE)
@click.option("--corpus", help="Name of a stored corpus, for a pack without a manifest.")
@YES
@database
def replace_losses(db: Path, file: Path, corpus: str | None, yes: bool) -> None:
    """Replace all losses of a loss pack's models on its corpus; fits made with them are removed."""
    carry_out(db, importers.losses(db, [file], corpus, replace=True), yes, whole_losses=True)


@replace.command("split")
@click.argument("file", type=FILE)
@click.option("--name", required=True, help="Name of the split.")
@YES
@database
def replace_split(db: Path, file: Path, name: str, yes: bool) -> None:
    """Replace a split by that of a CSV file; fits on the old one stay, as stale."""
    carry_out(db, importers.split(file, name, replace=True), yes)
