"""The factors that the tasks of a dataset share, with their errors, stability and controls."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from csvcore import salience
from csvcore.analysis.loadings import Loadings, Scale
from csvcore.analysis.stack import NORMAL_90
from csvcore.capability_records import (
    Capabilities,
    Factor,
    FewShot,
    Profile,
    TaskFactors,
    TriedFactors,
)
from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig, fast_config
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.few_shot import OWN, FewKnown, draw_known
from csvcore.fitting.learn import Report, fast_heads, fast_problems
from csvcore.optimise import (
    FactorChoice,
    FastConfig,
    HeadProblem,
    Look,
    TokenTable,
    choose_factors,
    choose_heads,
    permutation_control,
)
from csvcore.optimise.factors import Observed
from csvcore.optimise.passes import head_weights
from csvcore.records import Floats, Ints, Mask
from csvcore.scaling import fit_sigmoid_laws


@dataclass(frozen=True, slots=True)
class CapabilityConfig:
    """Settings of `find`.

    n_factors: a fixed number of factors in place of a chosen one. permutations: shuffles of the
    control of each factor. few_shot: known train models of few-shot transfer, 0 for none. draws: of
    these models.
    """

    n_factors: int | None = None
    permutations: int = 20
    few_shot: int = 5
    draws: int = 3


@dataclass(frozen=True, slots=True)
class Found:
    """The factors of a dataset: their record, and their token weights (n_factors, n_tokens)."""

    record: Capabilities
    weight: Floats


@dataclass(frozen=True, slots=True)
class _World:
    """All tasks of a dataset over all of its models.

    accuracy: (n_tasks, n_models), NaN where unknown. side: masks (n_tasks, n_models) by side.
    """

    data: Dataset
    tasks: tuple[str, ...]
    accuracy: Floats
    gamma: Floats
    side: Mapping[str, Mask]

    @classmethod
    def of(cls, data: Dataset, chosen: Mapping[str, TaskModels]) -> "_World":
        """Return the tasks of a dataset."""
        accuracy = np.full((len(chosen), len(data.models)), np.nan)
        side = {
            name: np.zeros(accuracy.shape, dtype=bool) for name in ("train", "validation", "test")
        }
        for at, models in enumerate(chosen.values()):
            accuracy[at, models.rows] = models.accuracy
            for row, on in zip(models.rows, models.sides, strict=True):
                side[on][at, row] = True
        gamma = np.array([models.task.chance for models in chosen.values()])
        return cls(data, tuple(chosen), accuracy, gamma, side)

    def scores(self, weight: Floats) -> Floats:
        """Return scores of all models (n_heads, n_models) by weights (n_heads, n_tokens)."""
        return salience.capability_score(weight, self.data.nll, self.data.n_chars)

    def scaled(self, weight: NDArray[np.floating]) -> Floats:
        """Return weights (n_heads, n_tokens) with mean 1 over the tokens that count."""
        counted = weight.astype(np.float64) * self.data.counts
        return np.asarray(counted / counted[:, self.data.counts].mean(axis=1, keepdims=True))


def find(
    data: Dataset,
    chosen: Mapping[str, TaskModels],
    config: FitConfig,
    settings: CapabilityConfig,
    report: Report = lambda step, total, message: None,
) -> Found:
    """Find the factors that these tasks share.

    Args:
        data: losses of all models.
        chosen: the models of each task, two tasks or more.
        config: settings of the fits; the fast ones alone.
        settings: see `CapabilityConfig`.
        report: called with (step, steps, message); may raise to stop.

    Raises:
        InputError: a setting of the paper's loop, fewer than two tasks, or see `choose_factors`.
    """
    if config.algorithm == "paper":
        raise InputError("shared factors need the fast fit; leave out --algorithm paper")
    world, fast = _World.of(data, chosen), replace(fast_config(config), members=1)
    if fast.activation != "exp":
        raise InputError("shared factors need the activation exp; leave out --activation")
    table, problems, fitted = fast_problems(data, chosen, list(chosen), config)
    groups = {name: mask[fitted] for name, mask in data.groups().items()}
    step = partial(_Step, report)
    own = choose_heads(
        table, problems, groups, data.runs()[fitted], fast, step("heads of the tasks")
    )
    choice = choose_factors(
        table,
        problems,
        own,
        groups,
        n_factors=settings.n_factors,
        report=step("joint steps, leaving out a group"),
    )
    own_score = world.scores(world.scaled(np.array([one.weight for one in own])))
    weight = world.scaled(head_weights(table, choice.heads.theta, choice.heads.pull))
    score = world.scores(weight)
    scale, loadings, separate = _final(world, score, own_score, choice, config)
    z = scale.standardised(score)
    by_group = {
        name: world.scaled(head_weights(table, heads.theta, heads.pull))
        for name, heads in choice.without.items()
    }
    record = Capabilities(
        corpus=data.corpus,
        split=data.split_name,
        factors=_factors(table, problems, choice, weight, by_group, settings, fast, report),
        tasks=_tasks(world, choice, loadings, z, separate),
        profiles=_profiles(world, z, by_group),
        tried=_tried(choice),
        few_shot=_few_shot(world, chosen, own_score, settings, config, report),
        judges=choice.judges,
        config=asdict(settings) | {"seed": config.seed, "scorer_sha256": data.units.scorer_sha256},
    )
    return Found(record, weight)


@dataclass(frozen=True, slots=True)
class _Step:
    """A report of one part of the work."""

    report: Report
    message: str

    def __call__(self, done: int, total: int) -> None:
        self.report(done, total, self.message)


def _final(
    world: _World, score: Floats, own: Floats, choice: FactorChoice, config: FitConfig
) -> tuple[Scale, Loadings, Floats]:
    """Fit loadings, and the laws of the tasks' own heads, to all known models.

    Returns:
        The scale of the factors, the loadings, and what the own heads predict (n_tasks, n_models).
    """
    known = world.side["train"]
    if config.refit == "all":
        known = known | world.side["validation"]
    share = known / known.sum(axis=1, keepdims=True)
    observed = Observed(world.accuracy, share, world.gamma, own)
    scale, loadings = observed.loadings(score, choice.trial.tie)
    laws = fit_sigmoid_laws(own, np.where(known, world.accuracy, 0.0), world.gamma, share)
    return scale, loadings, laws.predict(own, world.gamma)


def _tried(choice: FactorChoice) -> tuple[TriedFactors, ...]:
    return tuple(
        TriedFactors(
            n_factors=trial.n_factors,
            tie=None if np.isinf(trial.tie) else float(trial.tie),
            refined=trial.refined,
            cv_error=trial.cv_error,
        )
        for trial in choice.tried
    )


def _tasks(
    world: _World, choice: FactorChoice, loadings: Loadings, z: Floats, separate: Floats
) -> tuple[TaskFactors, ...]:
    predicted = loadings.predict(z)
    cv_shared = np.average(choice.trial.error, axis=0, weights=choice.shares)
    cv_separate = np.average(choice.separate, axis=0, weights=choice.shares)
    rows = []
    for at, task in enumerate(world.tasks):
        on = world.side["test"][at]
        errors = [
            float(np.square(row[at] - world.accuracy[at])[on].mean()) if on.any() else None
            for row in (predicted, separate)
        ]
        loading = loadings.loading[at]
        total = float(loading.sum())
        rows.append(
            TaskFactors(
                task=task,
                loading=tuple(loading.tolist()),
                share=tuple((loading / total if total > 0 else 0.0 * loading).tolist()),
                cv_shared=float(cv_shared[at]),
                cv_separate=float(cv_separate[at]),
                test_shared=errors[0],
                test_separate=errors[1],
                n_test=int(on.sum()),
            )
        )
    return tuple(rows)


def _factors(
    table: TokenTable,
    problems: Sequence[HeadProblem],
    choice: FactorChoice,
    weight: Floats,
    by_group: Mapping[str, Floats],
    settings: CapabilityConfig,
    fast: FastConfig,
    report: Report,
) -> tuple[Factor, ...]:
    """Return the factors with their stability and permutation control."""
    found = []
    for number, anchor in enumerate(choice.anchors.tolist()):
        problem = problems[anchor]
        p_value = None
        if settings.permutations:
            step = _Step(report, f"permutations of {problem.task}")
            control = permutation_control(table, problem, fast, settings.permutations, step)
            p_value = control.p_value
        cosines = [_cosine(weight[number], other[number]) for other in by_group.values()]
        stability = float(np.mean(cosines)) if cosines else None
        found.append(Factor(number + 1, problem.task, stability, p_value, settings.permutations))
    return tuple(found)


def _cosine(one: Floats, two: Floats) -> float:
    return float(one @ two / (np.linalg.norm(one) * np.linalg.norm(two)))


def _profiles(world: _World, z: Floats, by_group: Mapping[str, Floats]) -> tuple[Profile, ...]:
    """Return every model's standardised scores z, with intervals of a jackknife over the groups."""
    data = world.data
    half = np.zeros_like(z)
    if len(by_group) > 1:
        used = np.asarray((world.side["train"] | world.side["validation"]).any(axis=0))
        scores = [world.scores(other) for other in by_group.values()]
        others = np.array([Scale.of(score, used).standardised(score) for score in scores])
        gap = np.square(others - others.mean(axis=0)).sum(axis=0)
        half = NORMAL_90 * np.sqrt(gap * (len(scores) - 1) / len(scores))
    return tuple(
        Profile(
            model=model,
            side=data.split[model],
            score=tuple(z[:, at].tolist()),
            low=tuple((z - half)[:, at].tolist()),
            high=tuple((z + half)[:, at].tolist()),
        )
        for at, model in enumerate(data.models)
    )


