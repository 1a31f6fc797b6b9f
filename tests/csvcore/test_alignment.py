from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from tokenizers import Tokenizer

from csvcore import alignment
from csvcore.alignment import Aligner, Tiling, byte_clock, character_clock, tile
from csvcore.errors import OffsetsError
from csvcore.records import Floats, Ints, ModelLosses
from tests.support.mapping import map_nll

KINDS = ("byte-level", "sentencepiece", "prepending", "unigram", "unigram-bytes", "wordpiece")
TEXTS = {
    "ascii": "the cat sat on the mat.",
    "cjk": "猫は席に座った 北京",
    "emoji": "I 👩‍👩‍👧‍👦 you 🏳️‍🌈!",
    "nfkc": "ﬁne … ① ②",
    "space mark": "a ▁ mark ▁▁",
    "empty": "",
    "space": " ",
    "leading spaces": "   three",
    "newlines": "\n\na\n\nb\n",
    "combining": "e\u0301 n\u0303o",
}
# Every pair but one: WordPiece has no token for a space, and refuses a text of nothing else.
PAIRS = [(kind, name) for kind in KINDS for name in TEXTS if (kind, name) != ("wordpiece", "space")]
each_pair = pytest.mark.parametrize(("kind", "name"), PAIRS)

# Small alphabets of each UTF-8 width, so that short texts mix them.
texts = st.text(st.sampled_from("ab é北▁\u0301🙂\n"), max_size=9)


def edges(*cuts: int) -> Ints:
    return np.array(cuts, dtype=np.int64)


def read(tokenizer: Tokenizer, text: str) -> Tiling:
    coded = tokenizer.encode(text, add_special_tokens=False)
    pieces = [tokenizer.id_to_token(token_id) for token_id in coded.ids]
    return tile(text, pieces, coded.offsets)


def some_nll(n_tokens: int) -> Floats:
    return np.random.default_rng(n_tokens).exponential(3.0, n_tokens)


@st.composite
def mappings(draw: st.DrawFn) -> tuple[str, Floats, Ints, Ints]:
    """A text, source nll and two tilings that may cut characters and have empty tokens."""
    text = draw(texts)
    n_bytes = len(text.encode())
    cuts = st.lists(st.integers(0, n_bytes), max_size=7).map(sorted)
    source, target = (edges(0, *draw(cuts), n_bytes) for _ in range(2))
    losses = st.lists(st.floats(0.0, 20.0), min_size=source.size - 1, max_size=source.size - 1).map(
        np.array
    )
    return text, draw(losses), source, target


# By hand


def test_worked_example() -> None:
    # "the cat": source "the| cat", target "th|e c|at"; 3 nats over 3 characters, 8 over 4
    mapped = map_nll(
        np.array([3.0, 8.0]), edges(0, 3, 7), edges(0, 2, 5, 7), character_clock("the cat")
    )
    assert_allclose(mapped, [2.0, 1.0 + 4.0, 4.0])


def test_a_character_takes_one_share_whatever_its_bytes() -> None:
    # "aé" in one token of 4 nats: 2 for each character, and 1 for each byte of the second
    mapped = map_nll(np.array([4.0]), edges(0, 3), edges(0, 1, 2, 3), character_clock("aé"))
    assert_allclose(mapped, [2.0, 1.0, 1.0])


def test_an_empty_token_passes_its_nll_to_the_next_with_bytes_and_at_the_end_to_the_last() -> None:
    # ""|""|"a"|""|"b"|"" with 1, 2, 4, 8, 16, 32 nats
    source = edges(0, 0, 0, 1, 1, 2, 2)
    mapped = map_nll(
        np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]), source, edges(0, 1, 2), character_clock("ab")
    )
    assert_allclose(mapped, [1.0 + 2.0 + 4.0, 8.0 + 16.0 + 32.0])


def test_an_empty_target_token_gets_nothing() -> None:
    mapped = map_nll(np.array([6.0]), edges(0, 2), edges(0, 0, 1, 1, 2, 2), character_clock("ab"))
    assert_allclose(mapped, [0.0, 3.0, 0.0, 3.0, 0.0])


def test_the_nll_of_an_empty_text_goes_to_its_first_token() -> None:
    mapped = map_nll(np.array([1.0, 2.0]), edges(0, 0, 0), edges(0, 0, 0, 0), character_clock(""))
    assert_allclose(mapped, [3.0, 0.0, 0.0])


def test_the_clock_counts_characters_and_divides_them_evenly_among_their_bytes() -> None:
    assert_allclose(character_clock("aé🙂"), [0, 1, 1.5, 2, 2.25, 2.5, 2.75, 3])


def test_the_clock_does_not_drift_over_a_long_text() -> None:
    assert_array_equal(character_clock("北" * 50_000)[::3], np.arange(50_001))


