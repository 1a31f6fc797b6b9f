"""Options shared by several commands, and their conversion before the command runs."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import click

from csvcore.cli.base import echo
from csvcore.methods import fitted
from csvcore.parallel import ClusterConfig, on_ray
from csvcore.pipeline.splits import ready_split

Command = Callable[..., None]
METHODS = tuple(fitted())

# Each is a field of FitConfig; where one is not given, FitConfig's default holds.
SETTINGS = {
    "algorithm": click.option(
        "--algorithm",
        type=click.Choice(["fast", "paper"]),
        help="Optimizer: Gauss-Newton with a penalty chosen by cross-validation, or the paper's "
        "Algorithm 2.  [default: fast]",
    ),
    "steps": click.option(
        "--steps",
        type=click.IntRange(0),
        help="Most steps for each penalty (fast, default 30) or in all (paper, default 300).",
    ),
    "learning_rate": click.option(
        "--learning-rate",
        type=click.FloatRange(0, min_open=True),
        help="Learning rate of Algorithm 2 (paper).  [default: 0.01]",
    ),
    "activation": click.option(
        "--activation",
        type=click.Choice(["exp", "softplus"]),
        help="Activation function of the scoring head (fast).  [default: exp]",
    ),
    "members": click.option(
        "--members",
        type=click.IntRange(1),
        help="Number of heads, whose spread shows how stable the weights are (fast).  [default: 5]",
    ),
    "penalty": click.option(
        "--penalty",
        type=click.FloatRange(0, min_open=True),
        help="Use this penalty instead of choosing one by cross-validation (fast).",
    ),
    "seed": click.option(
        "--seed", type=int, default=0, show_default=True, help="Seed of the random numbers."
    ),
    "label": click.option(
        "--label",
        type=click.Choice(["per-char", "per-byte", "per-token", "sum"]),
        help="Normalise an answer's loss like this in label-token.  [default: per-char]",
    ),
    "label_spans": click.option(
        "--label-spans",
        type=click.Choice(["all", "last", "letter", "text"]),
        help="Count these answer spans in label-token.  [default: all]",
    ),
    "refit": click.option(
        "--refit",
        type=click.Choice(["all", "train"]),
        help="Fit every law anew to train and validation models once all is chosen, or leave it "
        "fitted to train.  [default: all]",
    ),
    "mask_first_token": click.option(
        "--mask-first-token",
        is_flag=True,
        help="Leave out the bytes that are the first token of any model.",
    ),
    "own_units": click.option(
        "--own-units",
        is_flag=True,
        help="Weight the units of the losses, such as words, instead of the scorer's tokens.",
    ),
    "scorer": click.option("--scorer", help="Folder or Hub name of the scoring model."),
}


def fit_settings(*names: str) -> Callable[[Command], Command]:
    """Return a decorator that adds settings of a fit and passes a FitConfig as `config`.

    Args:
        *names: keys of SETTINGS; all of them if none is given.
    """
    chosen = names or tuple(SETTINGS)

    def decorate(command: Command) -> Command:
        @wraps(command)
        def configured(*args: Any, **options: Any) -> None:
            from csvcore.fitting.config import FitConfig

            values = {name: options.pop(name) for name in chosen}
            given = {name: value for name, value in values.items() if value is not None}
            command(*args, config=FitConfig(**given), **options)

        for name in reversed(chosen):
            configured = SETTINGS[name](configured)
        return configured

    return decorate


def fit_options(command: Command) -> Command:
    """Add the options of all commands that fit; tasks behind the first one count as named."""

    @wraps(command)
    def with_tasks(
        *args: Any, tasks: tuple[str, ...], more_tasks: tuple[str, ...], **options: Any
    ) -> None:
        command(*args, tasks=tasks + more_tasks, **options)

    decorated: Command = with_tasks
    for option in (
        json_option,
        fit_settings(),
        click.option(
            "--task", "tasks", multiple=True, help="Tasks to fit, such as --task mmlu bbh."
        ),
        click.argument("more_tasks", nargs=-1, metavar="[TASK]..."),
        click.option("--corpus", required=True, help="Name of a stored corpus."),
    ):
        decorated = option(decorated)
    return decorated


def split_options(command: Command) -> Command:
    """Add --split and --test; the command gets the name of a stored split.

    Messages about the split and its leaks go to standard error. Apply it below `database`, which
    passes the path.
    """

    @wraps(command)
    def with_split(db: Path, split: str, test: tuple[str, ...], **options: Any) -> None:
        name, notes = ready_split(db, split, test)
        for note in notes:
            echo(note, err=True)
        command(db, split=name, **options)

    for option in (
        click.option(
            "--test",
            multiple=True,
            metavar="MODEL",
            help="Evaluate on this model instead of the split's test models; repeat for several.",
        ),
        click.option(
            "--split", required=True, help="A stored split, or by-size, table-2, without-FAMILY."
        ),
    ):
        with_split = option(with_split)
    return with_split


def json_option(command: Command) -> Command:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def fit_id_option(command: Command) -> Command:
    """Add --fit, the id of a stored fit."""
    help_text = "Id of a stored fit, from `csvcore fits`."
    return click.option("--fit", "fit_id", required=True, help=help_text)(command)


ENGINE = click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Compute in this process, or as tasks on a Ray cluster.",
)
RAY = click.option("--ray", help="Address of a Ray cluster.  [default: start one on this machine]")


def engine_options(command: Command) -> Command:
    """Add --engine and --ray: where the jobs of `parallel.each` run during the command."""

    @wraps(command)
    def on_engine(*args: Any, engine: str, ray: str | None, **options: Any) -> None:
        with on_ray(ClusterConfig(ray)) if engine == "ray" else nullcontext():
            command(*args, **options)

    return ENGINE(RAY(on_engine))
