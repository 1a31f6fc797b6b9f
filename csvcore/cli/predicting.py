"""Commands that use fits: forecasts of new models, and what to validate on."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from csvcore.cli.base import FILE, database, main, progress, text_table
from csvcore.cli.fitting import figure, settings, span


@main.command()
@click.option("--fit", "fit_id", required=True, help="As `csvcore fits` lists it.")
@click.option("--model", "models", multiple=True, help="One or more with losses in the database.")
@click.option("--losses", "files", type=FILE, multiple=True, help="Loss packs of further models.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.argument("more_models", nargs=-1, metavar="[MODEL]...")  # those behind the first
@database
def predict(
    db: Path,
    fit_id: str,
    models: tuple[str, ...],
    files: tuple[Path, ...],
    more_models: tuple[str, ...],
    as_json: bool,
) -> None:
    """Accuracy of models that need none, with 90 % intervals.

    Without models and packs, of all with losses on the fit's corpus that the fit did not use.
    """
    from csvcore import pipeline

    found = pipeline.predict(db, fit_id, models + more_models, files)
    if as_json:
        click.echo(json.dumps({"fit": fit_id, "predictions": [asdict(one) for one in found]}))
        return
    rows = [
        [
            *(one.model, f"{one.score:.4f}", f"{one.predicted:.3f}"),
            f"{one.low:.3f} to {one.high:.3f}",
            "beyond the train models" if one.extrapolated else "",
        ]
        for one in found
    ]
    click.echo(text_table(["model", "score", "predicted", "90 %", "score lies"], rows))


@main.command()
@click.option("--corpus", "corpora", required=True, multiple=True, help="One or more.")
@click.option("--split", required=True)
@click.option("--task", required=True)
@click.option(
    "--budget-tokens",
    type=click.IntRange(1),
    help="Size of every mix in tokens of the scorer.  [default: the smallest source's]",
)
@click.option("--out", type=FILE, help="Write the documents of the recommended mix here, as JSON.")
@click.option("--save", "name", help="Store the recommended mix as a corpus of this name.")
@click.option("--scorer", help="Folder or hub name of the scoring model.")
@click.option("--own-units", is_flag=True, help="Weigh the losses' units, such as words.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@database
def mixes(
    db: Path,
    corpora: tuple[str, ...],
    split: str,
    task: str,
    budget_tokens: int | None,
    out: Path | None,
    name: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Which sources, and how much of each, predict a task best; the recommended mix first.

    Mixes are chosen by the error on models left out inside train and validation; the test models
    have no part in it.
    """
    from csvcore import pipeline

    with progress() as report:
        found = pipeline.mixes(db, corpora, split, task, settings(options), budget_tokens, report)
    if out is not None:
        building = out.with_name(f".{out.name}.part")
        building.write_text(json.dumps({"doc_ids": found[0].doc_ids}) + "\n", encoding="utf-8")
        building.replace(out)
    if name is not None:
        pipeline.save_mix(db, corpora, found[0].doc_ids, name)
    if as_json:
        click.echo(json.dumps({"mixes": [asdict(mix) for mix in found]}))
        return
    rows = [
        [
            ", ".join(f"{share:.0%} {source}" for source, share in mix.shares.items()),
            *(str(mix.n_tokens), str(len(mix.doc_ids)), f"{100 * mix.error:.1f}"),
            *(figure(mix.test_mse), span(mix.low, mix.high)),
        ]
        for mix in found
    ]
    header = ["mix", "tokens", "documents", "points off when left out", "test MSE", "90 %"]
    click.echo(text_table(header, rows))
