"""Commands that make a corpus from data sets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from csvcore.cli.base import FILE, OUT, echo, main


def _pairs(number: bool) -> Callable[..., dict[str, Any]]:
    def read(
        context: click.Context, option: click.Parameter, given: tuple[str, ...]
    ) -> dict[str, Any]:
        pairs = dict(pair.partition("=")[::2] for pair in given)
        if not all(pairs.values()) or (number and not all(v.isdecimal() for v in pairs.values())):
            raise click.BadParameter(f"write SOURCE={'NUMBER' if number else 'PATH'}")
        return {key: int(value) for key, value in pairs.items()} if number else pairs

    return read


@main.group()
def corpus() -> None:
    """Make a corpus from data sets."""


@corpus.command()
def recipe() -> None:
    """Print the recipe of the paper's 550 documents, as a start for one of your own."""
    from csvcore.formats.corpora import PAPER

    echo(PAPER.read_text(encoding="utf-8"), nl=False)


@corpus.command()
@click.option("--out", type=OUT, required=True, help="JSONL file to write the documents to.")
@click.option("--recipe", "file", type=FILE, help="Recipe to use.  [default: the paper's]")
@click.option("--seed", type=click.IntRange(0), help="Seed to use instead of the recipe's.")
@click.option(
    "--count",
    "counts",
    multiple=True,
    metavar="SOURCE=N",
    callback=_pairs(number=True),
    help="Number of documents of a source, instead of the recipe's.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="SOURCE=PATH",
    callback=_pairs(number=False),
    help="Folder or Hub name of a source's data, instead of the recipe's.",
)
def sample(
    out: Path, file: Path | None, seed: int | None, counts: dict[str, int], data: dict[str, str]
) -> None:
    """Sample documents from benchmarks: folders or data sets of the Hugging Face Hub."""
    from dataclasses import replace

    from csvcore.formats import corpora

    chosen = corpora.read_recipe(file or corpora.PAPER).with_changes(counts, data)
    chosen = chosen if seed is None else replace(chosen, seed=seed)
    docs = []
    for part, drawn in corpora.sample(chosen):
        echo(f"{part.source}: {len(drawn)} documents of {part.data}", err=True)
        docs += drawn
    corpora.write_corpus(out, docs)
    echo(f"{out}: {len(docs)} documents; csvcore import corpus {out} --name NAME")
