"""Accuracies that follow a planted head, and the objective of a fit to them written down anew."""

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from scipy.special import expit

from csvcore.optimise import Activation, TokenTable, features
from csvcore.optimise.gauss_newton import Heads
from csvcore.records import Floats
from csvcore.scaling import fit_sigmoid_laws

N_TOKENS, RANK, N_SOURCES, N_MODELS, N_CHARS = 150, 4, 2, 40, 600
N_FEATURES = RANK + N_SOURCES
KINDS: tuple[Activation, ...] = ("exp", "softplus")
few = settings(max_examples=8)  # each is a whole optimisation
seeds = st.integers(0, 1000)


def set_block(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Make blocks of this many tokens."""
    monkeypatch.setattr(features, "BLOCK", size)
    monkeypatch.setattr(features.over_tokens, "__defaults__", (None, size))


def planted(seed: int, n_heads: int = 3, strength: float = 1e-4) -> tuple[TokenTable, Heads]:
    """Accuracies that follow a head over the tokens with some noise; uneven shares, two pulls."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(N_TOKENS, RANK)) / np.sqrt(RANK)
    nll = rng.gamma(2.0, 0.5, (N_MODELS, N_TOKENS))
    pulls = np.stack([np.ones(N_TOKENS), rng.uniform(0.5, 1.5, N_TOKENS)])
    source = np.arange(N_TOKENS) % N_SOURCES
    table = TokenTable(
        *(states.astype(np.float32), nll.astype(np.float32), source, N_SOURCES),
        *(pulls.astype(np.float32), N_CHARS),
    )
    score = nll @ np.exp(states @ rng.normal(size=(RANK, n_heads))) / N_CHARS
    unit = ((score - score.mean(0)) / score.std(0)).T
    gamma = rng.choice([0.0, 0.25], n_heads)
    accuracy = gamma[:, None] + (1 - gamma[:, None]) * expit(-1.5 * unit)
    share = rng.exponential(size=accuracy.shape)
    share[:, -2:] = 0.0
    share[np.arange(n_heads), np.arange(n_heads) % N_MODELS] = (
        0.0  # and one that only this head leaves out
    )
    share /= share.sum(axis=1, keepdims=True)
    noisy = accuracy + rng.normal(0.0, 0.02, accuracy.shape)
    noisy[:, -2:] = np.nan
    pull = np.arange(n_heads) % 2
    return table, Heads(noisy, share, gamma, np.full(n_heads, strength), pull)


def some_theta(seed: int, n_heads: int = 3) -> Floats:
    return np.random.default_rng(seed + 99).normal(0.0, 0.5, (n_heads, N_FEATURES))


def scores(table: TokenTable, theta: torch.Tensor, pull: int, kind: Activation) -> torch.Tensor:
    """Equation 1, written down anew."""
    own = torch.nn.functional.one_hot(torch.from_numpy(table.source), N_SOURCES)
    logit = torch.cat([torch.from_numpy(table.states).double(), own], dim=1) @ theta
    factor = torch.exp(logit) if kind == "exp" else torch.log1p((np.e - 1) * torch.exp(logit))
    weight = torch.from_numpy(table.pulls[pull]).double() * factor
    return torch.from_numpy(table.nll).double() @ weight / table.n_chars


def error(heads: Heads, k: int, score: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """Return the weighted squared error of head k at a fixed law."""
    gamma = float(heads.gamma[k])
    predicted = gamma + (1 - gamma) / (1 + torch.exp(-alpha * (score - beta)))
    wrong = predicted - torch.from_numpy(np.nan_to_num(heads.accuracy[k]))
    return (torch.from_numpy(heads.share[k]) * wrong**2).sum()


def objective(
    table: TokenTable, heads: Heads, k: int, theta: Floats, kind: Activation
) -> tuple[float, Floats]:
    """F of head k and its gradient: the law fitted for these scores, then held where it is."""
    leaf = torch.tensor(theta, requires_grad=True)
    score = scores(table, leaf, int(heads.pull[k]), kind)
    one = heads.take(np.array([k]))
    law = fit_sigmoid_laws(score.detach().numpy()[None], one.accuracy, one.gamma, one.share)
    value = error(heads, k, score, float(law.alpha[0]), float(law.beta[0]))
    value = value + float(heads.strength[k]) * (leaf**2).sum()
    value.backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return float(value.detach()), leaf.grad.numpy()
