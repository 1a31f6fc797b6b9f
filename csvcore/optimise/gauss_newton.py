"""The fast fit: damped Gauss-Newton steps on many heads at once, the law profiled out.

For a head theta the weights are w_t = pull_t * f(theta . x_t), the scores C_m = (1 / N_c) *
sum_t w_t * nll_mt (equation 1), and (alpha, beta) are the best law for these scores (equation 4).
The objective over theta is

    F = sum_m share_m * (predicted_m - accuracy_m)^2 + strength * |theta|^2.

At the best law the residuals are orthogonal to the law's own Jacobian, so the gradient of F is that
at a fixed law, exactly; and with the law's part projected out of the models x features Jacobian J,
J'J is the Gauss-Newton matrix of the profiled problem (variable projection, Kaufman). A step solves
(J'J + (strength + damping) I) step = -gradient, through the models x models matrix J J' where there
are fewer models than features. A step that does not lower F is not taken: the damping grows until
one does.

J costs as much as n_features passes over the losses, the gradient of F as much as two. So after a
step with a new J come steps with the exact gradient and the same J, as long as they lower F enough
(the chord method; Kelley 1995, Iterative Methods for Linear and Nonlinear Equations, 5.4.1).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from csvcore.optimise.features import TokenTable
from csvcore.optimise.passes import Activation, Passes, default_device
from csvcore.records import Floats, Ints, Mask
from csvcore.scaling import Laws, fit_sigmoid_laws

MAX_STEPS = 30
TOLERANCE = 3e-3  # a step with a new J that lowers F by less than this share ends the fit
ENOUGH = 1e-2  # a step with an old J that lowers F by less than this share asks for a new one
CHORDS = 10  # steps with an old J in a row
FIRST_DAMPING, LEAST_DAMPING, TRIES = 1e-5, 1e-9, 8


@dataclass(frozen=True, slots=True)
class Heads:
    """Heads that are optimised together, each with its own models, penalty and pull.

    accuracy: (n_heads, n_models), read only where share is positive. share: (n_heads, n_models) how
    much each model counts, rows sum to 1. gamma, strength: (n_heads,) chance level and penalty.
    pull: (n_heads,) which row of `TokenTable.pulls`.
    """

    accuracy: Floats
    share: Floats
    gamma: Floats
    strength: Floats
    pull: Ints

    def take(self, chosen: Ints) -> "Heads":
        """Return some of the heads."""
        return Heads(
            accuracy=self.accuracy[chosen],
            share=self.share[chosen],
            gamma=self.gamma[chosen],
            strength=self.strength[chosen],
            pull=self.pull[chosen],
        )


@dataclass(frozen=True, slots=True)
class Step:
    """All heads after a step: laws, scores (n_heads, n_models), and mse on the share (n_heads,)."""

    laws: Laws
    score: Floats
    mse: Floats


@dataclass(frozen=True, slots=True)
class Solution:
    """The heads at the end of the steps.

    theta: (n_heads, n_features). objective: (n_heads,) F. history: the start and every step.
    converged: (n_heads,) false where MAX_STEPS passed before the stopping rule held. curvature: the
    last of every head, to go on from at another strength.
    """

    theta: Floats
    objective: Floats
    history: tuple[Step, ...]
    converged: Mask
    curvature: "Curvature"


def solve(
    table: TokenTable,
    heads: Heads,
    start: "Floats | Solution",
    kind: Activation = "exp",
    max_steps: int = MAX_STEPS,
    report: Callable[[int], None] = lambda step: None,
    history: list[Step] | None = None,
) -> Solution:
    """Minimise F of every head from start; F never rises.

    A head is done if a step lowers its F by less than TOLERANCE of it, or if no damping finds a
    lower F. Finished heads are skipped.

    Args:
        table: features and losses of the tokens.
        heads: what each head is fitted to.
        start: (n_heads, n_features), or a solution of the same heads at another strength, whose
            Jacobians serve on; it gives them up.
        kind: the non-linearity f.
        max_steps: steps at most.
        report: called after every step with its number; may raise to stop.
        history: an empty list that gets every step as soon as it is done, for `report` to look at.
    """
    history = [] if history is None else history
    passes = Passes(table, kind, default_device())
    if isinstance(start, Solution):
        state = _start(passes, heads, start.theta, start.curvature)
    else:
        state = _start(passes, heads, start, Curvature.unformed(heads, table.n_features))
    history.append(Step(state.laws, state.score, state.laws.mse))
    _chords(passes, heads, state, np.flatnonzero(~state.done & state.curvature.formed))
    for number in range(1, max_steps + 1):
        if state.done.all():
            break
        _step(passes, heads, state)
        history.append(Step(state.laws, state.score, state.laws.mse))
        report(number)
    return Solution(state.theta, state.objective, tuple(history), state.done, state.curvature)


@dataclass(frozen=True, slots=True)
class Curvature:
    """The models of some heads that count, and each head's Jacobian where it was last formed.

    rows: (n_rows,) models whose share is positive in any head. jacobian: (n_heads, n_rows,
    n_features) of the share's roots times predicted, the law's part projected out. gram: (n_heads,
    size, size) the products of its rows with one another, or of its columns where these are fewer.
    factor: (n_heads, size, size) the Cholesky factor of gram + ridge on the diagonal. ridge:
    (n_heads,) NaN without a factor.
    """

    rows: Ints
    jacobian: torch.Tensor
    gram: torch.Tensor
    factor: torch.Tensor
    ridge: torch.Tensor

    @property
    def formed(self) -> Mask:
        """Return which heads have a Jacobian, (n_heads,)."""
        return np.asarray(self.gram.flatten(1).any(dim=1))

    @classmethod
    def unformed(cls, heads: Heads, n_features: int) -> "Curvature":
        """Return the curvature of heads none of which has a Jacobian yet: zeros."""
        n_heads = heads.share.shape[0]
        rows = np.flatnonzero((heads.share > 0).any(axis=0))
        size = min(rows.size, n_features)
        return cls(
            rows,
            torch.zeros(n_heads, rows.size, n_features, dtype=torch.float64),
            torch.zeros(n_heads, size, size, dtype=torch.float64),
            torch.zeros(n_heads, size, size, dtype=torch.float64),
            torch.full((n_heads,), torch.nan, dtype=torch.float64),
        )

    def form(self, which: Ints, jacobian: torch.Tensor) -> None:
        """Replace the Jacobian of the heads `which`."""
        self.jacobian[which] = jacobian
        across = jacobian.transpose(1, 2)
        self.gram[which] = jacobian @ across if self._fewer_rows else across @ jacobian
        self.ridge[which] = torch.nan

    def steps(self, which: Ints, gradient: torch.Tensor, ridge: torch.Tensor) -> Floats:
        """Return steps of the heads `which`, (n_which, n_features).

        If rounding makes a system not positive definite, the step is 0, so F is not lower and the
        damping grows.

        Args:
            which: (n_which,) heads.
            gradient: (n_which, n_features) half of F's gradient.
            ridge: (n_which,) strength and damping.
        """
        self._factorise(which, ridge)
        factor = self.factor[which]
        if self._fewer_rows:
            jacobian = self.jacobian[which]
            seen = torch.einsum("kmp,kp->km", jacobian, gradient)
            inner = torch.cholesky_solve(seen[..., None], factor)[..., 0]
            step = (torch.einsum("kmp,km->kp", jacobian, inner) - gradient) / ridge[:, None]
        else:
            step = -torch.cholesky_solve(gradient[..., None], factor)[..., 0]
        step[self.ridge[which].isnan()] = 0.0
        return step.numpy()

    @property
    def _fewer_rows(self) -> bool:
        return self.rows.size < self.jacobian.shape[2]

    def _factorise(self, which: Ints, ridge: torch.Tensor) -> None:
        """Factorise the systems of the heads whose factor is of another ridge.

        By Cholesky: torch's LU of several matrices of more than 150 rows fails or errs on a CPU
        with more than one thread (https://github.com/pytorch/pytorch/issues/142815).
        """
        new = (self.ridge[which] != ridge).numpy()
        heads, ridge = which[new], ridge[new]
        system = self.gram[heads] + torch.diag_embed(ridge[:, None].expand(-1, self.gram.shape[1]))
        self.factor[heads], failed = torch.linalg.cholesky_ex(system)
        self.ridge[heads] = torch.where(failed > 0, torch.nan, ridge)


@dataclass(slots=True)
class _State:
    """State of all heads; the first axis of every array is (n_heads,)."""

    theta: Floats
    score: Floats
    laws: Laws
    objective: Floats
    damping: Floats
    done: Mask
    curvature: Curvature


def _start(passes: Passes, heads: Heads, start: Floats, curvature: Curvature) -> _State:
    """Return the heads at theta = start; heads of infinite strength are done, with theta 0."""
    score = passes.scores(start, heads.pull)
    laws = fit_sigmoid_laws(score, heads.accuracy, heads.gamma, heads.share)
    return _State(
        theta=start.copy(),
        score=score,
        laws=laws,
        objective=laws.mse + _penalty(heads.strength, start),
        damping=np.full(start.shape[0], FIRST_DAMPING),
        done=np.isinf(heads.strength),
        curvature=curvature,
    )


def _step(passes: Passes, heads: Heads, state: _State) -> None:
    """Move every unfinished head by a step with a new Jacobian, and on with that Jacobian.

    A head is done if no damping lowers its F, or if the step with the new Jacobian lowers it by
    less than TOLERANCE of it.
    """
    live = np.flatnonzero(~state.done)
    gradient = _form(passes, heads, state, live)
    state.score, state.laws = state.score.copy(), state.laws.copy()  # the history keeps the old
    waiting = np.arange(live.size)
    for _ in range(TRIES):
        which = live[waiting]
        ridge = torch.from_numpy(heads.strength[which] + state.damping[which])
        moved = state.theta[which] + state.curvature.steps(which, gradient[waiting], ridge)
        gain = _take_if_lower(passes, heads, state, which, moved)
        state.done[which] |= (gain > 0) & (gain < TOLERANCE)
        state.damping[which] *= np.where(gain > 0, 0.1, 10.0)
        state.damping[which] = np.maximum(state.damping[which], LEAST_DAMPING)
        waiting = waiting[gain == 0]
        if waiting.size == 0:
            break
    state.done[live[waiting]] = True
    _chords(passes, heads, state, live[~state.done[live]])


def _chords(passes: Passes, heads: Heads, state: _State, which: Ints) -> None:
    """Move the heads `which` by steps with the Jacobian they have, while F falls by ENOUGH."""
    for _ in range(CHORDS):
        if which.size == 0:
            break
        gradient = _gradient(passes, heads, state, which)
        ridge = torch.from_numpy(heads.strength[which] + state.damping[which])
        moved = state.theta[which] + state.curvature.steps(which, gradient, ridge)
        which = which[_take_if_lower(passes, heads, state, which, moved) > ENOUGH]


def _take_if_lower(
    passes: Passes, heads: Heads, state: _State, which: Ints, moved: Floats
) -> Floats:
    """Move those of the heads `which` whose F is lower at moved (n_which, n_features).

    Returns:
        (n_which,) the share of F by which it fell; 0 for heads that were not moved.
    """
    part = heads.take(which)
    score = passes.scores(moved, part.pull)
    laws = fit_sigmoid_laws(
        score, part.accuracy, part.gamma, part.share, start=state.laws.take(which)
    )
    objective = laws.mse + _penalty(part.strength, moved)
    gain = np.maximum(1.0 - objective / state.objective[which], 0.0)
    better = gain > 0
    taken = which[better]
    state.theta[taken] = moved[better]
    state.objective[taken] = objective[better]
    state.score[taken] = score[better]
    state.laws.put(taken, laws.take(np.flatnonzero(better)))
    return np.asarray(gain)


def _form(passes: Passes, heads: Heads, state: _State, which: Ints) -> torch.Tensor:
    """Form the Jacobian of the heads `which` anew; return half of F's gradient, see `_gradient`."""
    rows, part = state.curvature.rows, heads.take(which)
    share = torch.from_numpy(np.sqrt(part.share[:, rows]))
    residual, by_score, by_law = _derivatives(part, state, which)
    law_jacobian = share[..., None] * by_law[:, rows]  # (n_which, n_rows, 2)
    base, _ = torch.linalg.qr(law_jacobian)
    jacobian = passes.jacobian(state.theta[which], part.pull, rows)
    jacobian *= (share * by_score[:, rows])[..., None]
    jacobian -= base @ (base.transpose(1, 2) @ jacobian)
    state.curvature.form(which, jacobian)
    by_theta = torch.einsum("kmp,km->kp", jacobian, share * residual[:, rows])
    return by_theta + torch.from_numpy(part.strength[:, None] * state.theta[which])


def _gradient(passes: Passes, heads: Heads, state: _State, which: Ints) -> torch.Tensor:
    """Return half of the gradient of F of the heads `which`, (n_which, n_features)."""
    part = heads.take(which)
    residual, by_score, _ = _derivatives(part, state, which)
    by_score = torch.from_numpy(part.share) * residual * by_score
    by_theta = passes.gradient(state.theta[which], part.pull, by_score)
    return by_theta + torch.from_numpy(part.strength[:, None] * state.theta[which])


def _derivatives(
    part: Heads, state: _State, which: Ints
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return residuals and derivatives by score and law of the heads `part`, 0 without a share."""
    laws = state.laws.take(which)
    predicted, by_score, by_law = laws.derivatives(state.score[which], part.gamma)
    residual = np.where(part.share > 0, predicted - part.accuracy, 0.0)
    return torch.from_numpy(residual), torch.from_numpy(by_score), torch.from_numpy(by_law)


def _penalty(strength: Floats, theta: Floats) -> Floats:
    length = np.square(theta).sum(axis=1)
    return np.asarray(np.where(length > 0, strength, 0.0) * length)
