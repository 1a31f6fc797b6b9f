"""The fast fit of whole tasks: the penalty chosen inside train, and the weights' stability.

Every (task, pull, left-out group) is a head. All heads follow the path of falling penalties
together, each strength starting from the solution of the one before. All strengths are tried, since
errors may rise before they fall. A penalty is scored by its heads' errors on unseen models: each
group of train models left out in turn, and the validation models. Losses of test models are not in
the table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from csvcore.optimise.features import TokenTable
from csvcore.optimise.gauss_newton import (
    MAX_STEPS,
    Heads,
    Solution,
    Step,
    solve,
)
from csvcore.optimise.passes import Activation, head_weights
from csvcore.optimise.problem import Head, HeadProblem, Look, Singles, WeightResult, glimpse
from csvcore.records import Floats, Glimpse, Ints, Mask, Penalty, PenaltyChoice, TraceStep

# From the pulling baseline only to nearly unpenalised.
STRENGTHS = (np.inf, 1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
VALIDATION = "validation models"


@dataclass(frozen=True, slots=True)
class FastConfig:
    """Settings of the fast fit.

    strengths: penalties on |theta|^2, falling; one alone leaves nothing to choose. members: number
    of heads for the spread of the weights: the plain one and bootstrap draws of training runs.
    max_steps: Gauss-Newton steps at one strength.
    """

    strengths: tuple[float, ...] = STRENGTHS
    members: int = 5
    seed: int = 0
    activation: Activation = "exp"
    max_steps: int = MAX_STEPS


@dataclass(frozen=True, slots=True)
class _Path:
    """One task and pull: rows of its heads, the full one first, then one without each group."""

    problem: HeadProblem
    pull: str
    heads: Ints
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Walk:
    """Progress of all paths over the penalties, with the results at each strength so far.

    ends: (n_heads, n_features) theta at the end of each strength. converged: (n_heads,) likewise.
    histories: all steps of each strength. tried: the penalties of each path, one a strength.
    """

    table: TokenTable
    config: FastConfig
    paths: list[_Path]
    heads: Heads
    report: Callable[[int, int], None]
    ends: list[Floats] = field(default_factory=list)
    converged: list[Mask] = field(default_factory=list)
    histories: list[list[Step]] = field(default_factory=list)
    tried: list[list[Penalty]] = field(default_factory=list)

    def solve(
        self,
        heads: Heads,
        start: Floats | Solution,
        number: int,
        history: list[Step] | None = None,
    ) -> Solution:
        """Minimise these heads from start; steps are reported under strength `number`."""
        n_steps = self.config.max_steps
        return solve(
            self.table,
            heads,
            start,
            self.config.activation,
            n_steps,
            report=lambda step: self.report(number * n_steps + step, self.n_steps),
            history=history,
        )

    @property
    def n_steps(self) -> int:
        """Steps in all, those at the chosen penalty included."""
        return (len(self.config.strengths) + 1) * self.config.max_steps

    def weights(
        self, path: _Path, theta: Sequence[Floats], groups: Sequence[str | None]
    ) -> Singles:
        """Return the weights (n_theta, n_tokens) of some heads of a path, each without a group."""
        rows = np.array(theta).reshape(len(theta), self.table.n_features)
        pull = [path.problem.pull_row(path.pull, group) for group in groups]
        return head_weights(self.table, rows, np.array(pull), self.config.activation)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The choice for a task: a path, the number of a strength, and all tried penalties."""

    path: _Path
    number: int
    choice: PenaltyChoice


def choose_heads(
    table: TokenTable,
    problems: Sequence[HeadProblem],
    groups: Mapping[str, Mask],
    run: Ints,
    config: FastConfig,
    report: Callable[[int, int], None] = lambda step, total: None,
    more: Mapping[str, Mask] | None = None,
    watch: Callable[[Look], None] = lambda look: None,
) -> list[WeightResult]:
    """Choose each task's penalty and optimise its heads.

    Args:
        table: tokens, and losses of the models that train or validate.
        problems: the tasks.
        groups: (n_models,) masks of the models left out together, such as a family.
        run: (n_models,) number of each model's training run, not negative; the draws are
            of whole runs, each by its number.
        config: settings.
        report: called with (step, steps); may raise to stop.
        more: further groups to leave out, which have no part in the choice; `fold_weight` of the
            result has them too.
        watch: given a function that returns the current progress, to be called during `report`.
    """
    paths, heads = _lay_out(problems, groups)
    walk = _Walk(table, config, paths, heads, report, tried=[[] for _ in paths])
    watch(partial(_look, problems, walk))
    _walk_down(walk, groups)
    chosen = [_choose(problem, walk) for problem in problems]
    draws = _draws(run, config.members - 1, config.seed)
    extras = _fit_extras(walk, chosen, draws, more or {})
    return [_result(walk, choice, extra) for choice, extra in zip(chosen, extras, strict=True)]


