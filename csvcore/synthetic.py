"""Synthetic models with known weights and a known law, for tests and benchmarks.

Every token has a hidden state; those of a task's salient tokens lie apart from the others, as those
of digits or names do in a real model. A model's general skill lowers its loss on all tokens, and
its skill on a task lowers it further on the task's salient tokens. Its accuracy follows from the
score of the salient tokens alone by the sigmoid law, with binomial noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from csvcore.records import Floats, Ints

SPREAD_OF_LOSSES = 0.15  # noise of a token's log loss that is the model's own
SHARE_SALIENT = 0.1  # of the tokens, for each task
APART = 4.0  # how far salient tokens lie from the others, in standard deviations
N_SOURCES = 5  # of the text, equal in length, one after another
N_ITEMS = 1000  # of each accuracy; sets its noise
GAMMA = 0.25  # chance level


@dataclass(frozen=True, slots=True)
class World:
    """Planted data of several tasks.

    hidden: (n_tokens, width) float16. nll: (n_models, n_tokens) nats. accuracy: (n_tasks,
    n_models). salient: (n_tasks, n_tokens), which tokens carry the ability. family, run:
    (n_models,) index. source: (n_tokens,) index. gamma: chance level of every task. n_items behind
    each accuracy. n_chars: characters the tokens stand for.
    """

    hidden: NDArray[np.float16]
    nll: NDArray[np.float32]
    accuracy: Floats
    salient: NDArray[np.bool_]
    family: Ints
    run: Ints
    source: Ints
    gamma: float
    n_items: int
    n_chars: int


def make_world(
    n_tokens: int,
    width: int,
    n_models: int,
    n_tasks: int = 1,
    n_families: int = 5,
    signal: bool = True,
    seed: int = 0,
    hidden: NDArray[np.float16] | None = None,
) -> World:
    """Make a planted world; the same arguments give the same world.

    Args:
        n_tokens: target tokens.
        width: of the hidden states, whose variance falls off over directions as in real ones.
        n_models: models, dealt out to the families in turn, two to a training run.
        n_tasks: tasks, each with its own direction and skills.
        n_families: families; each has its own offset of skill on every task.
        signal: False gives accuracies that have nothing to do with the losses.
        seed: of everything.
        hidden: (n_tokens, width) where to write the states, such as a memory map.
    """
    rng = np.random.default_rng(seed)
    states = np.empty((n_tokens, width), dtype=np.float16) if hidden is None else hidden
    scale = 1.0 / np.sqrt(1.0 + np.arange(width) / 8.0)  # of the directions
    salient = rng.random((n_tasks, n_tokens)) < SHARE_SALIENT
    kind = rng.normal(size=(n_tasks, width))  # where each task's salient tokens lie
    kind *= APART / np.linalg.norm(kind, axis=1, keepdims=True)
    for at in range(0, n_tokens, 8192):
        block = rng.normal(size=(min(8192, n_tokens - at), width))
        block += salient[:, at : at + 8192].T @ kind
        states[at : at + 8192] = block * scale
    family = np.arange(n_models) % n_families
    run = (np.arange(n_models) // n_families // 2) * n_families + family
    general = rng.uniform(0.0, 0.8, n_models)
    bent = rng.normal(0.0, 0.4, (n_tasks, n_families))[:, family]
    skill = 0.6 * general + 1.2 * rng.uniform(0.0, 1.0, (n_tasks, n_models)) + bent
    base = rng.gamma(1.5, 1.3, n_tokens)
    nll = np.empty((n_models, n_tokens), dtype=np.float32)
    for m in range(n_models):
        gain = (salient * skill[:, m, None]).sum(axis=0)
        noise = rng.normal(0.0, SPREAD_OF_LOSSES, n_tokens)
        nll[m] = base * np.exp(-general[m] - gain + noise)
    n_chars = 4 * n_tokens
    score: Floats = np.asarray(nll @ salient.T.astype(np.float32), dtype=np.float64) / n_chars
    unit: Floats = np.asarray(
        (score - score.mean(axis=0)) / score.std(axis=0)
    )  # (n_models, n_tasks)
    logits = unit if signal else rng.normal(size=unit.shape)
    ability = GAMMA + (1.0 - GAMMA) * expit(-1.5 * logits.T)
    accuracy = rng.binomial(N_ITEMS, ability) / N_ITEMS
    source = np.minimum(np.arange(n_tokens) * N_SOURCES // n_tokens, N_SOURCES - 1)
    return World(states, nll, accuracy, salient, family, run, source, GAMMA, N_ITEMS, n_chars)
