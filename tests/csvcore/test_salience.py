import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from csvcore.alignment import character_clock
from csvcore.analysis.label_weights import (
    Label,
    LabelSpans,
    answer_share,
    label_weight,
    source_weight,
    uniform_weight,
)
from csvcore.analysis.token_kinds import answer_bytes
from csvcore.errors import InputError
from csvcore.records import Document, Floats, Ints
from csvcore.salience import BLOCK, capability_score, mean_absolute
from csvcore.scaling import sigmoid_law
from tests.support.mapping import map_nll

# Two questions and a story; é is two bytes, so its answer starts a byte later than its character.
DOCS = [
    Document("q1", "quiz", "2+2=4", ((4, 5),)),
    Document("q2", "geo", "capé: Rom", ((6, 9),)),
    Document("s1", "story", "the cat"),
]
EDGES = [np.array([0, 1, 3, 5]), np.array([0, 5, 7, 10]), np.array([0, 3, 7])]


@st.composite
def models(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Weights of some tokens, and what a few models lose on them."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n_models, n_tokens = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    return rng.normal(size=n_tokens) + 2.0, rng.exponential(3.0, (n_models, n_tokens))


# By hand


def test_a_score_is_the_weighted_nll_per_character() -> None:
    nll = np.array([[1.0, 2.0, 3.0], [0.0, 4.0, 2.0]])
    score = capability_score(np.array([2.0, 0.5, -1.0]), nll, n_chars=10)
    assert_allclose(score, [(2.0 + 1.0 - 3.0) / 10, (2.0 - 2.0) / 10])
    assert_allclose(capability_score(uniform_weight(3), nll, n_chars=10), [0.6, 0.6])


def test_answer_spans_are_moved_from_characters_to_bytes() -> None:
    assert [answer_bytes(doc) for doc in DOCS] == [[(4, 5)], [(7, 10)], []]
    assert answer_bytes(Document("x", "y", "🙂é北!", ((0, 1), (1, 3), (3, 4)))) == [
        (0, 4),
        (4, 9),
        (9, 10),
    ]


def test_label_weights_are_one_over_the_characters_of_the_documents_answer() -> None:
    # the answer of q1 is one half of its last token; that of q2 is exactly its last
    everywhere = label_weight(DOCS, EDGES, [])
    assert_array_equal(everywhere, [0, 0, 1, 0, 0, 1 / 3, 0, 0])
    assert_array_equal(label_weight(DOCS, EDGES, ["geo"]), [0, 0, 0, 0, 0, 1 / 3, 0, 0])
    assert_array_equal(label_weight(DOCS, EDGES, ["geo", "quiz"]), everywhere)


@pytest.mark.parametrize(
    ("span", "weight"),
    [((0, 2), [1, 0, 0]), ((1, 3), [1, 1, 0]), ((2, 4), [0, 1, 0]), ((0, 6), [1, 1, 1])],
)
def test_a_token_that_only_meets_the_end_of_an_answer_does_not_count(
    span: tuple[int, int], weight: list[int]
) -> None:
    doc = Document("d", "s", "abcdef", (span,))
    found = label_weight([doc], [np.array([0, 2, 4, 6])], ["s"], "sum")
    assert_array_equal(found, weight)


# "猫é" is two characters and five bytes; one token ends within the cat
QUESTION = Document("q", "s", "ab猫é. (B) c", ((2, 4), (6, 9)))
CUTS = np.array([0, 2, 4, 7, 9, 10, 12, 14])


@pytest.mark.parametrize(
    ("label", "divisor"),
    [("per-char", 5), ("per-byte", 8), ("per-token", 4), ("sum", 1)],
)
def test_an_answers_loss_is_divided_by_its_characters_bytes_or_tokens(
    label: Label, divisor: int
) -> None:
    found = label_weight([QUESTION], [CUTS], [], label)
    assert_allclose(found, np.array([0, 1, 1, 0, 1, 1, 0]) / divisor)
    # the score is then the mean over its characters, bytes or tokens of the loss of the answer
    nll = np.array([[7.0, 1.0, 2.0, 7.0, 3.0, 4.0, 7.0]])
    assert_allclose(capability_score(found, nll, 1), [10.0 / divisor])


@pytest.mark.parametrize(
    ("spans", "weight"),
    [
        ("all", [0, 1 / 5, 1 / 5, 0, 1 / 5, 1 / 5, 0]),
        ("last", [0, 0, 0, 0, 1 / 3, 1 / 3, 0]),
        ("letter", [0, 0, 0, 0, 1 / 3, 1 / 3, 0]),
        ("text", [0, 1 / 2, 1 / 2, 0, 0, 0, 0]),
    ],
)
def test_spans_say_which_answers_count(spans: LabelSpans, weight: list[float]) -> None:
    assert_allclose(label_weight([QUESTION], [CUTS], [], "per-char", spans), weight)


@pytest.mark.parametrize(
    ("spans", "share"),
    # bytes of answers over bytes of the tokens they touch
    [("all", 8 / 8), ("last", 3 / 3), ("text", 5 / 5)],
)
def test_tokens_that_end_where_answers_do_are_all_answer(spans: LabelSpans, share: float) -> None:
    weight = label_weight([QUESTION], [CUTS], [], spans=spans)
    assert answer_share([QUESTION], [CUTS], [], weight, spans) == share


def test_the_share_of_answers_is_that_of_the_counted_tokens_bytes() -> None:
    cuts = [np.array([0, 6, 14])]  # "ab猫é" but for a byte, and the rest
    weight = label_weight([QUESTION], cuts, [], "sum", "letter")
    assert answer_share([QUESTION], cuts, [], weight, "letter") == 3 / 8
    assert answer_share([QUESTION, DOCS[0]], [*cuts, EDGES[0]], ["s"], np.append(
        weight, np.zeros(EDGES[0].size - 1)), "letter") == 3 / 8  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "letter"),
    [("B", True), ("(B)", True), (" B", True), ("B)", True), ("b", False), ("BC", False),
     ("É", False), ("1", False)],
)  # fmt: skip
def test_a_letter_is_one_capital_with_or_without_brackets(answer: str, letter: bool) -> None:
    doc = Document("d", "s", answer, ((0, len(answer)),))
    cuts = [np.array([0, len(answer.encode())])]
    label_weight([doc], cuts, [], spans="letter" if letter else "text")
    with pytest.raises(InputError, match=r"no answer spans \((text|letter)\) in the documents"):
        label_weight([doc], cuts, [], spans="text" if letter else "letter")


