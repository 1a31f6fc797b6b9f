"""The fast fit: damped Gauss-Newton steps on many heads at once, the law profiled out.

For a head theta the weights are w_t = pull_t * f(theta . x_t), the scores C_m = (1 / N_c) *
sum_t w_t * nll_mt (equation 1), and (alpha, beta) are the best law for these scores (equation 4).
The objective over theta is

    F = sum_m share_m * (predicted_m - accuracy_m)^2 + strength * |theta|^2.

At the best law the residuals are orthogonal to the law's own Jacobian, so the gradient of F is that
at a fixed law, exactly; and with the law's part projected out of the models x features Jacobian J,
J'J is the Gauss-Newton matrix of the profiled problem (variable projection, Kaufman). A step solves
(J'J + (strength + damping) I) step = -gradient through the models x models matrix J J'. A step that
does not lower F is not taken: the damping grows until one does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from csvcore.optimise.features import TokenTable, over_tokens
from csvcore.records import Floats, Ints
from csvcore.scaling import Laws, fit_sigmoid_laws

Activation = Literal["exp", "softplus"]
LARGEST_LOGIT = 30.0
HEADS_AT_ONCE = 8  # heads whose models x tokens products are formed together
MAX_STEPS = 30
TOLERANCE = 3e-3  # a step that lowers F by less than this share ends the fit
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
    converged: (n_heads,) false where MAX_STEPS passed before the stopping rule held.
    """

    theta: Floats
    objective: Floats
    history: tuple[Step, ...]
    converged: NDArray[np.bool_]


def default_device() -> torch.device:
    """Return the GPU if available, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def activate(logit: torch.Tensor, kind: Activation) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the factor f(logit) of a weight and its derivative; f(0) = 1, both positive."""
    if kind == "exp":
        factor = torch.exp(logit.clamp(max=LARGEST_LOGIT))
        return factor, factor
    moved = logit + float(np.log(np.expm1(1.0)))
    return torch.nn.functional.softplus(moved), torch.sigmoid(moved)


def solve(
    table: TokenTable,
    heads: Heads,
    start: Floats,
    kind: Activation = "exp",
    max_steps: int = MAX_STEPS,
    device: torch.device | None = None,
    report: Callable[[int], None] = lambda step: None,
    history: list[Step] | None = None,
) -> Solution:
    """Minimise F of every head from start; F never rises.

    A head is done if a step lowers its F by less than TOLERANCE of it, or if no damping finds a
    lower F. Finished heads are skipped.

    Args:
        table: features and losses of the tokens.
        heads: what each head is fitted to.
        start: (n_heads, n_features).
        kind: the non-linearity f.
        max_steps: steps at most.
        device: where the passes over the tokens run; `default_device` if None.
        report: called after every step with its number; may raise to stop.
        history: an empty list that gets every step as soon as it is done, for `report` to look at.
    """
    history = [] if history is None else history
    passes = _Passes(table, kind, device or default_device())
    state = _start(passes, heads, start)
    history.append(Step(state.laws, state.score, state.laws.mse))
    for number in range(1, max_steps + 1):
        if state.done.all():
            break
        _step(passes, heads, state)
        history.append(Step(state.laws, state.score, state.laws.mse))
        report(number)
    return Solution(state.theta, state.objective, tuple(history), state.done)


@dataclass(slots=True)
class _State:
    """State of all heads; the first axis of every array is (n_heads,)."""

    theta: Floats
    score: Floats
    laws: Laws
    objective: Floats
    damping: Floats
    done: NDArray[np.bool_]


def _start(passes: "_Passes", heads: Heads, start: Floats) -> _State:
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
    )


def _step(passes: "_Passes", heads: Heads, state: _State) -> None:
    """Move every unfinished head by one step; a head is done if no damping lowers its F."""
    live = np.flatnonzero(~state.done)
    curvature = _Curvature(
        passes, heads.take(live), state.theta[live], state.laws.take(live), state.score[live]
    )
    state.score, state.laws = state.score.copy(), state.laws.copy()  # the history keeps the old
    waiting = np.arange(live.size)
    for _ in range(TRIES):
        which = live[waiting]
        moved = state.theta[which] + curvature.steps(waiting, state.damping[which])
        waiting = waiting[~_take_if_lower(passes, heads, state, which, moved)]
        if waiting.size == 0:
            break
    state.done[live[waiting]] = True


def _take_if_lower(
    passes: "_Passes", heads: Heads, state: _State, which: Ints, moved: Floats
) -> NDArray[np.bool_]:
    """Move those of the heads `which` whose F is lower at moved, and damp the others more.

    Returns:
        (n_which,) true for the heads that were moved.
    """
    part = heads.take(which)
    score = passes.scores(moved, part.pull)
    laws = fit_sigmoid_laws(
        score, part.accuracy, part.gamma, part.share, start=state.laws.take(which)
    )
    objective = laws.mse + _penalty(part.strength, moved)
    better = objective < state.objective[which]
    taken, rest = which[better], which[~better]
    state.done[taken] |= objective[better] > (1.0 - TOLERANCE) * state.objective[taken]
    state.theta[taken] = moved[better]
    state.objective[taken] = objective[better]
    state.score[taken] = score[better]
    state.laws.put(taken, laws.take(np.flatnonzero(better)))
    state.damping[taken] = np.maximum(state.damping[taken] / 10.0, LEAST_DAMPING)
    state.damping[rest] *= 10.0
    return np.asarray(better)