def _few_shot(
    world: _World,
    chosen: Mapping[str, TaskModels],
    full: Floats,
    settings: CapabilityConfig,
    config: FitConfig,
    report: Report,
) -> tuple[FewShot, ...]:
    """Return the errors with few known models; empty where there are not twice as many."""
    n_known = settings.few_shot
    usable = np.asarray(world.side["train"].all(axis=0))
    if n_known < 3 or usable.sum() < 2 * n_known:
        return ()
    fewer = replace(config, members=1)
    wrong: list[Floats] = []  # of each draw (n_tasks, 2): shared and separate
    ways: list[list[str]] = []
    for draw in range(settings.draws):
        rows = draw_known(usable, n_known, config.seed, draw)
        known = np.zeros(usable.size, dtype=bool)
        known[rows] = True
        step = _Step(report, f"{n_known} models of each task known, draw {draw + 1}")
        part, few_models = _only(world.data, chosen, rows)
        own = fast_heads(part, few_models, world.tasks, fewer, step, _unwatched)
        few = world.scores(world.scaled(np.array([result.weight for result in own])))
        setting = FewKnown(world.accuracy, world.gamma, few, full, known, usable)
        errors, used = _transfer(world, setting)
        wrong.append(errors)
        ways.append(used)
    mean = np.exp(np.log(np.maximum(wrong, 1e-12)).mean(axis=0))
    return tuple(
        FewShot(
            task=task,
            n_known=n_known,
            n_draws=settings.draws,
            side="test" if world.side["test"][at].any() else "train",
            shared=float(mean[at, 0]),
            separate=float(mean[at, 1]),
            way=tuple(used[at] for used in ways),
        )
        for at, task in enumerate(world.tasks)
    )