@given(st.text())
def test_the_clock_advances_by_one_over_the_bytes_of_each_character(text: str) -> None:
    steps = [1 / len(code) for code in map(str.encode, text) for _ in code]
    assert_allclose(character_clock(text), np.cumsum([0.0, *steps]), atol=1e-9)


@pytest.mark.parametrize(
    ("text", "pieces", "offsets", "cuts", "exact"),
    [
        ("the cat", ["the", "Ġcat"], [(0, 3), (4, 7)], [0, 3, 7], True),
        ("é", ["Ã", "©"], [(0, 1), (0, 1)], [0, 1, 2], True),
        ("the cat", ["▁the", "▁cat"], [(0, 3), (3, 7)], [0, 3, 7], True),
        ("\n", ["▁", "<0x0A>"], [(0, 1), (0, 1)], [0, 0, 1], True),
        (" a", ["▁", "▁a"], [(0, 1), (0, 2)], [0, 0, 2], True),
        ("A é c", ["a", "e", "c"], [(0, 1), (2, 3), (4, 5)], [0, 1, 4, 6], False),  # gaps: next
        ("a", ["_a"], [(0, 1)], [0, 1], False),  # no dummy space
        ("ﬁn", ["f", "i", "n"], [(0, 1), (0, 1), (1, 2)], [0, 0, 3, 4], False),  # shared: last
        ("a b ", ["A", "B"], [(0, 1), (2, 3)], [0, 1, 4], False),  # the gap at the end: to the last
        ("", [], [], [0], True),
        ("", ["▁"], [(0, 0)], [0, 0], True),
    ],
)
def test_pieces_and_offsets_become_these_edges(
    text: str, pieces: list[str], offsets: list[tuple[int, int]], cuts: list[int], exact: bool
) -> None:
    tiling = tile(text, pieces, offsets)
    assert (tiling.edges.tolist(), tiling.exact) == (cuts, exact)


@pytest.mark.parametrize("text", ["<0xzz>", "<0x-1>", "<0x+1>", "<0x 1>"])
def test_a_piece_that_only_looks_like_a_byte_is_text(text: str) -> None:
    tiling = tile(f"{text}é", [text, "é"], [(0, 6), (6, 7)])
    assert (tiling.edges.tolist(), tiling.exact) == ([0, 6, 8], True)


# Properties


@each_pair
def test_edges_of_real_tokens_tile_the_text(
    tokenizers: dict[str, Tokenizer], kind: str, name: str
) -> None:
    cuts = read(tokenizers[kind], TEXTS[name]).edges
    assert cuts.size == len(tokenizers[kind].encode(TEXTS[name]).ids) + 1
    assert cuts[[0, -1]].tolist() == [0, len(TEXTS[name].encode())]
    assert np.all(np.diff(cuts) >= 0)


@given(text=st.text(max_size=12) | texts)
def test_edges_tile_any_text_and_byte_tokens_are_exact(
    tokenizers: dict[str, Tokenizer], text: str
) -> None:
    for kind in KINDS:
        coded = tokenizers[kind].encode(text)
        if text and not coded.ids:
            continue  # WordPiece drops control characters too
        tiling = read(tokenizers[kind], text)
        assert tiling.edges[[0, -1]].tolist() == [0, len(text.encode())], kind
        assert np.all(np.diff(tiling.edges) >= 0), kind
        if kind == "byte-level":
            assert tiling.exact
        elif kind in ("sentencepiece", "prepending", "unigram-bytes"):
            assert tiling.exact == ("▁" not in text), kind  # a literal mark reads as a space


@pytest.mark.parametrize("name", [name for name in TEXTS if "▁" not in TEXTS[name]])
@pytest.mark.parametrize("kind", ["sentencepiece", "prepending", "unigram-bytes"])
def test_exact_edges_cut_the_text_into_what_the_vocabulary_spells(
    tokenizers: dict[str, Tokenizer], kind: str, name: str
) -> None:
    data = TEXTS[name].encode()
    spelled = [
        bytes([int(piece[3:5], 16)]) if piece.startswith("<0x") else piece.encode()
        for piece in tokenizers[kind].encode(TEXTS[name]).tokens
    ]
    spelled = [piece.replace("▁".encode(), b" ") for piece in spelled]
    cuts = read(tokenizers[kind], TEXTS[name]).edges
    found = [data[start:end] for start, end in pairwise(cuts)]
    assert found[1:] == spelled[1:]
    assert found[:1] in (spelled[:1], [piece[1:] for piece in spelled[:1]])  # the dummy space


