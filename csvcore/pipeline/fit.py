"""A fit from stored losses and accuracies to a stored law, predictions and weights."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from csvcore import store
from csvcore.errors import InputError
from csvcore.fitting.baselines import baseline_notes, fixed_weight, pulls
from csvcore.fitting.outcome import Learnt, Made, choice_notes, finish, fit_id, task_groups
from csvcore.optimise import (
    STRENGTHS,
    Activation,
    FastConfig,
    HeadProblem,
    HeadResult,
    Look,
    OptimiseConfig,
    TokenTable,
    choose_heads,
    features,
    optimise_heads,
    standardise,
)
from csvcore.optimise.gauss_newton import MAX_STEPS
from csvcore.pipeline.dataset import Dataset, Mask, TaskModels, load_dataset, task_models
from csvcore.pipeline.imports import ZOO
from csvcore.records import SPLITS, Fit, Ints, Method
from csvcore.salience import Label, LabelSpans
from csvcore.store import replays

Report = Callable[[int, int, str], None]
Watch = Callable[[Look], None]
Algorithm = Literal["fast", "paper"]
PAPER_STEPS = 300  # section 4.1


CHOICES: dict[str, tuple[str | None, ...]] = {
    "algorithm": get_args(Algorithm),
    "activation": (None, *get_args(Activation)),
    "label": get_args(Label),
    "label_spans": get_args(LabelSpans),
}
LEAST = {"steps": 0, "learning_rate": 0, "seed": 0, "members": 1, "penalty": 0}


@dataclass(frozen=True, slots=True)
class FitConfig:
    """Settings of a fit; each is a flag of `csvcore fit`. The scorer is a folder or hub name.

    algorithm: "fast" is `optimise.choose_heads`, "paper" is Algorithm 2. steps: of the paper's
    loop, or Gauss-Newton steps at one penalty; None for the usual number. learning_rate: the
    paper's loop alone. members: heads that tell the weights' spread. penalty: a fixed one in place
    of a chosen one. mask_first_token: leave out, for every model, the bytes that are the first
    token of any. own_units: weigh the units that the losses come in, such as words, not the
    scorer's tokens. label, label_spans: the variant of label-token.
    """

    algorithm: Algorithm = "fast"
    steps: int | None = None
    learning_rate: float = 1e-2
    seed: int = 0
    scorer: str = str(ZOO / "scorer")
    mask_first_token: bool = False
    own_units: bool = False
    activation: Activation | None = None
    members: int = 5
    penalty: float | None = None
    label: Label = "per-char"
    label_spans: LabelSpans = "all"

    def __post_init__(self) -> None:
        """Refuse what no fit can have.

        Raises:
            InputError: a setting is none of its choices, or out of its range.
        """
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                offered = ", ".join(repr(one) for one in choices if one is not None)
                raise InputError(f"{name} is one of {offered}, got {value!r}")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value >= least):
                raise InputError(f"{name} is a number of at least {least:g}, got {value!r}")


def fit(
    database: Path,
    corpus: str,
    split: str,
    wanted: Sequence[tuple[str, Method]],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    only_missing: bool = False,
    watch: Watch = lambda look: None,
) -> list[Fit]:
    """Fit (task, method) pairs and store them in one transaction; CSV heads share their passes.

    Args:
        database: the results database.
        corpus: name of a stored corpus.
        split: name of a stored split.
        wanted: (task, method) pairs, methods of WEIGHTED_METHODS.
        config: settings.
        report: called with (step, steps, message); may raise to stop, then nothing is stored.
        only_missing: take what is stored already with the same data and settings.
        watch: given what tells how far the CSV heads are, to be called during `report`.

    Returns:
        The fits, in the order of wanted.
    """
    report(0, 1, "reading losses")
    where = (database, corpus, split, config.scorer)
    data = load_dataset(*where, config.mask_first_token, config.own_units)
    chosen = {task: task_models(data, task) for task in dict.fromkeys(t for t, _ in wanted)}
    return fit_dataset(database, data, chosen, wanted, config, report, only_missing, watch)


def fit_dataset(
    database: Path,
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    wanted: Sequence[tuple[str, Method]],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    only_missing: bool = False,
    watch: Watch = lambda look: None,
) -> list[Fit]:
    """As `fit`, on a dataset that is read already."""
    ids = {
        (task, method): fit_id(data, chosen[task], method, _settings(method, config, data))
        for task, method in wanted
    }
    stored = _stored(database, set(ids.values())) if only_missing else {}
    missing = [pair for pair in dict.fromkeys(wanted) if ids[pair] not in stored]
    results = learn(data, chosen, missing, config, report, watch)
    report(1, 1, "storing")
    for one in results:
        if one.replay is not None:
            replays.write(database, one.fit.fit, one.replay)
    with store.connect(database) as db:
        for one in results:
            doc_ids = [doc.doc_id for doc in data.docs]
            store.add_fit(db, one.fit, doc_ids, data.units.edges, one.weight, one.spread)
    made = stored | {one.fit.fit: one.fit for one in results}
    return [replace(made[ids[pair]], left_out=chosen[pair[0]].left_out) for pair in wanted]


def learn(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    wanted: Sequence[tuple[str, Method]],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
    watch: Watch = lambda look: None,
) -> list[Made]:
    """Fit (task, method) pairs without storing them."""
    heads = _optimise(data, chosen, [t for t, m in wanted if m == "csv"], config, report, watch)
    results = []
    for task, method in wanted:
        started = time.perf_counter()
        learnt = heads.get(task) if method == "csv" else None
        if learnt is None:
            weight = fixed_weight(data, method, chosen[task], config.label, config.label_spans)
            notes = baseline_notes(data, method, chosen[task], weight, config.label_spans)
            learnt = Learnt(weight, notes=notes)
        settings = _settings(method, config, data)
        name = fit_id(data, chosen[task], method, settings)
        made = finish(data, chosen[task], method, learnt, settings, name)
        seconds = learnt.seconds + time.perf_counter() - started
        results.append(replace(made, fit=replace(made.fit, seconds=seconds)))
    return results


def _stored(database: Path, ids: set[str]) -> dict[str, Fit]:
    with store.connect(database, read_only=True) as db:
        return {name: store.fit(db, name) for name in ids if store.has_fit(db, name)}


def _settings(method: Method, config: FitConfig, data: Dataset) -> dict[str, object]:
    """The settings that bear on a method's result, and so on its id."""
    settings = asdict(config) | {
        "scorer": Path(config.scorer).name,
        "steps": _steps(config),
        "activation": fast_config(config).activation,
    }
    unused = {"label", "label_spans"}
    if method != "csv":
        unused = set(settings) - {"scorer", "mask_first_token", "own_units"}
        if method == "label-token":
            unused -= {"label", "label_spans"}
    elif config.algorithm == "paper":
        unused |= {"members", "penalty", "activation"}
    else:
        unused |= {"learning_rate"}
    if not config.own_units:
        unused |= {"own_units"}  # so that fits from before there were any keep their ids
    return {name: value for name, value in settings.items() if name not in unused}


