"""The fast fit of whole tasks: the penalty chosen inside train, and how stable the weights are.

Every (task, pull, left-out group) is a head; all of them go down the path of penalties together,
each strength starting where the one before it ended. The path is always walked to its end, for
errors may rise along it before they fall. A penalty is judged by the errors on what its heads did
not see: each group of train models left out in turn, and the validation models. Test models are not
in the table at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from csvcore.optimise.features import TokenTable
from csvcore.optimise.gauss_newton import (
    MAX_STEPS,
    Activation,
    Heads,
    Solution,
    Step,
    head_weights,
    solve,
)
from csvcore.optimise.problem import HeadProblem, HeadResult, Look, Singles, glimpse
from csvcore.records import Floats, Glimpse, Ints, Mask, Penalty, PenaltyChoice, TraceStep

# From the pull alone to almost free; the first is the baseline the pull stands for.
STRENGTHS = (np.inf, 1e-2, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
VALIDATION = "validation models"


@dataclass(frozen=True, slots=True)
class FastConfig:
    """Settings of the fast fit.

    strengths: penalties on |theta|^2, falling; one alone leaves nothing to choose. members: heads
    whose spread tells how stable the weights are, the plain one and bootstrap draws of training
    runs. max_steps: Gauss-Newton steps at one strength.
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