def _walk_down(walk: _Walk, groups: Mapping[str, Mask]) -> None:
    """Optimise all heads at each strength in turn and score the penalty of every path."""
    heads = walk.heads
    solution: Floats | Solution = np.zeros((heads.gamma.size, walk.table.n_features))
    for number, strength in enumerate(walk.config.strengths):
        walk.histories.append([])
        heads.strength[:] = strength
        solution = walk.solve(heads, solution, number, walk.histories[-1])
        walk.ends.append(solution.theta)
        walk.converged.append(solution.converged)
        end = solution.history[-1]
        predicted = end.laws.predict(end.score, heads.gamma)
        for path, penalties in zip(walk.paths, walk.tried, strict=True):
            penalties.append(_score_penalty(path, predicted[path.heads], groups, strength))
        walk.report((number + 1) * walk.config.max_steps, walk.n_steps)


def _draws(run: Ints, n_draws: int, seed: int) -> Floats:
    """Return random shares (n_draws, n_models), the same for all checkpoints of a run.

    Bayesian bootstrap over runs: Rubin 1981.
    """
    draws = {key: np.random.default_rng([seed, key]).exponential(size=n_draws) for key in run}
    return np.array([draws[key] for key in run]).T


def _lay_out(
    problems: Sequence[HeadProblem], groups: Mapping[str, Mask]
) -> tuple[list[_Path], Heads]:
    """Return the paths of every task and the heads of all paths; their strength is still 0."""
    paths: list[_Path] = []
    accuracy: list[Floats] = []
    share: list[Floats] = []
    gamma: list[float] = []
    pull: list[int] = []
    for problem in problems:
        left = {
            name: problem.train & ~left_out
            for name, left_out in groups.items()
            if (problem.train & left_out).any() and (problem.train & ~left_out).sum() >= 3
        }
        fits = {None: problem.train} | left
        for name in problem.pulls:
            rows = np.arange(len(pull), len(pull) + len(fits))
            paths.append(_Path(problem, name, rows, tuple(left)))
            for group, mask in fits.items():
                accuracy.append(problem.accuracy)
                share.append(mask / mask.sum())
                gamma.append(problem.gamma)
                pull.append(problem.pull_row(name, group))
    return paths, Heads(
        np.array(accuracy),
        np.array(share),
        np.array(gamma),
        np.zeros(len(pull)),
        np.array(pull),
    )


def _score_penalty(
    path: _Path, predicted: Floats, groups: Mapping[str, Mask], strength: float
) -> Penalty:
    """Return the errors of one penalty's heads, (n_heads, n_models) predicted, on unseen models.

    cv_error is in units of accuracy: the mean of two root mean squared errors, the average one over
    the groups and that on the validation models. With neither it is the error on train.
    """
    problem = path.problem
    seen = problem.train | problem.validation
    wrong = np.square(predicted - np.where(seen, problem.accuracy, 0.0))
    errors = {
        name: float(wrong[at, problem.train & groups[name]].mean())
        for at, name in enumerate(path.groups, start=1)
    }
    evidence = [np.mean(np.sqrt(list(errors.values())))] if errors else []
    if problem.validation.any():
        errors[VALIDATION] = float(wrong[0, problem.validation].mean())
        evidence.append(np.sqrt(errors[VALIDATION]))
    cv_error = np.mean(evidence) if evidence else np.sqrt(wrong[0, problem.train].mean())
    finite = None if np.isinf(strength) else float(strength)
    return Penalty(path.pull, finite, float(cv_error), errors)


def _choose(problem: HeadProblem, walk: _Walk) -> _Chosen:
    """Return the penalty with the lowest cv_error on all paths of a task."""
    tried = {
        (k, number): penalty
        for k, path in enumerate(walk.paths)
        if path.problem is problem
        for number, penalty in enumerate(walk.tried[k])
    }
    best = min(tried, key=lambda key: tried[key].cv_error)
    choice = PenaltyChoice(chosen=tried[best], tried=tuple(tried.values()))
    return _Chosen(walk.paths[best[0]], best[1], choice)


def _extra_shares(
    problem: HeadProblem, draws: Floats, more: Mapping[str, Mask]
) -> list[tuple[str | None, Floats]]:
    """Return shares (n_models,) of a task's further heads: None for a draw, or the group left out.

    A group is left out where that leaves 3 train models or more.
    """
    train = problem.train
    left = {name: train & ~mask for name, mask in more.items() if (train & mask).any()}
    folds = [(name, mask.astype(np.float64)) for name, mask in left.items() if mask.sum() >= 3]
    return [*((None, train * draw) for draw in draws), *folds]