def _optimise(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    tasks: Sequence[str],
    config: FitConfig,
    report: Report,
    watch: Watch,
) -> dict[str, Learnt]:
    """What is learnt for each of these tasks, with its share of the seconds."""
    if not tasks:
        return {}
    started = time.perf_counter()

    def step(done: int, total: int) -> None:
        report(done, total, f"optimising {len(tasks)} {'task' if len(tasks) == 1 else 'tasks'}")

    if config.algorithm == "paper":
        results = _paper(data, chosen, tasks, config, step, watch)
    else:
        results = fast_heads(data, chosen, tasks, config, step, watch)
    seconds = (time.perf_counter() - started) / len(tasks)
    return {
        result.task: Learnt(
            weight=result.weight,
            seconds=seconds,
            step=result.step,
            trace=result.trace,
            stages=result.stages,
            spread=result.spread,
            choice=result.choice,
            fold_weight=result.fold_weight,
            trained=True,
            notes=_notes(data, chosen[result.task], result),
        )
        for result in results
    }


def _notes(data: Dataset, chosen: TaskModels, result: HeadResult) -> tuple[str, ...]:
    if result.choice is None:
        return ()
    train, accuracy = chosen.on("train"), chosen.accuracy
    nothing = {
        name: float(np.mean(np.square(accuracy[train & out] - accuracy[train & ~out].mean())))
        for name, out in task_groups(data, chosen).items()
        if (train & out).any() and (train & ~out).any()
    }
    return tuple(choice_notes(result.choice, nothing, result.converged))


