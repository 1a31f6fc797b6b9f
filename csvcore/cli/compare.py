"""Commands that compare methods: on one split, or with each family left out in turn."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from csvcore.cli.base import (
    database,
    echo,
    format_decimal,
    format_interval,
    format_number,
    main,
    progress,
    table_option,
    text_table,
)
from csvcore.cli.options import engine_options, fit_options, split_options
from csvcore.pipeline.exports import TableFile

if TYPE_CHECKING:
    from csvcore.analysis.comparison import Comparison
    from csvcore.fitting.config import FitConfig
    from csvcore.pipeline.leave_one_family_out import FamilyComparison


@main.command("compare")
@database
@fit_options
@split_options
@click.option(
    "--permutations",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Refits of CSV with shuffled train accuracies, for the p-value of a permutation test.",
)
@engine_options
@table_option
def compare_command(
    db: Path,
    table: TableFile | None,
    corpus: str,
    split: str,
    tasks: tuple[str, ...],
    config: "FitConfig",
    permutations: int,
    as_json: bool,
) -> None:
    """Compare every method and trivial baseline on the test models, and give a verdict per task.

    The trivial baseline best-constant is an oracle: it knows the mean accuracy of the test models.
    """
    from csvcore.analysis.comparison import contract_row
    from csvcore.pipeline import exports
    from csvcore.pipeline.compare import compare

    with progress() as report:
        rows = compare(db, corpus, split, tasks, config, report, permutations)
    records = [contract_row(row) for row in rows]
    if table is not None:
        exports.write_rows(records, table)
    if as_json:
        echo(json.dumps({"rows": records}))
        return
    echo(comparison_text(rows))
    for line in comparison_notes(rows):
        echo(line)


def comparison_text(rows: Sequence["Comparison"]) -> str:
    """Return a text table of test errors with their intervals."""
    header = [
        *("task", "method", "test MSE", "90 % CI", "difference to the stack (90 % CI)"),
        *("mean error (points)", "R2", "rank", "pairs", "covered", "floor"),
    ]
    cells = [
        [row.task, row.method, format_number(row.mse), format_interval(row.low, row.high)]
        + [format_interval(row.to_stack_low, row.to_stack_high), f"{100 * row.mae:.1f}"]
        + [format_decimal(value) for value in (row.r2, row.spearman, row.pairwise, row.covered)]
        + [format_number(row.noise_floor)]
        for row in rows
    ]
    return text_table(header, cells)


def comparison_notes(rows: Sequence["Comparison"]) -> Iterator[str]:
    """Yield the verdict of each task, then what the stack is worth, notes and p-values."""
    from csvcore.analysis.comparison import verdict, verdict_sentence

    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        for method in ("stack", "csv"):
            if decision := verdict(of_task, of=method):
                yield f"{task}, verdict: {verdict_sentence(decision)}"
    for row in rows:
        if row.method == "stack" and row.items_worth is not None:
            yield (
                f"{row.task}: losses alone are worth as much as evaluating "
                f"{row.items_worth:.0f} items of this task"
            )
        for note in row.notes:
            yield f"{row.task}, {row.method}: {note}"
        if row.p_value is not None:
            yield f"{row.task}, {row.method}: permutation p-value {row.p_value:.3f}"


@main.command("leave-one-family-out")
@database
@fit_options
@engine_options
@table_option
def leave_one_family_out_command(
    db: Path,
    table: TableFile | None,
    corpus: str,
    tasks: tuple[str, ...],
    config: "FitConfig",
    as_json: bool,
) -> None:
    """Compare every method with each family left out in turn.

    The splits are stored as without-FAMILY.
    """
    from csvcore.analysis.comparison import contract_row
    from csvcore.pipeline import exports
    from csvcore.pipeline.leave_one_family_out import leave_one_family_out

    with progress() as report:
        comparisons = leave_one_family_out(db, corpus, tasks, config, report)
    rows = [
        {"family": entry.family, "split": entry.split} | contract_row(entry.row)
        for entry in comparisons
    ]
    if table is not None:
        exports.write_rows(rows, table)
    if as_json:
        echo(json.dumps({"rows": rows}))
        return
    echo(family_text(comparisons))


def family_text(comparisons: Sequence["FamilyComparison"]) -> str:
    """Return a text table of test errors, a column for each left-out family."""
    from csvcore.pipeline.leave_one_family_out import medians

    families = list(dict.fromkeys(entry.family for entry in comparisons))
    mse = {(entry.family, entry.row.task, entry.row.method): entry.row.mse for entry in comparisons}
    cells = [
        [task, method]
        + [format_number(mse.get((family, task, method))) for family in families]
        + [format_number(median), format_decimal(worst)]
        for task, method, median, worst, _ in medians(comparisons)
    ]
    header = ["task", "method", *(f"without {family}" for family in families)]
    return text_table([*header, "median", "worst / all-token"], cells)
