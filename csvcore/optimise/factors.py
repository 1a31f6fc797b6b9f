"""Factors that tasks share: scoring heads common to all tasks, and their number.

A task's token weights are a non-negative mix of the weights of a few factors, each of which has a
head of its own: w_jt = sum_k loading_jk * pull_kt * exp(theta_k . x_t) / spread_k, so the weights
of all tasks are a low-rank non-negative product. `analysis.loadings` has the law.

Factors begin as the own heads of the tasks whose scores make up those of all others. Their number,
and how closely loadings keep to the mixes that the tasks' own heads give, are chosen by the errors
on groups of train models left out in turn and on the validation models, with heads that never saw
these models.
Then damped Gauss-Newton steps on all factors together alternate with the loadings' fit:

    F = sum_j sum_m share_jm * (predicted_jm - accuracy_jm)^2 + sum_k strength_k * |theta_k|^2,

and the factors after these steps are kept if they predict the left-out models better.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from csvcore.analysis.loadings import Loadings, Scale, anchor_tasks, fit_loadings, mix_of
from csvcore.errors import InputError
from csvcore.optimise.features import TokenTable
from csvcore.optimise.passes import Passes, default_device
from csvcore.optimise.problem import HeadProblem, WeightResult
from csvcore.records import Floats, Ints, Mask

TIES = (np.inf, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # from the tasks' own mixes to nearly free loadings
VALIDATION = "validation models"
MAX_STEPS = 12
TOLERANCE = 1e-2  # a step that lowers F by less than this share ends the fit
STRONGEST = 1.0  # penalty of a factor that began as a baseline, which has an infinite one
FIRST_DAMPING, LEAST_DAMPING, TRIES = 1e-5, 1e-9, 8


@dataclass(frozen=True, slots=True)
class FactorHeads:
    """Heads of factors: theta (n_factors, n_features), pull and strength (n_factors,)."""

    theta: Floats
    pull: Ints
    strength: Floats

    def take(self, chosen: Ints) -> "FactorHeads":
        """Return some of the heads."""
        return FactorHeads(self.theta[chosen], self.pull[chosen], self.strength[chosen])


@dataclass(frozen=True, slots=True)
class Observed:
    """The accuracies that factors are fitted to, and the scores of the tasks' own heads.

    accuracy: (n_tasks, n_models), read only where share is positive. share: (n_tasks, n_models)
    how much each model counts, rows sum to 1. gamma: (n_tasks,). own: (n_tasks, n_models) scores by
    the tasks' own heads.
    """

    accuracy: Floats
    share: Floats
    gamma: Floats
    own: Floats

    @property
    def used(self) -> Mask:
        """Return the models that count for any task, (n_models,)."""
        return np.asarray((self.share > 0).any(axis=0))

    def loadings(self, score: Floats, tie: float) -> tuple[Scale, Loadings]:
        """Fit the loadings of all tasks on factors of these scores (n_factors, n_models)."""
        scale = Scale.of(score, self.used)
        z = scale.standardised(score)
        mix = np.array([mix_of(z, *row) for row in zip(self.own, self.share, strict=True)])
        return scale, fit_loadings(z, self.accuracy, self.gamma, self.share, mix, tie)


@dataclass(frozen=True, slots=True)
class Trial:
    """A number of factors that was tried, with its tie.

    error: (n_judges, n_tasks) root mean squared errors on models that were held out. refined: after
    joint Gauss-Newton steps. cv_error: their geometric mean over tasks, averaged over judges as for
    a penalty: groups count half, validation half.
    """

    n_factors: int
    tie: float
    error: Floats
    cv_error: float
    refined: bool = False


@dataclass(frozen=True, slots=True)
class FactorChoice:
    """The chosen factors.

    anchors: (n_factors,) the tasks whose own heads the factors began as. heads: their heads. trial:
    the chosen one of tried. judges, shares: names of what was held out, and how much it counts.
    separate: (n_judges, n_tasks) the errors of a trial, of each task's own head. without: heads
    made without a group, by its name, where they began as the same tasks.
    """

    anchors: Ints
    heads: FactorHeads
    trial: Trial
    tried: tuple[Trial, ...]
    judges: tuple[str, ...]
    shares: Floats
    separate: Floats
    without: Mapping[str, FactorHeads]


@dataclass(frozen=True, slots=True)
class _Judge:
    """Models to fit to and models held out, with the tasks' own heads made without the latter."""

    name: str
    observed: Observed
    heads: FactorHeads
    held: Mask  # (n_tasks, n_models)
    share: float


