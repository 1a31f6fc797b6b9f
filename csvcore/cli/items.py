"""The command that tells accuracies from item results and compares two models on them."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from csvcore.cli.base import database, echo, main, table_option, text_table
from csvcore.cli.options import json_option
from csvcore.pipeline.exports import TableFile

PAIR = 2


@main.command(
    "items",
    epilog="Example: csvcore items mmlu pythia-1b pythia-1.4b --difference 0.02",
)
@click.argument("task")
@click.argument("models", nargs=-1)
@click.option(
    "--difference",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.02,
    show_default=True,
    help="True difference whose power and items are told, a fraction.",
)
@json_option
@table_option
@database
def items_command(
    db: Path,
    table: TableFile | None,
    task: str,
    models: tuple[str, ...],
    difference: float,
    as_json: bool,
) -> None:
    """List accuracies on TASK with their item noise, and compare two MODELS on the same items.

    With two models, McNemar's exact test (fractions: the paired t-test), the 95 % interval of the
    difference, the smallest detectable difference and the power.
    """
    from csvcore import frames
    from csvcore.analysis.paired import sentence
    from csvcore.pipeline import exports, items

    rows = frames.item_accuracies(items.results_by_item(db, task, models))
    found = items.compare_models(db, task, *models) if len(models) == PAIR else None
    records = [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
    if table is not None:
        exports.write_rows(records, table)
    pair = None
    if found is not None:
        pair = {"a": models[0], "b": models[1], **asdict(found)}
        power = {"at": difference, "power": found.power(difference)}
        pair |= {"power": power | {"items_needed": found.items_needed(difference)}}
    if as_json:
        echo(json.dumps({"task": task, "models": records, "paired": pair}))
        return
    cells = [
        [
            str(row["model"]),
            f"{row['n_items']:,}",
            f"{100 * row['accuracy']:.1f}",
            f"{100 * row['noise']:.1f}",
        ]
        for row in records
    ]
    echo(text_table(["model", "items", "accuracy", "item noise"], cells))
    echo("Accuracy and noise in points.")
    if found is not None and pair is not None:
        echo(sentence(models[0], models[1], found))
        chance, needed = found.power(difference), found.items_needed(difference)
        told = "unknown" if chance is None else f"{chance:.0%}"
        more = "" if needed is None else f"; 80 % takes about {needed:,} items"
        echo(f"Power for a true difference of {100 * difference:g} points: {told}{more}.")
