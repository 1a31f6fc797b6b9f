"""Laws of simple scores: probabilities of answers, mean losses of sources."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import logit

from csvcore.analysis.scores import (
    Text,
    answer_probability,
    compute_score,
    source_scores,
    task_scores,
)
from csvcore.errors import InputError
from csvcore.records import Document, ModelCard, Task

# Units of two bytes; "yes" of the first text is in its last two units.
DOCS = [
    Document("a-1", "a", "is it? yes", answers=((7, 10),)),
    Document("a-2", "a", "or", answers=((0, 1), (1, 2))),
    Document("b-1", "b", "none"),
]
EDGES = [np.arange(0, 12, 2), np.array([0, 1, 2]), np.array([0, 2, 4])]
COUNTS = np.ones(9, dtype=bool)
TEXT = Text(DOCS, EDGES, COUNTS, 16)
NLL = np.random.default_rng(0).uniform(0.05, 1.0, (4, 9))


def test_a_probability_worked_by_hand() -> None:
    answers = [NLL[:, 3] + NLL[:, 4], NLL[:, 5], NLL[:, 6]]
    mean = np.mean(np.exp(-np.array(answers)), axis=0)
    assert_allclose(answer_probability(NLL, TEXT, ["a"]), -logit(mean))
    assert_allclose(answer_probability(NLL, TEXT, []), -logit(mean))
    whole = np.exp(-(NLL[:, 7] + NLL[:, 8]))
    assert_allclose(answer_probability(NLL, TEXT, ["b"], answers_only=False), -logit(whole))


def test_a_source_without_answers_is_refused_where_answers_are_wanted() -> None:
    with pytest.raises(InputError, match="no answer spans in the documents of b"):
        answer_probability(NLL, TEXT, ["b"])


@given(st.floats(0.0, 2000.0))
def test_any_loss_gives_a_finite_score_that_rises_with_it(loss: float) -> None:
    nll = np.full((2, 9), loss)
    nll[1] += 1.0
    score = answer_probability(nll, TEXT, ["a"])
    assert np.isfinite(score).all()
    assert score[0] <= score[1]


def test_units_that_do_not_count_are_certain() -> None:
    counts = COUNTS.copy()
    counts[3:5] = False
    score = answer_probability(NLL, Text(DOCS, EDGES, counts, 12), ["a"])
    mean = (1 + np.exp(-NLL[:, 5]) + np.exp(-NLL[:, 6])) / 3
    assert_allclose(score, -logit(mean))


def test_the_losses_of_the_sources_add_up_to_that_of_all_text() -> None:
    scores = source_scores(NLL, TEXT)
    assert list(scores) == ["source:a", "source:b", "probability:a", "probability:b"]
    assert_allclose(scores["source:a"] + scores["source:b"], NLL.sum(axis=1) / 16)
    assert source_scores(NLL[:, :7], Text(DOCS[:2], EDGES[:2], COUNTS[:7], 12)) == {}


def test_a_task_has_the_scores_that_its_text_allows() -> None:
    own = task_scores(NLL, TEXT, Task("t", 0.0, sources=("a",)))
    assert list(own) == ["all-token", "source-token", "label-token", "label-probability"]
    assert_allclose(own["source-token"], NLL[:, :7].sum(axis=1) / 16)
    assert list(task_scores(NLL, TEXT, Task("t", 0.0, sources=("b",)))) == [
        "all-token",
        "source-token",
    ]
    assert list(task_scores(NLL, TEXT, Task("t", 0.0))) == [
        "all-token",
        "label-token",
        "label-probability",
    ]


def test_compute_is_a_score_only_where_that_of_every_model_is_known() -> None:
    known = ModelCard("m", "f", n_params=10**9, train_tokens=10**12)
    assert_allclose(compute_score([known]), [-np.log10(6e21)])
    assert compute_score([known, ModelCard("n", "f")]) is None