@each_pair
def test_mapping_between_any_two_tokenizers_keeps_the_total_nll(
    tokenizers: dict[str, Tokenizer], kind: str, name: str
) -> None:
    source = read(tokenizers[kind], TEXTS[name]).edges
    nll = some_nll(source.size - 1)
    for other in (other for other, text in PAIRS if text == name):
        target = read(tokenizers[other], TEXTS[name]).edges
        mapped = map_nll(nll, source, target, character_clock(TEXTS[name]))
        assert mapped.sum() == pytest.approx(nll.sum(), rel=1e-9), other
        assert np.all(mapped >= 0.0), other


@each_pair
def test_mapping_to_its_own_tokens_changes_nothing_where_none_is_empty(
    tokenizers: dict[str, Tokenizer], kind: str, name: str
) -> None:
    own = np.unique(read(tokenizers[kind], TEXTS[name]).edges)
    nll = some_nll(own.size - 1)
    assert_allclose(map_nll(nll, own, own, character_clock(TEXTS[name])), nll, rtol=1e-12)


@given(mappings())
def test_mapping_keeps_the_total_nll_of_any_tokens(
    case: tuple[str, Floats, Ints, Ints],
) -> None:
    text, nll, source, target = case
    mapped = map_nll(nll, source, target, character_clock(text))
    assert mapped.shape == (target.size - 1,)
    assert mapped.sum() == pytest.approx(nll.sum(), rel=1e-9)


@given(mappings())
def test_one_token_for_the_whole_document_gets_the_total(
    case: tuple[str, Floats, Ints, Ints],
) -> None:
    text, nll, source, _ = case
    mapped = map_nll(nll, source, edges(0, len(text.encode())), character_clock(text))
    assert mapped == pytest.approx([nll.sum()], rel=1e-9)


@given(mappings())
def test_going_through_characters_makes_no_difference_to_tokens_that_cut_none(
    case: tuple[str, Floats, Ints, Ints],
) -> None:
    text, nll, source, target = case
    assume(text)
    characters = np.cumsum([0, *(len(char.encode()) for char in text)], dtype=np.int64)
    whole = characters[np.searchsorted(characters, target)]  # moved to where a character starts
    clock = character_clock(text)
    through = map_nll(map_nll(nll, source, characters, clock), characters, whole, clock)
    assert_allclose(through, map_nll(nll, source, whole, clock), rtol=1e-9, atol=1e-9)


# Second opinions


def byte_by_byte(text: str, nll: Floats, source: Ints, target: Ints) -> list[float]:
    """The same mapping without any cleverness: one token and one byte at a time."""
    share = [1.0 / len(char.encode()) for char in text for _ in char.encode()]
    spans = list(pairwise(source.tolist()))
    filled = [i for i, (start, end) in enumerate(spans) if start < end]
    per_byte = [0.0] * len(share)
    for i, loss in enumerate(nll):
        start, end = spans[next((j for j in filled if j >= i), filled[-1])]
        for byte in range(start, end):
            per_byte[byte] += loss * share[byte] / sum(share[start:end])
    return [sum(per_byte[start:end]) for start, end in pairwise(target.tolist())]


@given(mappings())
def test_mapping_equals_a_loop_over_bytes(case: tuple[str, Floats, Ints, Ints]) -> None:
    text, nll, source, target = case
    assume(text)
    mapped = map_nll(nll, source, target, character_clock(text))
    assert_allclose(mapped, byte_by_byte(text, nll, source, target), rtol=1e-9, atol=1e-9)


Spans = list[tuple[int, int]]


def printed_algorithm_1(text: str, nll: Floats, source: Spans, target: Spans) -> Floats:
    """Algorithm 1 as the paper prints it, over character spans."""
    per_char = np.zeros(len(text))
    for loss, (start, end) in zip(nll, source, strict=True):
        per_char[start:end] = loss / (end - start)  # line 6 assigns; it does not add
    return np.array([per_char[start:end].sum() for start, end in target])


def test_the_printed_algorithm_loses_mass_on_an_emoji_and_ours_does_not(
    tokenizers: dict[str, Tokenizer],
) -> None:
    text = "a🙂b"
    coded = tokenizers["byte-level"].encode(text)
    assert coded.offsets == [(0, 1), (1, 2), (1, 2), (1, 2), (1, 2), (2, 3)]
    nll = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    characters = [(0, 1), (1, 2), (2, 3)]
    # Of the four tokens that share the emoji only the last is left: 2 + 4 + 8 nats are gone.
    assert_allclose(printed_algorithm_1(text, nll, coded.offsets, characters), [1.0, 16.0, 32.0])
    source = read(tokenizers["byte-level"], text).edges
    mapped = map_nll(nll, source, edges(0, 1, 5, 6), character_clock(text))
    assert_allclose(mapped, [1.0, 2.0 + 4.0 + 8.0 + 16.0, 32.0])


