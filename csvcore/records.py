"""Frozen records that cross module borders; arrays and plain values only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

Side = Literal["train", "validation", "test"]
SIDES: tuple[Side, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a corpus.

    answers: half-open character spans of its label tokens. results: likewise of the intermediate
    results in a worked solution.
    """

    doc_id: str
    source: str
    text: str
    answers: tuple[tuple[int, int], ...] = ()
    results: tuple[tuple[int, int], ...] = ()

    @property
    def n_bytes(self) -> int:
        """UTF-8 length of the text."""
        return len(self.text.encode())


@dataclass(frozen=True, slots=True)
class Corpus:
    """A stored corpus: its name, the hash of its documents, and the documents in order."""

    name: str
    sha256: str
    docs: list[Document]

    @property
    def n_bytes(self) -> dict[str, int]:
        """UTF-8 length of each document, by doc_id."""
        return {doc.doc_id: doc.n_bytes for doc in self.docs}


@dataclass(frozen=True, slots=True)
class TokenLosses:
    """One model's losses on one document: source tokens that tile its UTF-8 bytes.

    byte_start, byte_end: (n_tokens,) half-open spans in reading order; a token may be empty.
    nll: (n_tokens,) nats, never negative. token_id: (n_tokens,) or None where unknown.
    """

    model: str
    doc_id: str
    byte_start: Ints
    byte_end: Ints
    nll: Floats
    token_id: Ints | None = None


@dataclass(frozen=True, slots=True)
class ModelLosses:
    """One model's losses on several documents, one after another.

    n_tokens: (n_docs,) source tokens of each document. byte_end: (sum of n_tokens,) their ends in
    the document's bytes; each begins where the one before it ends. nll: (sum of n_tokens,) nats.
    """

    model: str
    n_tokens: Ints
    byte_end: Ints
    nll: Floats


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model's facts; only name and family are required.

    run: the training run where family, size and stage do not tell it, such as a repetition with
    another seed.
    """

    model: str
    family: str
    n_params: int | None = None
    train_tokens: int | None = None
    stage: str | None = None
    step: int | None = None
    license: str | None = None
    origin: str | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark: its chance level gamma, and the corpus sources of the same ability."""

    task: str
    chance: float
    title: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A model's score on a task, fraction correct; n_items gives its binomial noise."""

    model: str
    task: str
    accuracy: float
    n_items: int | None = None


