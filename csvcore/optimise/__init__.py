"""Optimising the scoring head: Algorithm 2 to the letter, or many heads by second order."""

from csvcore.optimise.choosing import STRENGTHS, FastConfig, choose_heads
from csvcore.optimise.control import permutation_control
from csvcore.optimise.newton import Activation
from csvcore.optimise.paper import OptimiseConfig, optimise_heads, standardise
from csvcore.optimise.problems import HeadProblem, HeadResult, Look, Mask, Singles
from csvcore.optimise.tokens import TokenTable, features

__all__ = [
    "STRENGTHS",
    "Activation",
    "FastConfig",
    "HeadProblem",
    "HeadResult",
    "Look",
    "Mask",
    "OptimiseConfig",
    "Singles",
    "TokenTable",
    "choose_heads",
    "features",
    "optimise_heads",
    "permutation_control",
    "standardise",
]