def _paper(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    tasks: Sequence[str],
    config: FitConfig,
    report: Callable[[int, int], None],
    watch: Watch,
) -> list[HeadResult]:
    """Algorithm 2."""
    problems = [_problem(data, chosen[task], np.arange(len(data.models))) for task in tasks]
    return optimise_heads(
        standardise(data.units.hidden),
        data.nll,
        data.n_chars,
        problems,
        OptimiseConfig(_steps(config), config.learning_rate, config.seed),
        report,
        watch,
    )


def fast_heads(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    tasks: Sequence[str],
    config: FitConfig,
    report: Callable[[int, int], None],
    watch: Watch,
) -> list[HeadResult]:
    """The fast fit; the losses of test models are not handed to it."""
    table, problems, fitted = fast_problems(data, chosen, tasks, config)
    groups = {name: mask[fitted] for name, mask in data.groups().items()}
    intervals = {name: mask[fitted] for name, mask in data.interval_groups().items()}
    return choose_heads(
        table,
        problems,
        groups,
        data.runs()[fitted],
        fast_config(config),
        report,
        {name: mask for name, mask in intervals.items() if name not in groups},
        watch,
    )


def _steps(config: FitConfig) -> int:
    if config.steps is not None:
        return config.steps
    return PAPER_STEPS if config.algorithm == "paper" else MAX_STEPS


def fast_config(config: FitConfig) -> FastConfig:
    """The fast fit's part of the settings; refuses a penalty that is none."""
    if config.penalty is not None and not 0.0 < config.penalty < np.inf:
        raise InputError(f"a penalty is a positive number, got {config.penalty}")
    return FastConfig(
        strengths=STRENGTHS if config.penalty is None else (config.penalty,),
        members=config.members,
        seed=config.seed,
        activation=config.activation or "exp",
        max_steps=_steps(config),
    )


def fast_problems(
    data: Dataset, chosen: Mapping[str, TaskModels], tasks: Sequence[str], config: FitConfig
) -> tuple[TokenTable, list[HeadProblem], Ints]:
    """Tokens and problems of the models that train or validate, and these models' rows."""
    fitted = np.array([k for k, model in enumerate(data.models) if data.split[model] != "test"])
    names, rows = pulls(data, chosen, tasks)
    problems = [replace(_problem(data, chosen[task], fitted), pulls=names[task]) for task in tasks]
    sources, source = data.sources()
    table = TokenTable(
        states=features(data.units.hidden),
        nll=data.nll[fitted],
        source=source,
        n_sources=len(sources),
        pulls=rows * data.counts,
        n_chars=data.n_chars,
    )
    return table, problems, fitted


def _problem(data: Dataset, models: TaskModels, rows: Ints) -> HeadProblem:
    """The problem of one task over these rows of the losses."""
    accuracy = np.full(len(data.models), np.nan)
    accuracy[models.rows] = models.accuracy
    sides: dict[str, Mask] = {side: np.zeros(len(data.models), dtype=bool) for side in SPLITS}
    for row, side in zip(models.rows, models.sides, strict=True):
        sides[side][row] = True
    return HeadProblem(
        models.task.task,
        models.task.chance,
        accuracy[rows],
        sides["train"][rows],
        sides["validation"][rows],
    )