def choose_heads(
    table: TokenTable,
    problems: Sequence[HeadProblem],
    groups: Mapping[str, Mask],
    run: Ints,
    config: FastConfig,
    report: Callable[[int, int], None] = lambda step, total: None,
    more: Mapping[str, Mask] | None = None,
    watch: Callable[[Look], None] = lambda look: None,
) -> list[HeadResult]:
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
        watch: given what tells how far the heads are, to be called during `report`.
    """
    paths, heads = _lay_out(problems, groups)
    theta = np.zeros((heads.gamma.size, table.n_features))
    tried: list[dict[int, Penalty]] = [{} for _ in paths]
    ends: list[Floats] = []
    solutions: list[Solution] = []
    walked: list[list[Step]] = []
    watch(partial(_look, problems, paths, tried, walked))
    for number, strength in enumerate(config.strengths):
        walked.append([])
        heads.strength[:] = strength
        solution = solve(
            *(table, heads, theta, config.activation, config.max_steps),
            report=partial(_report, report, number, config),
            history=walked[-1],
        )
        theta = solution.theta
        ends.append(theta.copy())
        solutions.append(solution)
        predicted = solution.history[-1].laws.predict(solution.history[-1].score, heads.gamma)
        for path, penalties in zip(paths, tried, strict=True):
            penalties[number] = _judge(path, predicted[path.heads], groups, strength)
        report((number + 1) * config.max_steps, _total(config))
    chosen = [_choice(problem, paths, tried) for problem in problems]
    step = partial(_report, report, len(config.strengths), config)
    size = config.members - 1
    draws = {key: np.random.default_rng([config.seed, key]).exponential(size=size) for key in run}
    after = _afterwards(
        table,
        heads,
        paths,
        chosen,
        ends,
        np.array([draws[key] for key in run]).T,
        more or {},
        config,
        step,
    )
    return [
        _result(table, heads, paths[at], number, choice, *own, ends, solutions, walked, config)
        for (at, number, choice), own in zip(chosen, after, strict=True)
    ]


def _report(report: Callable[[int, int], None], number: int, config: FastConfig, step: int) -> None:
    report(number * config.max_steps + step, _total(config))


def _total(config: FastConfig) -> int:
    return (len(config.strengths) + 1) * config.max_steps


def _lay_out(
    problems: Sequence[HeadProblem], groups: Mapping[str, Mask]
) -> tuple[list[_Path], Heads]:
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
        fits = [problem.train, *left.values()]
        for name, row in problem.pulls.items():
            rows = np.arange(len(pull), len(pull) + len(fits))
            paths.append(_Path(problem, name, rows, tuple(left)))
            for mask in fits:
                accuracy.append(problem.accuracy)
                share.append(mask / mask.sum())
                gamma.append(problem.gamma)
                pull.append(row)
    return paths, Heads(
        np.array(accuracy),
        np.array(share),
        np.array(gamma),
        np.zeros(len(pull)),
        np.array(pull),
    )


def _judge(path: _Path, predicted: Floats, groups: Mapping[str, Mask], strength: float) -> Penalty:
    """The errors of one penalty's heads, (n_heads, n_models) predicted, on what they did not see.

    The figure is in units of accuracy: the mean over the groups of the root mean squared error, and
    the same on the validation models, averaged; where there is neither, the error on train.
    """
    problem = path.problem
    known = problem.train | problem.validation
    wrong = np.square(predicted - np.where(known, problem.accuracy, 0.0))
    errors = {
        name: float(wrong[at, problem.train & groups[name]].mean())
        for at, name in enumerate(path.groups, start=1)
    }
    evidence = [np.mean(np.sqrt(list(errors.values())))] if errors else []
    if problem.validation.any():
        errors[VALIDATION] = float(wrong[0, problem.validation].mean())
        evidence.append(np.sqrt(errors[VALIDATION]))
    figure = np.mean(evidence) if evidence else np.sqrt(wrong[0, problem.train].mean())
    known_strength = None if np.isinf(strength) else float(strength)
    return Penalty(path.pull, known_strength, float(figure), errors)


def _choice(
    problem: HeadProblem, paths: Sequence[_Path], tried: Sequence[dict[int, Penalty]]
) -> tuple[int, int, PenaltyChoice]:
    """Path, number of the strength and record of what is chosen for a task."""
    own = [k for k, path in enumerate(paths) if path.problem is problem]
    figures = {(k, number): entry for k in own for number, entry in tried[k].items()}
    best = min(figures, key=lambda key: figures[key].figure)
    return *best, PenaltyChoice(chosen=figures[best], tried=tuple(figures.values()))


def _afterwards(
    table: TokenTable,
    heads: Heads,
    paths: Sequence[_Path],
    chosen: Sequence[tuple[int, int, PenaltyChoice]],
    ends: Sequence[Floats],
    draws: Floats,
    more: Mapping[str, Mask],
    config: FastConfig,
    report: Callable[[int], None],
) -> list[tuple[Floats, dict[str, Floats]]]:
    """For each task what is fitted at its chosen penalty alone: (members, n_features), and more.

    draws (n_draws, n_models) are random shares for the members behind the plain one, the same for
    all checkpoints of a run (Bayesian bootstrap over runs: Rubin 1981). more are further groups to
    leave out, a head (n_features,) each.
    """
    owner: list[int] = []
    shares: list[Floats] = []
    names: list[str] = []
    for k, (at, _, _) in enumerate(chosen):
        train = paths[at].problem.train
        left = {name: train & ~mask for name, mask in more.items() if (train & mask).any()}
        kept = {name: mask for name, mask in left.items() if mask.sum() >= 3}
        shares += [*(train * draws), *(mask.astype(np.float64) for mask in kept.values())]
        owner += [k] * (len(draws) + len(kept))
        names += [*([""] * len(draws)), *kept]
    plain = np.array([int(paths[at].heads[0]) for at, _, _ in chosen])
    start = [ends[number][row] for (_, number, _), row in zip(chosen, plain, strict=True)]
    found: list[tuple[list[Floats], dict[str, Floats]]] = [([theta], {}) for theta in start]
    if owner:
        asked = heads.take(plain[owner])
        asked.share[:] = np.array(shares) / np.sum(shares, axis=1, keepdims=True)
        asked.strength[:] = [config.strengths[chosen[k][1]] for k in owner]
        begin = np.array([start[k] for k in owner])
        solution = solve(table, asked, begin, config.activation, config.max_steps, report=report)
        for k, name, theta in zip(owner, names, solution.theta, strict=True):
            if name:
                found[k][1][name] = theta
            else:
                found[k][0].append(theta)
    return [(np.array(members), without) for members, without in found]


def _result(
    table: TokenTable,
    heads: Heads,
    path: _Path,
    number: int,
    choice: PenaltyChoice,
    members: Floats,
    without: dict[str, Floats],
    ends: Sequence[Floats],
    solutions: Sequence[Solution],
    walked: Sequence[Sequence[Step]],
    config: FastConfig,
) -> HeadResult:
    pull = heads.pull[path.heads]
    without = dict(zip(path.groups, ends[number][path.heads[1:]], strict=True)) | without
    weight = _scaled(
        head_weights(table, members, np.repeat(pull[:1], len(members)), config.activation)
    )
    theta = np.array(list(without.values())).reshape(len(without), table.n_features)
    folds = head_weights(table, theta, np.repeat(pull[:1], len(without)), config.activation)
    trace = tuple(entry for entry, _ in _way(path, walked[: number + 1]))
    return HeadResult(
        task=path.problem.task,
        weight=weight[0],
        step=trace[-1].step,
        trace=trace,
        stages=_stages(table, path, pull[:1], ends[: number + 1], config),
        spread=weight.std(axis=0),
        choice=choice,
        fold_weight=dict(zip(without, folds.astype(np.float64), strict=True)),
        converged=bool(solutions[number].converged[path.heads[0]]),
    )


def _scaled(weight: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Floats:
    wide = weight.astype(np.float64)
    return np.asarray(wide / wide.mean(axis=1, keepdims=True))


def _stages(
    table: TokenTable, path: _Path, pull: Ints, ends: Sequence[Floats], config: FastConfig
) -> dict[float, Singles]:
    """Weights of the plain head at the end of every strength, from the pull alone on."""
    theta = {np.inf: np.zeros(table.n_features)}
    theta |= {at: end[path.heads[0]] for at, end in zip(config.strengths, ends, strict=False)}
    rows = np.array(list(theta.values()))
    weights = head_weights(table, rows, np.repeat(pull, len(rows)), config.activation)
    return dict(zip(map(float, theta), weights, strict=True))


def _look(
    problems: Sequence[HeadProblem],
    paths: Sequence[_Path],
    tried: Sequence[Mapping[int, Penalty]],
    walked: Sequence[Sequence[Step]],
) -> list[Glimpse]:
    """Each task on the path that is best so far."""
    found = []
    for problem in problems:
        own = [k for k, path in enumerate(paths) if path.problem is problem]
        best = min(own, key=lambda k: min((one.figure for one in tried[k].values()), default=1.0))
        way = _way(paths[best], walked)
        if way:
            found.append(glimpse(problem, [entry for entry, _ in way], way[-1][1]))
    return found


def _way(path: _Path, walked: Sequence[Sequence[Step]]) -> list[tuple[TraceStep, Floats]]:
    """The plain head down the penalties: every step that changed it, with scores (n_models,)."""
    problem = path.problem
    entries: list[tuple[TraceStep, Floats]] = []
    own = path.heads[:1]
    for history in walked:
        for step in history:
            score = step.score[own[0]]
            if entries and np.array_equal(score, entries[-1][1]):
                continue
            law = step.laws.take(own)
            wrong = law.predict(score[None], np.array([problem.gamma]))[0] - problem.accuracy
            known = problem.validation
            entry = TraceStep(
                step=len(entries),
                alpha=float(law.alpha[0]),
                beta=float(law.beta[0]),
                train_mse=float(step.mse[own[0]]),
                validation_mse=float(np.mean(wrong[known] ** 2)) if known.any() else None,
            )
            entries.append((entry, score))
    return entries
