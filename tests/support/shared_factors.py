"""Planted worlds in which six tasks need three factors."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from csvcore.optimise import (
    FactorChoice,
    FastConfig,
    HeadProblem,
    TokenTable,
    WeightResult,
    choose_factors,
    choose_heads,
    token_features,
)
from csvcore.records import Floats, Mask
from csvcore.synthetic import World, make_world

N_TOKENS, N_MODELS, N_TRAIN, N_FACTORS = 800, 60, 40, 3
MIXES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]]) / 1.0
GAMMA, N_ITEMS = 0.25, 1000


@dataclass(frozen=True)
class Planted:
    """A world, its factors' scores (n_factors, n_models), and the problems of its tasks."""

    world: World
    factor: Floats
    accuracy: Floats
    table: TokenTable
    problems: list[HeadProblem]
    groups: dict[str, Mask]

    @property
    def train(self) -> Mask:
        """The first models train, the rest test."""
        return self.problems[0].train

    def own_heads(self) -> list[WeightResult]:
        """The tasks' own heads."""
        config = FastConfig(members=1)
        return choose_heads(self.table, self.problems, self.groups, self.world.run, config)

    def choose(self, own: list[WeightResult], **options: object) -> FactorChoice:
        """The shared factors."""
        return choose_factors(self.table, self.problems, own, self.groups, **options)  # type: ignore[arg-type]


def planted_factors(seed: int) -> Planted:
    """Six tasks that need one or two of three factors; two thirds of the models train."""
    world = make_world(N_TOKENS, 12, N_MODELS, N_FACTORS, n_families=5, seed=seed)
    score = (world.salient @ world.nll.T.astype(np.float64)) / world.n_chars
    unit = (score - score.mean(axis=1, keepdims=True)) / score.std(axis=1, keepdims=True)
    mix = MIXES / np.linalg.norm(MIXES, axis=1, keepdims=True)
    ability = GAMMA + (1 - GAMMA) * expit(-1.5 * mix @ unit)
    accuracy = np.random.default_rng(seed + 50).binomial(N_ITEMS, ability) / N_ITEMS
    table = TokenTable(
        states=token_features(world.hidden),
        nll=world.nll,
        source=np.zeros(N_TOKENS, dtype=np.int64),
        n_sources=1,
        pulls=np.ones((1, N_TOKENS), dtype=np.float32),
        n_chars=world.n_chars,
    )
    train = np.arange(N_MODELS) < N_TRAIN
    none = np.zeros(N_MODELS, dtype=bool)
    problems = [
        HeadProblem(f"task {at}", GAMMA, row, train, none) for at, row in enumerate(accuracy)
    ]
    groups = {f"family {at}": world.family == at for at in range(5)}
    return Planted(world, unit, accuracy, table, problems, groups)


def matched_cosines(found: Floats, true: Floats) -> Floats:
    """Cosines of centred scores (n, n_models) of the best one-to-one match, lowest first."""
    from scipy.optimize import linear_sum_assignment

    cosine = np.corrcoef(np.vstack([found, true]))[: len(found), len(found) :]
    return np.sort(cosine[linear_sum_assignment(-cosine)])