def _unwatched(look: Look) -> None:
    """Let nobody watch."""


def _only(
    data: Dataset, chosen: Mapping[str, TaskModels], rows: Ints
) -> tuple[Dataset, dict[str, TaskModels]]:
    """Return the dataset as if the models of these rows were all, and all train."""
    names = [data.models[row] for row in rows]
    part = replace(
        data,
        models=names,
        cards=[data.cards[row] for row in rows],
        nll=data.nll[rows],
        span=data.span[rows],
        split=dict.fromkeys(names, "train"),
    )
    few = {}
    for task, models in chosen.items():
        at = [models.rows.index(row) for row in rows.tolist()]
        few[task] = replace(
            models,
            rows=list(range(rows.size)),
            names=names,
            sides=["train"] * rows.size,
            accuracy=models.accuracy[at],
            n_items=[models.n_items[k] for k in at],
        )
    return part, few


def _transfer(world: _World, setting: FewKnown) -> tuple[Floats, list[str]]:
    """Return the errors of borrowed and own heads, (n_tasks, 2), and how factors were used."""
    errors, used = [], []
    for task in range(len(world.tasks)):
        on = world.side["test"][task]
        on = on if on.any() else setting.train & ~setting.known
        way = setting.choose(task)
        others = [other for other in range(len(world.tasks)) if other != task]
        pair = setting.predict(task, others, way), setting.predict(task, [], OWN)
        errors.append([np.square(row - world.accuracy[task])[on].mean() for row in pair])
        used.append(way.label)
    return np.array(errors), used
