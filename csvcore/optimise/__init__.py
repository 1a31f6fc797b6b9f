"""Optimisers of the scoring head: Algorithm 2, or Gauss-Newton on many heads."""

from csvcore.optimise.algorithm_2 import OptimiseConfig, optimise_heads, standardise
from csvcore.optimise.factors import FactorChoice, FactorHeads, Trial, choose_factors
from csvcore.optimise.features import TokenTable, token_features
from csvcore.optimise.passes import Activation
from csvcore.optimise.penalty_path import STRENGTHS, FastConfig, choose_heads
from csvcore.optimise.permutation import permutation_control
from csvcore.optimise.problem import HeadProblem, Look, Singles, WeightResult

__all__ = [
    "STRENGTHS",
    "Activation",
    "FactorChoice",
    "FactorHeads",
    "FastConfig",
    "HeadProblem",
    "Look",
    "OptimiseConfig",
    "Singles",
    "TokenTable",
    "Trial",
    "WeightResult",
    "choose_factors",
    "choose_heads",
    "optimise_heads",
    "permutation_control",
    "standardise",
    "token_features",
]