def _fit_extras(
    walk: _Walk, chosen: Sequence[_Chosen], draws: Floats, more: Mapping[str, Mask]
) -> list[list[tuple[str | None, Floats]]]:
    """Fit the further heads of every task at its chosen penalty, all together.

    Returns:
        for each task the heads of `_extra_shares`, with theta (n_features,) in place of shares.
    """
    extras = [_extra_shares(choice.path.problem, draws, more) for choice in chosen]
    shares = np.array([share for heads_of_task in extras for _, share in heads_of_task])
    if not shares.size:
        return [[] for _ in chosen]
    owner = [
        choice for choice, heads_of_task in zip(chosen, extras, strict=True) for _ in heads_of_task
    ]
    plain = np.array([int(choice.path.heads[0]) for choice in owner])
    heads = walk.heads.take(plain)
    heads.share[:] = shares / shares.sum(axis=1, keepdims=True)
    heads.strength[:] = [walk.config.strengths[choice.number] for choice in owner]
    groups = [group for heads_of_task in extras for group, _ in heads_of_task]
    heads.pull[:] = [
        choice.path.problem.pull_row(choice.path.pull, group)
        for choice, group in zip(owner, groups, strict=True)
    ]
    start = np.array(
        [walk.ends[choice.number][row] for choice, row in zip(owner, plain, strict=True)]
    )
    ends = iter(walk.solve(heads, start, len(walk.config.strengths)).theta)
    return [[(group, next(ends)) for group, _ in heads_of_task] for heads_of_task in extras]


def _result(
    walk: _Walk, chosen: _Chosen, extras: Sequence[tuple[str | None, Floats]]
) -> WeightResult:
    path, number = chosen.path, chosen.number
    plain, *folds = walk.ends[number][path.heads]
    without = dict(zip(path.groups, folds, strict=True))
    without |= {group: theta for group, theta in extras if group is not None}
    draws = [theta for group, theta in extras if group is None]
    members = walk.weights(path, [plain, *draws], [None] * (1 + len(draws))).astype(np.float64)
    fold_weight = walk.weights(path, list(without.values()), list(without)).astype(np.float64)
    trace = tuple(entry for entry, _ in _way(path, walk.histories[: number + 1]))
    return WeightResult(
        task=path.problem.task,
        weight=members[0],
        step=trace[-1].step,
        trace=trace,
        stages=_stages(walk, path, number),
        draws=members[1:],
        choice=chosen.choice,
        fold_weight=dict(zip(without, fold_weight, strict=True)),
        converged=bool(walk.converged[number][path.heads[0]]),
        head=Head(
            theta=plain,
            pull=path.problem.pull_row(path.pull, None),
            strength=float(walk.config.strengths[number]),
            without=without,
            pull_without={group: path.problem.pull_row(path.pull, group) for group in without},
        ),
    )


def _stages(walk: _Walk, path: _Path, number: int) -> dict[float, Singles]:
    """Return the plain head's weights at the pull and at the end of every strength."""
    theta = {np.inf: np.zeros(walk.table.n_features)}
    ends = walk.ends[: number + 1]
    theta |= {at: end[path.heads[0]] for at, end in zip(walk.config.strengths, ends, strict=False)}
    weights = walk.weights(path, list(theta.values()), [None] * len(theta))
    return dict(zip(map(float, theta), weights, strict=True))


def _look(problems: Sequence[HeadProblem], walk: _Walk) -> list[Glimpse]:
    """Return each task's progress, on the path that is best so far."""
    glimpses = []
    for problem in problems:
        paths = [k for k, path in enumerate(walk.paths) if path.problem is problem]
        best = min(
            paths, key=lambda k: min((penalty.cv_error for penalty in walk.tried[k]), default=1.0)
        )
        way = _way(walk.paths[best], walk.histories)
        if way:
            glimpses.append(glimpse(problem, [entry for entry, _ in way], way[-1][1]))
    return glimpses


def _way(path: _Path, histories: Sequence[Sequence[Step]]) -> list[tuple[TraceStep, Floats]]:
    """Return every step that changed a path's plain head, with its scores (n_models,)."""
    problem = path.problem
    entries: list[tuple[TraceStep, Floats]] = []
    plain = path.heads[:1]
    for history in histories:
        for step in history:
            score = step.score[plain[0]]
            if entries and np.array_equal(score, entries[-1][1]):
                continue
            law = step.laws.take(plain)
            wrong = law.predict(score[None], np.array([problem.gamma]))[0] - problem.accuracy
            validation = problem.validation
            entry = TraceStep(
                step=len(entries),
                alpha=float(law.alpha[0]),
                beta=float(law.beta[0]),
                train_mse=float(step.mse[plain[0]]),
                validation_mse=float(np.mean(wrong[validation] ** 2)) if validation.any() else None,
            )
            entries.append((entry, score))
    return entries
