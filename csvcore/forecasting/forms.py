"""The forms of a forecast: ways from parameters and tokens to accuracy.

- Two steps: a score follows a power law (`power_laws`), and accuracy the sigmoid law of that score
  (equation 2), as in Llama 3 and the OLMo ladder (2412.04403). One form for every score, once in
  size and tokens and once in compute.
- Direct: -log accuracy follows a power law (2512.08894), in either shape, with and without a floor.
- Logistic: the sigmoid law in log compute (Owen 2024), or in log N + r log D.
- Carried: the accuracy of the model with the most compute, unchanged.

Where a run is forecast from its own first checkpoints, every form also stands moved in the logit to
where these checkpoints are on average.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit

from csvcore.analysis.stack import LEAST, MOST
from csvcore.forecasting.ladder import Ladder
from csvcore.forecasting.power_laws import PowerLaws, Shape, fit_power_laws
from csvcore.records import Floats, Ints, Mask
from csvcore.scaling import Laws, fit_sigmoid_laws

SHAPES: tuple[Shape, ...] = ("size and tokens", "compute")
FLOORS = (False, True)
RATIOS = np.geomspace(0.25, 4.0, 9)  # tried as weights of log tokens against log parameters
LEAST_SCORE = 1e-9
LAST = 3  # checkpoints of a run that its forms are moved to


@dataclass(frozen=True, slots=True)
class Forms:
    """Forms fitted to a ladder.

    ladder: that they were fitted to. losses: the power laws of all scores in each shape. laws: of
    each pair of a task and a score that it uses. direct: of all tasks in each shape and floor.
    logistic, ratio: of all tasks in compute, then in size and tokens. carried: (n_tasks,). moves:
    (n_tasks, n_forms) in the logit, or None where no run is forecast.
    """

    ladder: Ladder
    losses: tuple[PowerLaws, ...]
    laws: Laws
    direct: tuple[PowerLaws, ...]
    logistic: Laws
    ratio: Floats
    carried: Floats
    moves: Floats | None = None

    def predict(self, n_params: Floats, train_tokens: Floats) -> Floats:
        """Return what every form forecasts, (n_tasks, n_forms, n_targets), within LEAST and MOST.

        The order of the forms is that of `form_names`; those that a task does not use are 0.5.
        """
        still = self._still(n_params, train_tokens)
        if self.moves is None:
            return still
        moved = expit(logit(still) + self.moves[:, :, None])
        return np.asarray(np.clip(np.concatenate([still, moved], axis=1), LEAST, MOST))

    def _still(self, n_params: Floats, train_tokens: Floats) -> Floats:
        task, score = np.nonzero(self.ladder.uses)
        shape = (*self.ladder.uses.shape, n_params.size)
        parts: list[Floats] = []
        for of_score in self.losses:
            expected = for_law(of_score.predict(n_params, train_tokens), self.ladder)
            by_score = np.full(shape, 0.5)
            by_score[task, score] = self.laws.predict(expected[score], self.ladder.gamma[task])
            parts.append(by_score)
        direct = [np.exp(-laws.predict(n_params, train_tokens)) for laws in self.direct]
        at = -(np.log(n_params) + self.ratio[:, None] * np.log(train_tokens))
        logistic = self.logistic.predict(at, np.tile(self.ladder.gamma, 2))
        carried = np.broadcast_to(self.carried[:, None], (shape[0], shape[2]))
        parts.append(np.stack([*direct, *np.split(logistic, 2), carried], axis=1))
        return np.clip(np.concatenate(parts, axis=1), LEAST, MOST)


def form_names(ladder: Ladder, of_run: bool = False) -> tuple[str, ...]:
    """Return the names of all forms of a ladder; `of_run` where a run is forecast."""
    two = [f"{score}, by {shape}" for shape in SHAPES for score in ladder.scores]
    direct = [f"direct, by {shape}{', floor' * end}" for shape in SHAPES for end in FLOORS]
    still = (*two, *direct, "logistic in compute", "logistic in size and tokens", "carried forward")
    return (*still, *(f"{name}, moved to the run" for name in still)) if of_run else still


def used(ladder: Ladder, of_run: bool = False) -> Mask:
    """Return which forms a task uses, (n_tasks, n_forms) in the order of `form_names`."""
    n_others = len(form_names(ladder)) - len(SHAPES) * len(ladder.scores)
    others = np.ones((len(ladder.tasks), n_others), dtype=bool)
    still = np.concatenate([*(ladder.uses for _ in SHAPES), others], axis=1)
    return np.tile(still, (1, 2)) if of_run else still


def fit_forms(ladder: Ladder, own: Ints | None = None) -> Forms:
    """Fit every form to a ladder, all tasks and scores together.

    Args:
        ladder: of at least FEWEST_MODELS models.
        own: places of the first checkpoints of the run that is forecast, the fewest tokens first.
    """
    score, accuracy = ladder.score, ladder.accuracy
    size = (ladder.n_params, ladder.train_tokens)
    losses = tuple(fit_power_laws(score, score**-2.0, *size, shape) for shape in SHAPES)
    inside = np.clip(accuracy, LEAST, MOST)
    # An error in -log accuracy is one of accuracy divided by it.
    direct = tuple(
        fit_power_laws(-np.log(inside), inside**2, *size, shape, floor)
        for shape in SHAPES
        for floor in FLOORS
    )
    task, column = np.nonzero(ladder.uses)
    laws = sigmoid_laws(for_law(score, ladder)[column], accuracy[task], ladder.gamma[task])
    logistic, ratio = _logistic(ladder)
    carried = accuracy[:, int(np.argmax(ladder.compute))]
    if own is not None:
        carried = accuracy[:, own[-1]]
    forms = Forms(ladder, losses, laws, direct, logistic, ratio, carried)
    return forms if own is None else _moved(forms, own[-LAST:])


def _moved(forms: Forms, last: Ints) -> Forms:
    """Add the way in the logit from every form to these checkpoints, on average."""
    ladder = forms.ladder
    by_form = forms.predict(ladder.n_params[last], ladder.train_tokens[last])
    observed = logit(np.clip(ladder.accuracy[:, last], LEAST, MOST))
    moves = (observed[:, None] - logit(by_form)).mean(axis=2)
    return replace(forms, moves=moves)


def sigmoid_laws(score: Floats, accuracy: Floats, gamma: Floats) -> Laws:
    """Fit the sigmoid law of each row to all models alike."""
    return fit_sigmoid_laws(score, accuracy, gamma, np.full(score.shape, 1.0 / score.shape[1]))


def for_law(score: Floats, ladder: Ladder) -> Floats:
    """Return scores as the sigmoid law reads them: -logit of a probability whose -log is given."""
    safe = np.maximum(score, LEAST_SCORE)
    log_odds = safe + np.log(-np.expm1(-safe))  # log(exp(x) - 1), whatever the size of x
    return np.where(ladder.probable[:, None], log_odds, score)


def _logistic(ladder: Ladder) -> tuple[Laws, Floats]:
    """Fit accuracy to log compute, and to log N + r log D with the best r of each task.

    Returns laws of the tasks in compute and then in size and tokens, and their r, (2 n_tasks,).
    """
    n_tasks, n_ratios = len(ladder.tasks), RATIOS.size
    at = -(np.log(ladder.n_params) + RATIOS[:, None] * np.log(ladder.train_tokens))
    laws = sigmoid_laws(
        np.tile(at, (n_tasks, 1)),
        np.repeat(ladder.accuracy, n_ratios, axis=0),
        np.repeat(ladder.gamma, n_ratios),
    )
    best = laws.mse.reshape(n_tasks, n_ratios).argmin(axis=1)
    alike = int(np.argmin(np.abs(np.log(RATIOS))))
    chosen = np.concatenate([np.full(n_tasks, alike), best])
    return laws.take(np.tile(np.arange(n_tasks), 2) * n_ratios + chosen), RATIOS[chosen]