def _penalty(strength: Floats, theta: Floats) -> Floats:
    length = np.square(theta).sum(axis=1)
    return np.asarray(np.where(length > 0, strength, 0.0) * length)


def head_weights(
    table: TokenTable, theta: Floats, pull: Ints, kind: Activation = "exp"
) -> NDArray[np.float32]:
    """Return the weights of these heads before scaling, (n_heads, n_tokens)."""
    coefficients = torch.from_numpy(theta.T).float()

    def work(starts: range) -> list[NDArray[np.float32]]:
        parts = []
        for block in table.blocks(np.arange(0), torch.device("cpu"), starts):
            factor, _ = activate(block.logits(coefficients), kind)
            parts.append((factor.T * block.pulls[pull]).numpy())
        return parts

    shares = over_tokens(table.states.shape[0], work)
    return np.concatenate([part for parts in shares for part in parts], axis=1)


class _Passes:
    """Passes over the tokens for many heads: scores, and scores' Jacobian by the head."""

    def __init__(self, table: TokenTable, kind: Activation, device: torch.device) -> None:
        self.table, self.kind, self.device = table, kind, device

    def scores(self, theta: Floats, pull: Ints) -> Floats:
        """Return capability scores of all models, (n_heads, n_models)."""
        table = self.table
        coefficients = torch.from_numpy(theta.T).float().to(self.device)
        every = np.arange(table.nll.shape[0])

        def work(starts: range) -> torch.Tensor:
            total = torch.zeros(every.size, theta.shape[0], dtype=torch.float64)
            total = total.to(self.device)
            for block in table.blocks(every, self.device, starts):
                factor, _ = activate(block.logits(coefficients), self.kind)
                total += (block.nll @ (factor * block.pulls[pull].T)).double()
            return total

        shares = over_tokens(table.states.shape[0], work, self.device)
        return np.asarray((torch.stack(shares).sum(dim=0).T / table.n_chars).cpu().numpy())

    def jacobian(self, theta: Floats, pull: Ints, rows: Ints) -> torch.Tensor:
        """Return d score of these models / d theta, (n_heads, n_rows, n_features)."""
        table, n_heads = self.table, theta.shape[0]
        coefficients = torch.from_numpy(theta.T).float().to(self.device)

        def work(starts: range) -> torch.Tensor:
            flat = torch.zeros(n_heads * rows.size, table.n_features, device=self.device)
            for block in table.blocks(rows, self.device, starts):
                _, slope = activate(block.logits(coefficients), self.kind)
                by_head = (slope.T.contiguous() * block.pulls[pull])[:, None, :]
                for at in range(0, n_heads, HEADS_AT_ONCE):
                    product = by_head[at : at + HEADS_AT_ONCE] * block.nll  # (heads, n_rows, b)
                    part = flat[at * rows.size : (at + product.shape[0]) * rows.size]
                    block.add_gradients(product.flatten(0, 1), part)
            return flat.cpu().double()

        shares = over_tokens(table.states.shape[0], work, self.device)
        whole = torch.stack(shares).sum(dim=0) / table.n_chars
        return whole.view(n_heads, rows.size, -1)


class _Curvature:
    """Gradient and projected Jacobian of some heads; steps for any damping."""

    def __init__(
        self, passes: _Passes, heads: Heads, theta: Floats, laws: Laws, score: Floats
    ) -> None:
        rows = np.flatnonzero((heads.share > 0).any(axis=0))
        share = torch.from_numpy(np.sqrt(heads.share[:, rows]))
        accuracy = torch.from_numpy(np.where(share > 0, heads.accuracy[:, rows], 0.0))
        predicted, by_score, by_law = (
            torch.from_numpy(part) for part in laws.derivatives(score[:, rows], heads.gamma)
        )
        residual = share * (predicted - accuracy)  # (n_heads, n_rows)
        law_jacobian = share[..., None] * by_law  # (n_heads, n_rows, 2)
        base, _ = torch.linalg.qr(law_jacobian)
        jacobian = passes.jacobian(theta, heads.pull, rows) * (share * by_score)[..., None]
        jacobian -= base @ (base.transpose(1, 2) @ jacobian)
        self.strength = torch.from_numpy(heads.strength)
        self.jacobian = jacobian
        self.gradient = torch.einsum("kmp,km->kp", jacobian, residual) + self.strength[
            :, None
        ] * torch.from_numpy(theta)
        self.gram = jacobian @ jacobian.transpose(1, 2)

    def steps(self, which: Ints, damping: Floats) -> Floats:
        """Return steps of these heads, (n_which, n_features).

        By Cholesky: torch's LU of several matrices of more than 150 rows fails or errs on a CPU
        with more than one thread (https://github.com/pytorch/pytorch/issues/142815). If
        rounding makes a system not positive definite, the step is 0, so F is not lower and the
        damping grows.
        """
        ridge = self.strength[which] + torch.from_numpy(damping)
        jacobian, gradient = self.jacobian[which], self.gradient[which]
        system = self.gram[which] + torch.diag_embed(ridge[:, None].expand(-1, self.gram.shape[1]))
        seen = torch.einsum("kmp,kp->km", jacobian, gradient)
        factor, failed = torch.linalg.cholesky_ex(system)
        inner = torch.cholesky_solve(seen[..., None], factor)[..., 0]
        step = (torch.einsum("kmp,km->kp", jacobian, inner) - gradient) / ridge[:, None]
        step[failed > 0] = 0.0
        return step.numpy()
