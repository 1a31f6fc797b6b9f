"""Diagnostics of a fitted law and of the choice of its penalty, a sentence each."""

from collections.abc import Mapping

from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.methods import METHODS
from csvcore.records import Floats, Mask, PenaltyChoice, ScalingFit
from csvcore.scaling import STEEPEST

# A model nearer than this to the ends of its curve does not locate its slope.
FLAT = 0.02


COARSE = 4.0  # times a unit's bytes; words are one or two of a scorer's tokens, sentences are more


STRAY = 0.05  # share of test models beyond the train models' scores that needs no note


def law_notes(law: ScalingFit, score: Floats, predicted: Floats) -> list[str]:
    """Return the faults of a law, by name; score and predicted are the train models'."""
    notes = []
    if law.alpha > 0:
        notes.append("wrong sign: accuracy rises with the weighted loss on the train models")
    share = (predicted - law.gamma) / (1.0 - law.gamma)
    on_slope = int(((share > FLAT) & (share < 1.0 - FLAT)).sum())
    if abs(law.alpha) * float(score.std()) >= STEEPEST or on_slope == 0:
        notes.append("step-like: no train model stands where the curve rises; alpha has no meaning")
    elif on_slope < 3:
        notes.append(
            f"saturated: only {on_slope} of {score.size} train models stand where the curve rises"
        )
    return notes


def beyond_notes(score: Floats, fitted: Mask, test: Mask) -> list[str]:
    """Return a note if too many test models score outside the range of the fitted models."""
    beyond = (score < score[fitted].min()) | (score > score[fitted].max())
    count, n_test = int((beyond & test).sum()), int(test.sum())
    if count <= STRAY * n_test:
        return []
    return [
        f"extrapolated: {count} of {n_test} test models score outside the range of the models "
        "that the law was fitted to; their intervals may be too narrow"
    ]


def coarse_notes(data: Dataset, chosen: TaskModels, method: str) -> list[str]:
    """Return a note if losses cover far more text than the weighted units."""
    unit = sum(int(cuts[-1]) for cuts in data.units.edges) / data.units.n_tokens
    span = data.span[chosen.rows]
    coarse = int((span > COARSE * unit).sum())
    if coarse == 0 or not METHODS[method].fine:
        return []
    return [
        f"coarse: losses of {coarse} of {span.size} models stand for {span.max():.0f} bytes each "
        f"and are spread evenly over units of {unit:.1f}; weigh the losses' own units (--own-units)"
    ]


def choice_notes(choice: PenaltyChoice, nothing: Mapping[str, float], converged: bool) -> list[str]:
    """Return notes on the reliability of a penalty's choice.

    Args:
        choice: the penalties tried.
        nothing: for each group left out, the error of the other train models' mean accuracy.
        converged: whether the optimisation's stopping rule held.
    """
    notes = [] if converged else ["not converged: the last step still lowered the error"]
    worse = [name for name, mse in nothing.items() if choice.chosen.errors.get(name, 0.0) >= mse]
    if len(worse) * 2 > len(nothing):
        notes.append(
            f"cannot be known from these models: for {', '.join(worse)} left out of train, "
            "the fit does no better than the mean accuracy of the others"
        )
    return notes
