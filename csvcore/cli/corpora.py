"""Commands that make a corpus out of data sets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from csvcore.cli.base import FILE, OUT, main


def _pairs(number: bool) -> Callable[..., dict[str, Any]]:
    def read(
        context: click.Context, option: click.Parameter, given: tuple[str, ...]
    ) -> dict[str, Any]:
        pairs = dict(one.partition("=")[::2] for one in given)
        if not all(pairs.values()) or (number and not all(v.isdecimal() for v in pairs.values())):
            raise click.BadParameter(f"write SOURCE={'NUMBER' if number else 'PLACE'}")
        return {key: int(value) for key, value in pairs.items()} if number else pairs

    return read


@main.group()
def corpus() -> None:
    """Make a corpus out of data sets."""


@corpus.command()
def recipe() -> None:
    """Print the recipe of the paper's 550 documents, to change it."""
    from csvcore.formats.corpora import PAPER

    click.echo(PAPER.read_text(encoding="utf-8"), nl=False)


@corpus.command()
@click.option("--out", type=OUT, required=True, help="The documents, as JSON lines.")
@click.option("--recipe", "file", type=FILE, help="A recipe of your own.  [default: the paper's]")
@click.option("--seed", type=click.IntRange(0), help="In place of the recipe's.")
@click.option(
    "--count",
    "counts",
    multiple=True,
    metavar="SOURCE=N",
    callback=_pairs(number=True),
    help="How many documents of a source, in place of the recipe's.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="SOURCE=PLACE",
    callback=_pairs(number=False),
    help="Folder or hub name of a source's data, in place of the recipe's.",
)
def sample(
    out: Path, file: Path | None, seed: int | None, counts: dict[str, int], data: dict[str, str]
) -> None:
    """Draw documents from benchmarks' own data: folders or data sets of the Hugging Face hub."""
    from dataclasses import replace

    from csvcore.formats import corpora

    chosen = corpora.read_recipe(file or corpora.PAPER).with_changes(counts, data)
    chosen = chosen if seed is None else replace(chosen, seed=seed)
    docs = []
    for part, drawn in corpora.sample(chosen):
        click.echo(f"{part.source}: {len(drawn)} documents of {part.data}", err=True)
        docs += drawn
    corpora.write_corpus(out, docs)
    click.echo(f"{out}: {len(docs)} documents; csvcore import corpus {out} --name NAME")