def test_every_document_counts_once_however_long_its_answer() -> None:
    docs = [Document("a", "s", "abcd", ((0, 1),)), Document("b", "s", "abcd", ((0, 4),))]
    edges = [np.arange(5), np.arange(5)]
    found = label_weight(docs, edges, [])
    assert_allclose(found, [1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25])


def test_scores_of_several_heads_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    n_tokens = 2 * BLOCK + 5  # more than one block
    weight, nll = rng.normal(size=(3, n_tokens)), rng.exponential(size=(4, n_tokens))
    scores = capability_score(weight, nll, 10)
    assert scores.shape == (3, 4)
    assert_allclose(scores, np.einsum("kt,mt->km", weight, nll) / 10)
    for one, row in zip(weight, scores, strict=True):
        assert_allclose(capability_score(one, nll, 10), row)


def test_source_weights_are_one_on_the_documents_of_the_tasks_sources() -> None:
    assert_array_equal(source_weight(DOCS, EDGES, ["story"]), [0, 0, 0, 0, 0, 0, 1, 1])
    assert_array_equal(source_weight(DOCS, EDGES, ["quiz", "geo"]), [1, 1, 1, 1, 1, 1, 0, 0])


def test_the_scale_of_weights_counts_both_signs() -> None:
    assert mean_absolute(np.array([1.0, -3.0, 0.0, 2.0])) == 1.5


# Properties


@given(models(), st.floats(1e-3, 1e3))
def test_weights_times_c_with_alpha_over_c_and_beta_times_c_are_the_same_fit(
    case: tuple[Floats, Floats], factor: float
) -> None:
    weight, nll = case
    one = capability_score(weight, nll, 100)
    two = capability_score(factor * weight, nll, 100)
    assert_allclose(two, factor * one, rtol=1e-9, atol=1e-12)
    assert_allclose(
        sigmoid_law(two, -8.0 / factor, 0.3 * factor, 0.25),
        sigmoid_law(one, -8.0, 0.3, 0.25),
        rtol=1e-9,
    )


@given(models())
def test_weights_over_their_scale_have_mean_absolute_weight_one(
    case: tuple[Floats, Floats],
) -> None:
    weight, _ = case
    assert mean_absolute(weight / mean_absolute(weight)) == pytest.approx(1.0)


@given(models())
def test_with_all_weights_one_the_score_is_the_plain_loss_per_character(
    case: tuple[Floats, Floats],
) -> None:
    _, nll = case
    for n_chars in (1, 7):
        score = capability_score(uniform_weight(nll.shape[1]), nll, n_chars)
        assert_allclose(score, nll.sum(axis=1) / n_chars)


@given(st.lists(st.integers(0, 10), max_size=6).map(sorted))
def test_with_all_weights_one_the_target_tokens_do_not_matter(cuts: list[int]) -> None:
    clock = character_clock("the cat é")
    target = np.array([0, *cuts, 10])
    nll = map_nll(np.array([3.0, 8.0, 2.5]), np.array([0, 3, 7, 10]), target, clock)
    score = capability_score(uniform_weight(target.size - 1), nll[None], 9)
    assert_allclose(score, [13.5 / 9])


# Refusals


@pytest.mark.parametrize("shape", [(2, 4), (3,), (3, 2)])
def test_weights_of_another_number_of_tokens_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(3,\) weights for losses of shape \("):
        capability_score(np.ones(3), np.ones(shape), 10)


def test_a_score_of_no_characters_is_refused() -> None:
    with pytest.raises(InputError, match="a score per character needs characters, got 0"):
        capability_score(np.ones(3), np.ones((2, 3)), 0)


@pytest.mark.parametrize(
    ("sources", "named"), [(["story"], "story"), (["story", "other"], "story, other")]
)
def test_label_weights_need_answers(sources: list[str], named: str) -> None:
    with pytest.raises(InputError, match=f"no answer spans in the documents of {named}; .*answers"):
        label_weight(DOCS, EDGES, sources)


def test_label_weights_of_a_corpus_without_any_answer_are_refused() -> None:
    story: tuple[list[Document], list[Ints]] = (DOCS[2:], EDGES[2:])
    with pytest.raises(InputError, match="no answer spans in the documents of any source"):
        label_weight(*story, [])


def test_source_weights_need_a_source_that_the_corpus_has() -> None:
    with pytest.raises(InputError, match=r"needs the task's sources; name them in tasks\.csv"):
        source_weight(DOCS, EDGES, [])
    with pytest.raises(InputError, match="the corpus has no document of maths, art"):
        source_weight(DOCS, EDGES, ["maths", "art"])


def test_weights_that_are_all_zero_have_no_scale() -> None:
    with pytest.raises(InputError, match="all weights are zero; a score needs at least one token"):
        mean_absolute(np.zeros(4))
