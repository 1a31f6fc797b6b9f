"""A salience fit on arrays, for losses and hidden states that are in memory already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csvcore import salience
from csvcore.errors import InputError
from csvcore.optimise import STRENGTHS, FastConfig, TokenTable, choose_heads, token_features
from csvcore.optimise.problem import HeadProblem
from csvcore.records import Floats, Mask, PenaltyChoice
from csvcore.scaling import fit_sigmoid_law, sigmoid_law, standard_errors

TASK = "task"  # the one task of the arrays


@dataclass(frozen=True, slots=True)
class SalienceFit:
    """Weights of the tokens and the law that turns weighted losses into accuracy.

    weight: (n_tokens,) mean 1. alpha, beta: of equation 2, alpha per nat a character; alpha_se and
    beta_se are their standard errors with the weights held fixed. gamma: chance level. mse: on the
    models that the law was fitted to. choice: the penalties that were tried.
    """

    weight: Floats
    alpha: float
    beta: float
    gamma: float
    alpha_se: float
    beta_se: float
    mse: float
    n_chars: int
    choice: PenaltyChoice | None

    def score(self, nll: NDArray[np.floating]) -> Floats:
        """Return capability scores (n_models,) of losses (n_models, n_tokens): equation 1."""
        if nll.ndim != 2 or nll.shape[1] != self.weight.size:
            raise InputError(f"losses of {self.weight.size} tokens are needed, got {nll.shape}")
        return salience.capability_score(self.weight, nll, self.n_chars)

    def predict(self, nll: NDArray[np.floating]) -> Floats:
        """Return predicted accuracies (n_models,) of losses (n_models, n_tokens): equation 2."""
        return sigmoid_law(self.score(nll), self.alpha, self.beta, self.gamma)


def fit_salience(
    nll: NDArray[np.floating],
    hidden: NDArray[np.floating],
    accuracy: NDArray[np.floating],
    gamma: float,
    *,
    families: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    n_chars: int | None = None,
    penalty: float | None = None,
) -> SalienceFit:
    """Fit weights of the tokens and a law to the accuracies of some models.

    The fit is that of `csvcore fit`: damped Gauss-Newton steps, the penalty chosen by leaving out
    families. What it lacks of it are baselines to be pulled to, validation models and intervals.

    Args:
        nll: (n_models, n_tokens) nats, on the tokens of the scoring model.
        hidden: (n_tokens, width) its last hidden states.
        accuracy: (n_models,) from 0 to 1.
        gamma: chance level.
        families: (n_models,) names, two or more; what the penalty is chosen by.
        sources: (n_tokens,) names of where each token is from; by default one source.
        n_chars: characters of the text; by default the number of tokens, which scales beta alone.
        penalty: a fixed one on the squared head, in place of families.

    Raises:
        InputError: shapes do not agree, values are not finite, or nothing tells the penalty.
        FitError: accuracies or scores do not vary.
    """
    _check_shapes(nll, hidden, accuracy, families, sources)
    _check_values(nll, hidden, accuracy, gamma, penalty)
    if penalty is None and len(set(families or ())) < 2:
        raise InputError(
            "the penalty is chosen by leaving out families; name two or more, or give a penalty"
        )
    table = _table(nll, hidden, sources, n_chars)
    n_models = nll.shape[0]
    everyone = np.ones(n_models, dtype=bool)
    values = np.asarray(accuracy, dtype=np.float64)
    problem = HeadProblem(TASK, gamma, values, everyone, ~everyone)
    strengths = STRENGTHS if penalty is None else (penalty,)
    config = FastConfig(strengths=strengths, members=1)
    [found] = choose_heads(table, [problem], _groups(families), np.arange(n_models), config)
    weight = found.weight / found.weight.mean()
    score = salience.capability_score(weight, table.nll, table.n_chars)
    law = fit_sigmoid_law(score, values, gamma)
    errors = standard_errors(score, values, gamma, law.alpha, law.beta)
    return SalienceFit(
        weight, law.alpha, law.beta, gamma, *errors, law.mse, table.n_chars, found.choice
    )


def _table(
    nll: NDArray[np.floating],
    hidden: NDArray[np.floating],
    sources: Sequence[str] | None,
    n_chars: int | None,
) -> TokenTable:
    """Return the tokens as the fit takes them, pulled to equal weights."""
    n_tokens = nll.shape[1]
    named = [""] * n_tokens if sources is None else sources
    names, source = np.unique(np.asarray(named), return_inverse=True)
    return TokenTable(
        states=token_features(np.asarray(hidden)),
        nll=np.asarray(nll, dtype=np.float32),
        source=source,
        n_sources=names.size,
        pulls=np.ones((1, n_tokens), dtype=np.float32),
        n_chars=n_chars or n_tokens,
    )


def _groups(families: Sequence[str] | None) -> Mapping[str, Mask]:
    """Return the masks of the families' models; none without families."""
    named = np.asarray(families if families is not None else [])
    return {str(name): named == name for name in dict.fromkeys(named.tolist())}


def _check_shapes(
    nll: NDArray[np.floating],
    hidden: NDArray[np.floating],
    accuracy: NDArray[np.floating],
    families: Sequence[str] | None,
    sources: Sequence[str] | None,
) -> None:
    """Refuse arrays of different models or tokens."""
    if nll.ndim != 2 or hidden.ndim != 2 or hidden.shape[0] != nll.shape[1]:
        raise InputError(
            f"nll must be (n_models, n_tokens) and hidden (n_tokens, width), got {nll.shape} and "
            f"{hidden.shape}"
        )
    sizes = {"accuracy": (accuracy, nll.shape[0]), "families": (families, nll.shape[0])}
    sizes["sources"] = (sources, nll.shape[1])
    for name, (values, size) in sizes.items():
        if values is not None and len(values) != size:
            raise InputError(f"{name} must have {size} entries, got {len(values)}")


def _check_values(
    nll: NDArray[np.floating],
    hidden: NDArray[np.floating],
    accuracy: NDArray[np.floating],
    gamma: float,
    penalty: float | None,
) -> None:
    """Refuse what is not finite or out of its range."""
    if not 0.0 <= gamma < 1.0:
        raise InputError(f"gamma is a chance level from 0 to below 1, got {gamma}")
    if penalty is not None and not 0.0 < penalty < np.inf:
        raise InputError(f"a penalty is a positive number, got {penalty}")
    for name, array in (("nll", nll), ("hidden", hidden), ("accuracy", accuracy)):
        if not np.isfinite(array).all():
            raise InputError(f"{name} must be finite; it has values that are not")
    if accuracy.min() < 0.0 or accuracy.max() > 1.0:
        raise InputError(
            f"accuracies are from 0 to 1, got {accuracy.min():g} to {accuracy.max():g}"
        )
