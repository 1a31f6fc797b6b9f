"""The command that finds the factors that tasks share."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from csvcore.cli.base import (
    database,
    echo,
    format_decimal,
    format_number,
    main,
    progress,
    table_option,
    text_table,
)
from csvcore.cli.options import fit_settings, json_option, split_options
from csvcore.pipeline.exports import TableFile

if TYPE_CHECKING:
    from csvcore.capability_records import Capabilities
    from csvcore.fitting.config import FitConfig


@main.command("capabilities")
@database
@click.option("--corpus", required=True, help="Name of a stored corpus.")
@split_options
@click.option("--task", "tasks", multiple=True, help="A task; repeat for several.  [default: all]")
@click.option(
    "--factors", type=click.IntRange(1), help="Number of factors.  [default: chosen inside train]"
)
@click.option(
    "--permutations",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Shuffles of the accuracies for the control of each factor.",
)
@click.option(
    "--few-shot",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Known train models of a task that borrows the other tasks' heads; 0 for none.",
)
@click.option(
    "--draws", type=click.IntRange(1), default=3, show_default=True, help="Draws of these models."
)
@fit_settings("seed", "scorer", "refit", "mask_first_token", "own_units")
@json_option
@table_option
def capabilities_command(
    db: Path,
    corpus: str,
    split: str,
    tasks: tuple[str, ...],
    config: "FitConfig",
    as_json: bool,
    table: TableFile | None,
    **settings: int | None,
) -> None:
    """Find the factors that tasks share: how many, which tasks need them, which tokens carry them.

    Their number is chosen inside train, by errors on models left out.
    """
    from csvcore.fitting.capabilities import CapabilityConfig
    from csvcore.pipeline import exports
    from csvcore.pipeline.capabilities import capabilities, contract

    settings["n_factors"] = settings.pop("factors")
    wanted = CapabilityConfig(**settings)  # type: ignore[arg-type]
    with progress() as report:
        found = capabilities(db, corpus, split, tasks, config, wanted, report)
    record = contract(db, found)
    if table is not None:
        exports.write_rows(record["tasks"], table)
    echo(json.dumps(record) if as_json else capabilities_text(found, record))


def capabilities_text(found: "Capabilities", record: dict[str, Any]) -> str:
    """Return the tables of factors, loadings, tried numbers and few-shot errors."""
    numbers = [f"F{factor.number}" for factor in found.factors]
    factors = [
        [
            *(f"F{factor.number}", factor.anchor, format_decimal(factor.stability)),
            format_decimal(factor.p_value),
            carried_by(entry) if factor.shown else "shuffled accuracies give it as often",
        ]
        for factor, entry in zip(found.factors, record["factors"], strict=True)
    ]
    tasks = [
        [
            *(row.task, *(f"{share:.2f}" for share in row.share)),
            *(f"{100 * row.cv_shared:.1f}", f"{100 * row.cv_separate:.1f}"),
            *(format_number(row.test_shared), format_number(row.test_separate)),
        ]
        for row in found.tasks
    ]
    tried = [
        [str(row.n_factors), "yes" if row.refined else "", f"{100 * row.cv_error:.2f}"]
        for row in found.tried
    ]
    few = [
        [row.task, format_number(row.shared), format_number(row.separate), ", ".join(row.way)]
        for row in found.few_shot
    ]
    header = ["task", *numbers, "left out", "own head", "test MSE", "own head, test MSE"]
    lines = [
        text_table(["factor", "began as", "stability", "p", "carried by"], factors),
        "",
        text_table(header, tasks),
        "Shares of the loadings; root mean squared error on left-out models in points.",
        "",
        text_table(["factors", "joint steps", "left-out error (points)"], tried),
    ]
    if found.few_shot:
        known = found.few_shot[0]
        title = f"{known.n_known} train models known, {known.side} MSE over {known.n_draws} draws:"
        lines += ["", title, text_table(["task", "borrowed", "own head", "way by draw"], few)]
    return "\n".join(lines)


def carried_by(factor: dict[str, Any]) -> str:
    """Return the two sources that carry most of a factor's weight, and its heaviest kind."""
    sources = sorted(factor["sources"], key=lambda one: one["share"], reverse=True)[:2]
    kind = factor["kinds"][0]  # the largest mean first
    places = ", ".join(f"{one['share']:.0%} {one['kind']}" for one in sources)
    return f"{places}; {kind['kind']} {kind['mean']:.1f} times the mean"
