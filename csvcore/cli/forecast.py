"""The command that forecasts models which are not trained yet."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from csvcore.cli.base import database, echo, main, table_option, text_table
from csvcore.cli.options import engine_options, json_option
from csvcore.pipeline.exports import TableFile

if TYPE_CHECKING:
    from csvcore.forecasting.answers import BacktestRow, ForecastRow
    from csvcore.forecasting.course import Course
    from csvcore.forecasting.iso_accuracy import IsoPoint

UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


class _Count(click.ParamType[int]):
    """A number of parameters or tokens: 7000000000, 7e9 or 7B."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the whole number."""
        if isinstance(value, int):
            return value
        parts = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\d{1,2})?)([KMBT]?)", str(value), re.IGNORECASE)
        if parts is None:
            self.fail(f"{value!r} is no number such as 7000000000, 7e9 or 7B", param, ctx)
        return round(float(parts[1]) * UNITS[parts[2].upper()])


COUNT = _Count()


@main.command("forecast")
@click.option("--corpus", required=True, help="Name of a stored corpus.")
@click.option("--split", required=True, help="Name of a stored split; test models are not read.")
@click.option("--params", "n_params", type=COUNT, help="Parameters of the model, such as 7B.")
@click.option("--tokens", type=COUNT, help="Its training tokens, such as 4T.")
@click.option("--model", "models", multiple=True, help="Or a stored model; its card alone is read.")
@click.option("--run", help="Or a run, whose course to --tokens is forecast.")
@click.option("--accuracy", type=click.FloatRange(0, 1), help="Or what this accuracy takes.")
@click.option(
    "--family", "families", multiple=True, help="Take the models of this family.  [default: all]"
)
@click.option("--task", "tasks", multiple=True, help="Name of a stored task.  [default: all]")
@json_option
@engine_options
@table_option
@database
def forecast_command(db: Path, as_json: bool, table: TableFile | None, **asked: Any) -> None:
    """Forecast accuracies of models that are not trained yet, with 90 % prediction intervals.

    From the train and validation models of a split. The errors of the same forecasts on models that
    were held out, by how far beyond the others they lie, are printed below.
    """
    from csvcore.pipeline import exports

    corpus, split = asked["corpus"], asked["split"]
    chosen = {key: asked[key] for key in ("families", "tasks")}
    n_params, tokens, models = asked["n_params"], asked["tokens"], asked["models"]
    run = asked["run"]
    if (tokens is None) != (n_params is None and run is None):
        raise click.UsageError("--params and --tokens go together, and so do --run and --tokens")
    ways = [n_params is not None or bool(models), run is not None, asked["accuracy"] is not None]
    if sum(ways) != 1:
        raise click.UsageError(
            "name a model by --params and --tokens or --model, or --run, or --accuracy"
        )
    if run is not None:
        from csvcore.pipeline.forecast import course

        found_courses = course(db, corpus, split, run, tokens, asked["tasks"])
        rows = [course_record(one) for one in found_courses]
        document, text = {"courses": rows}, course_text(found_courses)
    elif asked["accuracy"] is not None:
        from csvcore.pipeline.forecast import iso_accuracies

        points = iso_accuracies(db, corpus, split, asked["accuracy"], **chosen)
        rows = [{"task": task} | asdict(one) for task, own in points.items() for one in own]
        document, text = {"iso_accuracy": rows}, _iso_text(asked["accuracy"], points)
    else:
        from csvcore.pipeline.forecast import forecast

        sizes = [] if n_params is None else [(n_params, tokens)]
        found = forecast(db, corpus, split, sizes, models, **chosen)
        rows = [forecast_record(row) for row in found.rows]
        document = {"rows": rows, "backtest": [asdict(row) for row in found.backtest]}
        text = _forecast_text(found.rows, found.backtest)
    if table is not None:
        exports.write_rows([_flat(row) for row in rows], table)
    echo(json.dumps(document) if as_json else text)


def forecast_record(row: "ForecastRow") -> dict[str, Any]:
    """Return a forecast as the contract has it."""
    record = asdict(row)
    record["flags"] = list(row.flags)
    return {**record, "method": "forecast"}


def course_record(course: "Course") -> dict[str, Any]:
    """Return a course with lists in place of arrays."""
    return {
        key: value.tolist() if hasattr(value, "tolist") else value
        for key, value in asdict(course).items()
    }


def course_text(courses: Sequence["Course"]) -> str:
    """Return a line for each task: where the run is and ends, and how it keeps its promise."""
    table = [
        [
            one.task,
            f"{one.known_accuracy[-1]:.3f}" + ("" if one.measured else " from losses"),
            f"{one.predicted[-1]:.3f}",
            f"{one.low[-1]:.3f} to {one.high[-1]:.3f}",
            f"{100 * one.lag[-1].difference:+.1f} points",
            "" if one.behind_since is None else f"{one.behind_since:.3g} tokens",
            "" if one.leaves_chance is None else f"{one.leaves_chance:.3g} tokens",
        ]
        for one in courses
    ]
    header = ["task", "now", "at the end", "90 % interval", "against its promise"]
    first = courses[0]
    return "\n".join(
        [
            f"{first.run}: {first.known_tokens[-1]:.3g} of {first.tokens[-1]:.3g} tokens",
            text_table([*header, "behind since", "leaves chance at"], table),
            "Promise: what models of other runs forecast of this size and these tokens.",
        ]
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {key: "; ".join(v) if isinstance(v, list) else v for key, v in row.items()}


def _forecast_text(rows: Sequence["ForecastRow"], backtest: Sequence["BacktestRow"]) -> str:
    """Return the forecasts, what speaks against them, and their backtest."""
    table = [
        [
            row.model or f"{row.n_params:.3g} parameters, {row.train_tokens:.3g} tokens",
            row.task,
            f"{row.predicted:.3f}",
            f"{row.low:.3f} to {row.high:.3f}",
            f"{row.horizon:.2g}",
            "; ".join(row.flags),
        ]
        for row in rows
    ]
    tested = [
        [
            row.task,
            f"up to {row.horizon:g}",
            f"{100 * row.error:.1f}",
            f"{100 * row.carried:.1f}",
            f"{row.coverage:.0%}",
            str(row.n),
        ]
        for row in backtest
    ]
    header = ["model", "task", "forecast", "90 % interval", "horizon", "flags"]
    tested_header = ["task", "horizon", "mean error", "carried forward", "intervals held", "models"]
    return "\n".join(
        [
            text_table(header, table),
            "Horizon: how many times the trained models' parameters, tokens or compute.",
            "",
            text_table(tested_header, tested),
            "Backtest: errors in points on models that were held out, beside those of carrying the "
            "largest model's accuracy forward.",
        ]
    )


def _iso_text(accuracy: float, points: dict[str, list["IsoPoint"]]) -> str:
    """Return what an accuracy takes, a row for each size that reaches it."""
    rows = [
        [
            task,
            f"{one.n_params:.3g}",
            f"{one.train_tokens:.3g}",
            f"{one.flops:.2e}",
            f"{_tokens(one.least_tokens)} to {_tokens(one.most_tokens)}",
        ]
        for task, own in points.items()
        for one in own
    ]
    lines = [text_table(["task", "parameters", "tokens", "FLOPs", "90 % interval of tokens"], rows)]
    lines += [
        f"{task}: no size within reach comes to {accuracy:g}."
        for task, own in points.items()
        if not own
    ]
    return "\n".join(lines)


def _tokens(value: int | None) -> str:
    return "out of reach" if value is None else f"{value:.3g}"