@pytest.mark.parametrize("text", [TEXTS["ascii"], "that other cat, then  the owner"])
def test_the_printed_algorithm_and_ours_agree_on_plain_ascii(
    tokenizers: dict[str, Tokenizer], text: str
) -> None:
    for source in ("byte-level", "unigram"):
        for target in ("byte-level", "unigram"):
            one, two = tokenizers[source].encode(text), tokenizers[target].encode(text)
            nll = some_nll(len(one.ids))
            mapped = map_nll(
                nll,
                read(tokenizers[source], text).edges,
                read(tokenizers[target], text).edges,
                character_clock(text),
            )
            assert_allclose(mapped, printed_algorithm_1(text, nll, one.offsets, two.offsets))


# Several texts


def losses(model: str, ends: list[list[int]], nll: list[float]) -> ModelLosses:
    return ModelLosses(
        model, np.array([len(end) for end in ends]), np.concatenate(ends), np.array(nll)
    )


def test_an_aligner_maps_each_text_apart_and_in_order() -> None:
    aligner = Aligner(["ab", "é北"], [edges(0, 1, 2), edges(0, 5, 5)])
    halves = losses("m", [[2], [2, 5]], [6.0, 1.0, 2.0])
    assert_allclose(aligner.map(halves), [3.0, 3.0, 3.0, 0.0])


@given(st.lists(mappings(), min_size=1, max_size=6), st.integers(1, 40))
def test_texts_together_are_mapped_as_each_alone(
    cases: list[tuple[str, Floats, Ints, Ints]], block: int
) -> None:
    texts, nll, source, target = zip(*cases, strict=True)
    joined = losses("m", [list(own[1:]) for own in source], list(np.concatenate(nll)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "BLOCK", block)
        together = Aligner(texts, target).map(joined)
    alone = [
        map_nll(one, own, other, character_clock(text))
        for text, one, own, other in zip(texts, nll, source, target, strict=True)
    ]
    assert_array_equal(together, np.concatenate(alone))


def test_an_aligner_tells_models_with_other_tokens_apart() -> None:
    aligner = Aligner(["abc"], [edges(0, 1, 2, 3)])
    assert_allclose(aligner.map(losses("one", [[1, 3]], [1.0, 4.0])), [1.0, 2.0, 2.0])
    assert_allclose(aligner.map(losses("two", [[2, 3]], [1.0, 4.0])), [0.5, 0.5, 4.0])
    assert_allclose(aligner.map(losses("three", [[1, 3]], [5.0, 0.0])), [5.0, 0.0, 0.0])


# Refusals


def test_a_text_of_which_no_token_is_left_is_refused(tokenizers: dict[str, Tokenizer]) -> None:
    with pytest.raises(OffsetsError, match="no tokens for the text ' '; its tokenizer drops every"):
        read(tokenizers["wordpiece"], " ")


def test_an_aligner_refuses_losses_on_a_part_of_the_texts() -> None:
    aligner = Aligner(["ab", "c"], [edges(0, 2), edges(0, 1)])
    with pytest.raises(OffsetsError, match="m has losses on 1 of 2 texts"):
        aligner.map(losses("m", [[2]], [1.0]))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (edges(1, 2), r"source edges must rise from 0, got \[1, 2\]"),
        (edges(0, 2, 1, 2), r"source edges must rise from 0, got \[0, 2, 1, 2\]"),
        (edges(), r"source edges must rise from 0, got \[\]"),
        (edges(0, 1), "source tokens end at byte 1 of a text of 2 bytes; were both given the same"),
        (edges(0, 3), "source tokens end at byte 3 of a text of 2 bytes; were both given the same"),
    ],
)
def test_edges_that_do_not_tile_the_text_are_refused(source: Ints, message: str) -> None:
    with pytest.raises(OffsetsError, match=message):
        map_nll(np.ones(1), source, edges(0, 2), character_clock("ab"))
    with pytest.raises(OffsetsError, match=message.replace("source", "target")):
        map_nll(np.ones(1), edges(0, 2), source, character_clock("ab"))


def test_losses_of_another_number_of_tokens_are_refused() -> None:
    with pytest.raises(OffsetsError, match="3 losses for 1 source tokens"):
        map_nll(np.ones(3), edges(0, 2), edges(0, 2), character_clock("ab"))


def test_losses_on_an_empty_text_need_a_target_token() -> None:
    with pytest.raises(OffsetsError, match="1 source tokens but no target token for an empty text"):
        map_nll(np.ones(1), edges(0, 0), edges(0), character_clock(""))


def test_by_bytes_a_loss_is_shared_evenly_over_bytes() -> None:
    text = "aé"  # 1 and 2 bytes
    losses = ModelLosses("m", np.array([1]), np.array([3]), np.array([3.0]))
    targets = [np.array([0, 1, 3])]
    assert_allclose(Aligner([text], targets).map(losses), [1.5, 1.5])
    assert_allclose(Aligner([text], targets, byte_clock).map(losses), [1.0, 2.0])