def choose_factors(
    table: TokenTable,
    problems: Sequence[HeadProblem],
    own: Sequence[WeightResult],
    groups: Mapping[str, Mask],
    refine: bool = True,
    n_factors: int | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> FactorChoice:
    """Choose the number of factors and fit them.

    The number is the smallest whose error is within one standard error of the best.

    Args:
        table: tokens, and losses of the models that train or validate.
        problems: the tasks.
        own: their own heads, from `choose_heads` on the same table, problems and groups.
        groups: (n_models,) masks of the models left out together.
        refine: whether joint steps are tried.
        n_factors: a fixed number in place of a chosen one.
        report: called with (judges done, judges in all); may raise to stop.

    Raises:
        InputError: fewer than two tasks, or no group can be left out of all tasks and no model
            validates.
    """
    _refuse(len(problems), n_factors)
    passes = Passes(table, "exp", default_device())
    train = _observed(passes, problems, own, None)
    panel = _panel(passes, problems, own, groups)
    tried = [_try(panel, number) for number in range(1, len(problems) + 1)]
    shares = np.array([judge.share for judge in panel])
    chosen = first_good(tried, shares) if n_factors is None else tried[n_factors - 1]
    anchors = anchor_tasks(train.own[:, train.used], chosen.n_factors)
    heads = _own_heads(own, None).take(anchors)
    without = {judge.name: judge.heads.take(anchors) for judge in panel if judge.name != VALIDATION}
    if refine and chosen.n_factors < len(problems):
        ends = [_refined_judge(passes, judge, chosen) for judge in _counted(panel, report)]
        scores = [passes.scores(end.theta, end.pull) for _, end in ends]
        again = _trial(panel, scores, chosen.tie, refined=True)
        tried.append(again)
        if again.cv_error < chosen.cv_error:
            chosen, heads = again, refined(passes, train, heads, chosen.tie)
            without = {
                judge.name: end
                for judge, (began, end) in zip(panel, ends, strict=True)
                if judge.name != VALIDATION and np.array_equal(began, anchors)
            }
    return FactorChoice(
        anchors=anchors,
        heads=heads,
        trial=chosen,
        tried=tuple(tried),
        judges=tuple(judge.name for judge in panel),
        shares=shares,
        separate=_trial(panel, [judge.observed.own for judge in panel], np.inf).error,
        without=without,
    )


def _refuse(n_tasks: int, n_factors: int | None) -> None:
    if n_tasks < 2:
        raise InputError(f"shared factors need two tasks or more, got {n_tasks}")
    if n_factors is not None and not 1 <= n_factors <= n_tasks:
        raise InputError(f"give 1 to {n_tasks} factors, one a task at most; got {n_factors}")


def first_good(tried: Sequence[Trial], shares: Floats) -> Trial:
    """Return the first trial that is within one standard error of the best.

    The standard error is that of the paired difference of log errors over the judges.

    Args:
        tried: the plainest first.
        shares: (n_judges,) how much each judge counts, 1 in all.
    """
    best = min(tried, key=lambda trial: trial.cv_error)
    for trial in tried:
        gap = (np.log(trial.error) - np.log(best.error)).mean(axis=1)  # (n_judges,)
        mean = np.average(gap, weights=shares)
        spread = np.sqrt(np.average(np.square(gap - mean), weights=shares))
        if mean <= spread / np.sqrt(max(gap.size - 1, 1)):
            return trial
    return best


def refined(passes: Passes, observed: Observed, start: FactorHeads, tie: float) -> FactorHeads:
    """Return heads after joint Gauss-Newton steps from start; F never rises."""
    fit = _Fit(passes, observed, start, tie)
    state, damping = fit.at(start.theta), FIRST_DAMPING
    for _ in range(MAX_STEPS):
        before = state.objective
        state, damping = fit.step(state, damping)
        if state.objective > (1.0 - TOLERANCE) * before:
            break
    return replace(start, theta=state.theta)


def _own_heads(own: Sequence[WeightResult], without: str | None) -> FactorHeads:
    """Return the own heads of all tasks, or those made without a group.

    Raises:
        InputError: they are not of the fast fit.
    """
    heads = [one.head for one in own if one.head is not None]
    if len(heads) < len(own):
        raise InputError("shared factors need the heads of the fast fit; leave out the paper's")
    return FactorHeads(
        theta=np.array([one.theta if without is None else one.without[without] for one in heads]),
        pull=np.array(
            [one.pull if without is None else one.pull_without[without] for one in heads]
        ),
        strength=np.minimum([one.strength for one in heads], STRONGEST),
    )


def _observed(
    passes: Passes,
    problems: Sequence[HeadProblem],
    own: Sequence[WeightResult],
    group: tuple[str, Mask] | None,
) -> Observed:
    """Return the train models of all tasks, or those outside a group, with scores by own heads."""
    heads = _own_heads(own, group and group[0])
    kept = [one.train if group is None else one.train & ~group[1] for one in problems]
    share = np.array([mask / mask.sum() for mask in kept])
    accuracy = np.array([one.accuracy for one in problems])
    gamma = np.array([one.gamma for one in problems])
    return Observed(accuracy, share, gamma, passes.scores(heads.theta, heads.pull))


def _panel(
    passes: Passes,
    problems: Sequence[HeadProblem],
    own: Sequence[WeightResult],
    groups: Mapping[str, Mask],
) -> list[_Judge]:
    """Return the judges: each group that every task can be fitted without, and validation."""
    usable = {
        name: mask
        for name, mask in groups.items()
        if all(head.head is not None and name in head.head.without for head in own)
    }
    validates = np.array([one.validation for one in problems])
    both = bool(usable) and validates.any(axis=1).all()
    found = [
        _Judge(
            name,
            _observed(passes, problems, own, (name, mask)),
            _own_heads(own, name),
            np.array([one.train & mask for one in problems]),
            (0.5 if both else 1.0) / len(usable),
        )
        for name, mask in usable.items()
    ]
    if validates.any(axis=1).all():
        observed = _observed(passes, problems, own, None)
        found.append(
            _Judge(VALIDATION, observed, _own_heads(own, None), validates, 0.5 if both else 1.0)
        )
    if not found:
        raise InputError(
            "the number of factors is chosen on models that no head saw, but the train models are "
            "one group and none validates; add a family, a run or validation models"
        )
    return found


def _errors(judge: _Judge, score: Floats, tie: float) -> Floats:
    """Return the error on each task's held-out models, (n_tasks,), of factors of these scores."""
    scale, loadings = judge.observed.loadings(score, tie)
    wrong = loadings.predict(scale.standardised(score)) - judge.observed.accuracy
    return np.array(
        [np.sqrt(np.square(row[on]).mean()) for row, on in zip(wrong, judge.held, strict=True)]
    )


def _trial(
    panel: Sequence[_Judge], scores: Sequence[Floats], tie: float, refined: bool = False
) -> Trial:
    error = np.array([_errors(*pair, tie) for pair in zip(panel, scores, strict=True)])
    error = np.maximum(error, 1e-9)
    by_judge = np.log(error).mean(axis=1)
    cv_error = float(np.exp(np.average(by_judge, weights=[judge.share for judge in panel])))
    return Trial(scores[0].shape[0], tie, error, cv_error, refined)


def _try(panel: Sequence[_Judge], n_factors: int) -> Trial:
    """Return this number of factors, unrefined, with the strongest tie that is good."""
    scores = []
    for judge in panel:
        anchors = anchor_tasks(judge.observed.own[:, judge.observed.used], n_factors)
        scores.append(judge.observed.own[anchors])
    shares = np.array([judge.share for judge in panel])
    return first_good([_trial(panel, scores, tie) for tie in TIES], shares)


def _counted(panel: Sequence[_Judge], report: Callable[[int, int], None]) -> Iterator[_Judge]:
    """Yield the judges; report each when it is done with."""
    for number, judge in enumerate(panel):
        yield judge
        report(number + 1, len(panel))


def _refined_judge(passes: Passes, judge: _Judge, chosen: Trial) -> tuple[Ints, FactorHeads]:
    """Return a judge's anchors and its factors after joint steps."""
    observed = judge.observed
    anchors = anchor_tasks(observed.own[:, observed.used], chosen.n_factors)
    return anchors, refined(passes, observed, judge.heads.take(anchors), chosen.tie)


@dataclass(frozen=True, slots=True)
class _State:
    """Factors on the way: heads, scores (n_factors, n_models), their scale, loadings, and F."""

    theta: Floats
    score: Floats
    scale: Scale
    loadings: Loadings
    objective: float


@dataclass(frozen=True, slots=True)
class _Fit:
    """The objective F of factors that begin at start."""

    passes: Passes
    observed: Observed
    start: FactorHeads
    tie: float

    def at(self, theta: Floats) -> _State:
        """Return the factors with these heads, loadings fitted anew."""
        observed, strength = self.observed, self.start.strength
        score = self.passes.scores(theta, self.start.pull)
        scale, loadings = observed.loadings(score, self.tie)
        accuracy = np.where(observed.share > 0, observed.accuracy, 0.0)
        wrong = loadings.predict(scale.standardised(score)) - accuracy
        penalty = float((strength[:, None] * np.square(theta)).sum())
        objective = float((observed.share * np.square(wrong)).sum()) + penalty
        return _State(theta, score, scale, loadings, objective)

    def step(self, state: _State, damping: float) -> tuple[_State, float]:
        """Return the factors after a step that lowers F, if one does, and the next damping."""
        jacobian, residual = self._linear(state)
        strength = np.repeat(self.start.strength, state.theta.shape[1])
        gradient = jacobian.T @ residual + strength * state.theta.ravel()
        for _ in range(TRIES):
            ridge = strength + damping
            scaled = jacobian / ridge
            system = scaled @ jacobian.T + np.eye(len(jacobian))
            inner = np.linalg.solve(system, scaled @ gradient)
            step = (jacobian.T @ inner - gradient) / ridge
            moved = self.at(state.theta + step.reshape(state.theta.shape))
            if moved.objective < state.objective:
                return moved, max(damping / 10.0, LEAST_DAMPING)
            damping *= 10.0
        return state, damping

    def _linear(self, state: _State) -> tuple[Floats, Floats]:
        """Return the Jacobian (n_rows, n_factors * n_features) and residuals of all tasks."""
        observed = self.observed
        rows = np.flatnonzero(observed.used)
        by_head = self.passes.jacobian(state.theta, self.start.pull, rows).numpy()
        z = state.scale.standardised(state.score[:, rows])
        centred = by_head - by_head.mean(axis=1, keepdims=True)
        unit = centred / state.scale.spread[:, None, None]  # of z, but for its spread
        along = np.einsum("km,kmp->kp", z, unit) / rows.size
        unit = unit - z[:, :, None] * along[:, None, :]
        root = np.sqrt(observed.share[:, rows])
        known = np.where(observed.share[:, rows] > 0, observed.accuracy[:, rows], 0.0)
        residual = root * (state.loadings.predict(z) - known)
        slope = -root * state.loadings.slope(z)  # (n_tasks, n_rows)
        parts = np.einsum("jm,jk,kmp->jmkp", slope, state.loadings.loading, unit)
        return parts.reshape(residual.size, -1), residual.ravel()
