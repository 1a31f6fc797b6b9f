"""The command that tells which tasks can be predicted."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csvcore.cli.base import database, echo, format_decimal, main, table_option, text_table
from csvcore.pipeline.exports import TableFile

if TYPE_CHECKING:
    from csvcore.analysis.predictability import Assessment


@main.command("tasks")
@click.option("--corpus", required=True, help="Name of a stored corpus.")
@click.option("--split", help="Stored split; its test models are not read.  [default: all models]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@table_option
@database
def tasks_command(
    db: Path, corpus: str, split: str | None, as_json: bool, table: TableFile | None
) -> None:
    """Tell for every task whether it can be predicted from the losses on a corpus, and why.

    Test models of the split are not read.
    """
    from csvcore.analysis.predictability import contract
    from csvcore.pipeline import exports
    from csvcore.pipeline.predictability import predictability

    assessment = predictability(db, corpus, split)
    record = contract(assessment)
    if table is not None:
        exports.write_rows(record["tasks"], table)
    echo(json.dumps(record) if as_json else assessment_text(assessment))


def assessment_text(assessment: "Assessment") -> str:
    """Return the tables of tasks and sources, the reasons, and the confounds."""
    tasks = [
        [
            *(task.task, task.verdict, str(task.n_models)),
            *map(_points, (task.spread, task.item_noise, task.seed_noise, task.run_noise)),
            *(_ratio(task.signal_to_noise), _points(task.paired or task.detectable)),
            *(str(len(task.rises_in)), format_decimal(task.left_out_r2)),
            format_decimal(task.reliability),
        ]
        for task in assessment.tasks
    ]
    header = [
        *("task", "verdict", "models", "spread", "item noise", "seed noise", "run noise", "SNR"),
        *("detectable", "families rising", "R2 left out", "reliability"),
    ]
    sources = [
        [row.source, _nats(row.spread), _nats(row.seed_noise), _nats(row.run_noise)]
        for row in assessment.sources
    ]
    lines = [text_table(header, tasks), "Spread, noise and detectable difference in points.", ""]
    for task in assessment.tasks:
        change = f" It would help: {task.change}" if task.change else ""
        lines.append(f"{task.task}: {task.verdict}. {task.reason}{change}")
    lines += ["", text_table(["source", "spread", "seed noise", "run noise"], sources)]
    lines.append("Mean loss of each source, nats per character.")
    lines += [confound.sentence for confound in assessment.confounds]
    if assessment.n_unknown:
        lines.append(f"Collection settings of {assessment.n_unknown} models are unknown.")
    return "\n".join(lines)


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _nats(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
