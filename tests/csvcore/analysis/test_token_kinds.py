"""Laws of the kinds of tokens, of what they carry, and of a fit without some of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from csvcore.analysis import token_kinds
from csvcore.analysis.ablation import ablate
from csvcore.errors import InputError
from csvcore.records import Document
from csvcore.salience import unstable
from csvcore.scaling import sigmoid_law

SURFACE = ("digits", "capitalised words", "other words", "CJK", "punctuation", "whitespace")


Spans = tuple[tuple[int, int], ...]


def found(
    text: str, tokens: list[str], answers: Spans = (), results: Spans = ()
) -> dict[str, list[str]]:
    """Return the tokens of each kind; tokens tile the text."""
    assert "".join(tokens) == text
    edges = np.cumsum([0, *(len(token.encode()) for token in tokens)])
    masks = token_kinds.kinds([Document("d", "s", text, answers, results)], [edges])
    return {
        kind: [t for t, hit in zip(tokens, mask, strict=True) if hit]
        for kind, mask in masks.items()
    }


def test_each_kind_has_the_tokens_a_reader_would_give_it() -> None:
    tokens = ["Ger", "tr", "ude", " has", " 12", " a4", ".", "\n\n", "猫", " (", "É", "va", "", "!"]
    seen = found("".join(tokens), tokens, ((12, 14),))
    assert seen["capitalised words"] == ["Ger", "tr", "ude", "É", "va"]
    assert seen["other words"] == [" has", " a4"]
    assert seen["digits"] == [" 12", " a4"]
    assert seen["punctuation"] == [".", " (", "!"]
    assert seen["whitespace"] == ["\n\n"]
    assert seen["CJK"] == ["猫"]
    assert seen["answers"] == [" 12"]
    assert seen["no bytes"] == [""]


def test_results_are_the_tokens_that_touch_a_result_span() -> None:
    tokens = ["é: 2 +", " 3 =", " 5", "."]
    assert found("".join(tokens), tokens, results=((11, 12),))["results"] == [" 5"]
    assert found("".join(tokens), tokens)["results"] == []


@given(st.text(min_size=1, max_size=30), st.data())
def test_every_token_with_bytes_looks_like_something_and_one_without_like_nothing(
    text: str, data: st.DataObject
) -> None:
    text = text.encode(errors="replace").decode()
    n_bytes = len(text.encode())
    cuts = sorted(data.draw(st.lists(st.integers(0, n_bytes), max_size=8)))
    edges = np.array([0, *cuts, n_bytes])
    masks = token_kinds.kinds([Document("d", "s", text)], [edges])
    looks = sum(masks[kind].astype(int) for kind in SURFACE)
    assert ((looks > 0) == (np.diff(edges) > 0)).all()
    assert (masks["no bytes"] == (np.diff(edges) == 0)).all()


def test_a_pattern_is_tried_on_each_token_alone() -> None:
    assert token_kinds.matching(["a1", "b", "1", "a1"], r"^[a-z]\d$").tolist() == [
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "a{2000}"])
def test_a_bad_pattern_is_refused_in_one_sentence(pattern: str) -> None:
    with pytest.raises(InputError, match="is no regular expression of RE2") as refusal:
        token_kinds.matching(["a"], pattern)
    assert "\n" not in str(refusal.value)


def test_a_pattern_that_would_never_end_elsewhere_ends_and_a_long_one_is_refused() -> None:
    tokens = ["a" * 1_000_000, *("a" * 40 for _ in range(50))]
    assert not token_kinds.matching(tokens, "^(a+)+$|(a|aa)+b").tolist().count(False)
    assert not token_kinds.matching(tokens, "(a*)*b").any()
    with pytest.raises(InputError, match="has 201 characters, more than 200"):
        token_kinds.matching(tokens, "a" * 201)


def test_a_tally_counts_and_its_shares_are_of_the_absolute_weight() -> None:
    weight = np.array([1.0, -3.0, 4.0])
    masks = {"both": np.array([True, True, False]), "none": np.zeros(3, dtype=bool)}
    both, none = token_kinds.tally(weight, masks)
    assert (both.n_tokens, both.mean, both.share) == (2, -1.0, 0.5)
    assert (none.n_tokens, none.mean, none.share) == (0, None, None)


def test_a_weight_near_zero_or_near_the_median_could_turn() -> None:
    weight = np.array([-0.1, 1.0, 1.2, 9.0, 0.2])
    spread = np.array([0.2, 0.1, 0.3, 0.3, 0.1])
    assert unstable(weight, spread).tolist() == [True, True, True, False, False]


@pytest.fixture
def law() -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Weights, losses and accuracies that follow from the first three tokens alone."""
    rng = np.random.default_rng(0)
    nll = rng.gamma(2.0, 1.0, (12, 6))
    weight = np.array([1.0, 2.0, 0.5, 1.0, 1.0, 1.0])
    score = nll[:, :3] @ weight[:3] / 10
    sides = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
    return weight, nll, sigmoid_law(score, -4.0, 0.7, 0.25), sides


def test_the_brush_finds_the_law_when_it_leaves_out_what_only_disturbs(law) -> None:
    weight, nll, accuracy, sides = law
    every = ablate(weight, nll, np.ones(6, dtype=bool), 10, accuracy, sides, 0.25)
    right = ablate(weight, nll, np.arange(6) < 3, 10, accuracy, sides, 0.25)
    assert_allclose([right.law.alpha, right.law.beta], [-4.0, 0.7], rtol=1e-4)
    assert right.mse["test"] < 1e-8 < every.mse["test"]
    assert_allclose(right.score, nll[:, :3] @ weight[:3] / 10)


def test_test_models_do_not_move_the_law_and_sides_without_models_have_no_error(law) -> None:
    weight, nll, accuracy, sides = law
    kept = np.ones(6, dtype=bool)
    one = ablate(weight, nll, kept, 10, accuracy, sides, 0.25)
    other = ablate(weight, nll[:10], kept, 10, accuracy[:10], sides[:10], 0.25)
    assert one.law == other.law
    assert set(other.mse) == {"train", "validation"}


def test_a_brush_that_leaves_no_weight_is_refused(law) -> None:
    weight, nll, accuracy, sides = law
    with pytest.raises(InputError, match="no token with weight is left"):
        ablate(weight, nll, np.zeros(6, dtype=bool), 10, accuracy, sides, 0.25)