@dataclass(frozen=True, slots=True)
class ItemStatistics:
    """Variances of item results, over the items that every model of a task has.

    difficulty: standard deviation over items of the share of models that solve them.
    within_variance: of the results of one model over items, mean over models. item_variance: of
    the results on one item over models (n - 1), mean over items. mean_variance: of the models'
    means (n - 1).
    """

    n_models: int
    n_items: int
    difficulty: float
    within_variance: float
    item_variance: float
    mean_variance: float


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Settings by which a model's losses were made; None where unknown."""

    dtype: str | None = None
    context: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts on tasks and losses without any test model, by model in the order of cards.

    sides: of the models, empty without a split. source_nll: (n_models, n_sources) mean loss of each
    source, nats per character; NaN where a model lacks losses on a document. text_nll: (n_models,
    2) mean loss of the whole text, and the part of it that every document's first token has, nats
    per character. items: by task. repeats: models outside the split that repeat one of cards with
    another seed; they tell the noise of a seed alone. repeat_nll: (n_repeats, n_sources) like
    source_nll.
    """

    cards: tuple[ModelCard, ...]
    sides: dict[str, Side]
    tasks: tuple[Task, ...]
    accuracies: dict[tuple[str, str], Accuracy]
    sources: tuple[str, ...]
    source_nll: Floats
    text_nll: Floats
    settings: dict[str, LossSettings]
    items: dict[str, ItemStatistics]
    repeats: tuple[ModelCard, ...]
    repeat_nll: Floats


@dataclass(frozen=True, slots=True)
class Trained:
    """Models with losses on a whole corpus, none of them a test model.

    cards: by model. in_split: names of those that train or validate. accuracies: by model and task.
    losses: of all models on all documents, a part of the models at a time; to be read once.
    """

    docs: list[Document]
    tasks: tuple[Task, ...]
    cards: dict[str, ModelCard]
    in_split: frozenset[str]
    accuracies: dict[tuple[str, str], Accuracy]
    losses: Iterable[Sequence[ModelLosses]]


@dataclass(frozen=True, slots=True)
class ScalingFit:
    """A fitted sigmoid law; units as in `scaling.sigmoid_law`.

    gamma is given by the benchmark, never fitted. mse is over the n_models
    the law was fitted to, so it says nothing yet about held-out models.
    """

    alpha: float
    beta: float
    gamma: float
    mse: float
    n_models: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """One model in a fit; low and high bound the predicted accuracy (see `intervals`)."""

    model: str
    side: Side
    score: float
    accuracy: float
    predicted: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of an optimisation: MSE on train and validation models, never on test."""

    step: int
    alpha: float
    beta: float
    train_mse: float
    validation_mse: float | None


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A task while its head is optimised: the steps so far, and its models at the last of them.

    score (nats per character, of weights not yet scaled), accuracy and validates have one entry a
    model that trains or validates; test models are not looked at.
    """

    task: str
    gamma: float
    trace: tuple[TraceStep, ...]
    score: tuple[float, ...]
    accuracy: tuple[float, ...]
    validates: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """The scores of a fit's models at some stages of its optimisation.

    at: (n_stages,) steps of the paper's loop, or penalties of the fast fit, infinite for the
    baseline that the weights are pulled towards. kept: the stage that the fit kept. alpha, beta:
    (n_stages,) the law of each. models: names. score: (n_stages, n_models) nats per character, of
    weights scaled as the fit's own. Test models are scored too, but nothing was chosen by them.
    """

    at: Floats
    kept: int
    alpha: Floats
    beta: Floats
    models: tuple[str, ...]
    score: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Penalty:
    """One penalty of the fast fit and its errors on models that its heads did not see.

    pull: the baseline the weights are pulled towards. strength: factor on |theta|^2; None for the
    baseline itself. errors: mean squared error on each group left out and on validation.
    cv_error: cross-validated RMSE that penalties are compared by, in units of accuracy; see
    `optimise.penalty_path`.
    """

    pull: str
    strength: float | None
    cv_error: float
    errors: dict[str, float]


@dataclass(frozen=True, slots=True)
class PenaltyChoice:
    """The penalty a fit uses, and all that were tried."""

    chosen: Penalty
    tried: tuple[Penalty, ...]


@dataclass(frozen=True, slots=True)
class Control:
    """A permutation test: the error of a head on train, and of heads on shuffled accuracies.

    strength: the fixed penalty of all these heads. mse: the train error with the true accuracies.
    median: the middle of those with shuffled ones. p_value: see `intervals.permutation_p`.
    """

    n_permutations: int
    strength: float
    mse: float
    median: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A score of a stack: its weight in the mix, and the law that turns it into an accuracy.

    alpha, beta: as in `scaling.sigmoid_law`, fitted to all models that the stack knows.
    """

    name: str
    weight: float
    alpha: float
    beta: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A finished fit of one task with one method, as stored.

    mse and noise_floor are keyed by side; a side without models is missing from them, and so is
    the floor of a side where a model's n_items is unknown. `steps` is the selected step. notes:
    one sentence for each fault or doubt. choice: of the fast CSV fit.
    n_chars: characters of the text that count, N_c of equation 1. residuals: accuracy less what a
    fit without the model predicts, for every model that was left out in turn. These two are
    empty in fits made before they were kept. candidates: of a stack, the largest weight first.
    interval_error: of a stack, the 90 % quantile of its absolute errors on models left out.
    """

    fit: str
    corpus: str
    split: str
    task: str
    method: str
    alpha: float
    beta: float
    gamma: float
    steps: int
    seconds: float
    n_models: dict[str, int]
    mse: dict[str, float]
    noise_floor: dict[str, float]
    predictions: tuple[Prediction, ...]
    left_out: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    trace: tuple[TraceStep, ...] = ()
    notes: tuple[str, ...] = ()
    choice: PenaltyChoice | None = None
    n_chars: int | None = None
    residuals: tuple[float, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    interval_error: float | None = None


@dataclass(frozen=True, slots=True)
class FitUnits:
    """The units of text that a stored fit works on, and its weights of them.

    edges: for each document (n_tokens + 1,) byte boundaries. weight: (sum of n_tokens,) salience;
    None of a method without token weights. unit_weight: (sum of n_tokens,) further weights by name.
    """

    edges: list[Ints]
    weight: Floats | None
    unit_weight: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class ModelPrediction:
    """A fit's prediction for a model whose accuracy it never saw.

    low and high are its 90 % interval. extrapolated: the score lies outside the range of the
    models that the law was fitted to, so the interval may be too narrow.
    """

    model: str
    score: float
    predicted: float
    low: float
    high: float
    extrapolated: bool


@dataclass(frozen=True, slots=True)
class Mix:
    """A validation text drawn from some sources, and the error of a task predicted by it.

    shares: of the tokens, by source. error: root mean squared error on models that a fit did not
    see inside train and validation, in units of accuracy; mixes are chosen by it alone. test_mse,
    low, high: on the test models, with its 90 % interval where it is known. errors: the same error
    on every group that was left out, and on validation; empty in mixes of older versions.
    """

    task: str
    shares: dict[str, float]
    doc_ids: tuple[str, ...]
    n_tokens: int
    error: float
    test_mse: float | None
    low: float | None
    high: float | None
    noise_floor: float | None
    errors: tuple[float, ...] = ()
