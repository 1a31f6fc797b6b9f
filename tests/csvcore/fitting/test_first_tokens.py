from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from csvcore.alignment import Aligner, check_edges, first_token_ends
from csvcore.errors import InputError
from csvcore.fitting.units import Units, without_first_tokens
from csvcore.records import Document, Floats, ModelLosses
from csvcore.salience import capability_score

pytestmark = pytest.mark.slow


def losses(model: str, *byte_ends: Sequence[int], nll: Floats | None = None) -> ModelLosses:
    """A model's losses, given the ends of its tokens in each text."""
    ends = np.concatenate([np.array(part, dtype=np.int64) for part in byte_ends])
    sizes = np.array([len(part) for part in byte_ends], dtype=np.int64)
    return ModelLosses(model, sizes, ends, np.ones(ends.size) if nll is None else nll)


def units(*edges: Sequence[int]) -> Units:
    """Units with hidden states 0, 10, 20 and so on."""
    cuts = [np.array(part, dtype=np.int64) for part in edges]
    n_units = sum(part.size - 1 for part in cuts)
    return Units(cuts, lambda: 10 * np.arange(n_units, dtype=np.float32)[:, None], "scorer")


def documents(*texts: str) -> list[Document]:
    return [Document(f"d{i}", "s", text) for i, text in enumerate(texts)]


# Cases by hand


def test_the_first_tokens_end_where_the_longest_of_them_ends() -> None:
    short, long = losses("short", [2, 6], [3, 6]), losses("long", [3, 6], [2, 4, 6])
    assert_array_equal(first_token_ends([short, long], ["abcdef", "uvwxyz"]), [3, 3])
    assert_array_equal(first_token_ends([short], ["abcdef", "uvwxyz"]), [2, 3])
    assert_array_equal(first_token_ends([long], ["abcdef", "uvwxyz"]), [3, 2])


@pytest.mark.parametrize(("end", "rounded"), [(1, 3), (2, 3), (3, 3), (4, 7), (6, 7), (7, 7)])
def test_a_first_token_that_ends_within_a_character_takes_the_whole_of_it(
    end: int, rounded: int
) -> None:
    ends = [*range(end, 9)]  # 猫 is bytes 0 to 3, 🎩 is 3 to 7
    assert first_token_ends([losses("bytes", ends)], ["猫🎩a"]).tolist() == [rounded]


def test_a_first_token_without_bytes_is_skipped() -> None:
    # a dummy space before the text stands in no byte of it
    assert first_token_ends([losses("dummy", [0, 0, 2, 6])], ["abcdef"]).tolist() == [2]
    both = [losses("dummy", [0, 2, 6], [0, 1, 3]), losses("plain", [1, 6], [2, 3])]
    assert first_token_ends(both, ["abcdef", "xyz"]).tolist() == [2, 2]


def test_a_unit_that_straddles_the_cut_is_split_and_keeps_its_hidden_state() -> None:
    docs = documents("abcdef", "猫a", "xyz")
    first = [losses("short", [2, 6], [1, 3, 4], [1, 2, 3]), losses("long", [3, 6], [3, 4], [1, 3])]
    whole = units([0, 2, 5, 6], [0, 2, 4], [0, 1, 3])
    found, counts, n_chars = without_first_tokens(whole, docs, first)
    # cut at 3 inside 2..5, at 3 inside 2..4 (猫 ends there), at 1 between two units
    assert [edges.tolist() for edges in found.edges] == [
        [0, 2, 3, 5, 6],
        [0, 2, 3, 4],
        [0, 1, 3],
    ]
    assert found.hidden[:, 0].tolist() == [0, 10, 10, 20, 30, 40, 40, 50, 60]
    assert counts.tolist() == [False, False, True, True, False, False, True, False, True]
    assert n_chars == 3 + 1 + 2
    assert found.scorer_sha256 == "scorer"
    assert [edges.tolist() for edges in whole.edges] == [[0, 2, 5, 6], [0, 2, 4], [0, 1, 3]]


def test_characters_are_counted_and_not_bytes() -> None:
    _, _, n_chars = without_first_tokens(
        units([0, 1, 3, 6, 10]), documents("a\u00e9猫🎩"), [losses("m", [1, 3, 6, 10])]
    )
    assert n_chars == 3


def test_a_unit_without_bytes_at_the_cut_counts_and_none_is_made() -> None:
    found, counts, _ = without_first_tokens(
        units([0, 3, 3, 6]), documents("abcdef"), [losses("m", [3, 6])]
    )
    assert found.edges[0].tolist() == [0, 3, 3, 6]
    assert counts.tolist() == [False, True, True]


def test_a_document_that_is_one_token_is_left_out_and_the_others_stay() -> None:
    found, counts, n_chars = without_first_tokens(
        units([0, 2, 3], [0, 1, 3]), documents("abc", "xyz"), [losses("m", [3], [1, 3])]
    )
    assert counts.tolist() == [False, False, False, True]
    assert [edges.tolist() for edges in found.edges] == [[0, 2, 3], [0, 1, 3]]
    assert n_chars == 2


def test_a_corpus_that_is_first_tokens_alone_is_refused() -> None:
    first = [losses("whole", [3], [1, 3]), losses("other", [1, 3], [3])]
    with pytest.raises(InputError, match="first token of some model; nothing is left to fit"):
        without_first_tokens(units([0, 3], [0, 3]), documents("abc", "xyz"), first)


# Properties

TEXTS = st.text(st.sampled_from("ab é猫🎩"), min_size=1, max_size=6)


def ends_in(n_bytes: int) -> st.SearchStrategy[list[int]]:
    """Ends of tokens that tile so many bytes, some empty."""
    return st.lists(st.integers(0, n_bytes), max_size=6).map(lambda cuts: [*sorted(cuts), n_bytes])


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Document], Units, list[ModelLosses]]:
    docs = documents(*draw(st.lists(TEXTS, min_size=1, max_size=3)), "aaaaaaaaaa")
    sizes = [len(doc.text.encode()) for doc in docs]
    models = []
    for i in range(draw(st.integers(1, 3))):
        ends = [draw(ends_in(size)) for size in sizes[:-1]]
        ends.append([draw(st.integers(1, 9)), 10])  # something is always left
        n = sum(map(len, ends))
        nll = draw(st.lists(st.floats(0.0, 9.0, width=16), min_size=n, max_size=n))
        models.append(losses(f"m{i}", *ends, nll=np.array(nll)))
    return docs, units(*([0, *draw(ends_in(size))] for size in sizes)), models


def masked_scores(
    docs: list[Document], found: Units, counts: Any, n_chars: int, models: list[ModelLosses]
) -> Floats:
    """Scores (n_models,) under weights that differ from unit to unit."""
    weight = 1.0 + np.arange(counts.size) % 7
    aligner = Aligner([doc.text for doc in docs], found.edges)
    nll = np.array([aligner.map(entry) * counts for entry in models])
    return capability_score(weight, nll, n_chars)


def in_the_mask(entry: ModelLosses, ends: Sequence[int]) -> np.ndarray:
    """Which tokens have all their bytes there, or come without bytes before the first that has."""
    inside = []
    for end, own in zip(
        ends, np.split(entry.byte_end, np.cumsum(entry.n_tokens)[:-1]), strict=True
    ):
        starts = np.array([0, *own[:-1]])
        inside += ((own <= end) & ((own > starts) | (own == 0))).tolist()
    return np.array(inside)


@settings(max_examples=60)
@given(cases())
def test_a_score_does_not_hang_on_the_loss_of_a_token_in_the_mask(
    case: tuple[list[Document], Units, list[ModelLosses]],
) -> None:
    docs, whole, models = case
    found, counts, n_chars = without_first_tokens(whole, docs, models)
    ends = first_token_ends(models, [doc.text for doc in docs]).tolist()
    changed = []
    for entry in models:
        inside = in_the_mask(entry, ends)
        firsts = np.cumsum([0, *entry.n_tokens[:-1]])
        assert inside[firsts].all()  # of every document at least the first
        changed.append(replace(entry, nll=np.where(inside, 100.0 + entry.nll, entry.nll)))
    assert_allclose(
        masked_scores(docs, found, counts, n_chars, changed),
        masked_scores(docs, found, counts, n_chars, models),
        rtol=1e-12,
        atol=1e-12,
    )


@settings(max_examples=60)
@given(cases())
def test_units_still_tile_every_text_and_the_cut_is_an_edge_of_them(
    case: tuple[list[Document], Units, list[ModelLosses]],
) -> None:
    docs, whole, models = case
    found, counts, n_chars = without_first_tokens(whole, docs, models)
    ends = first_token_ends(models, [doc.text for doc in docs]).tolist()
    old_at = at = 0
    for doc, end, edges, old in zip(docs, ends, found.edges, whole.edges, strict=True):
        data = doc.text.encode()
        check_edges(edges, len(data), "unit")
        assert end in edges
        assert set(edges.tolist()) == {*old.tolist(), end}
        data[:end].decode()  # whole characters
        size = edges.size - 1
        for i, (start, stop) in enumerate(pairwise(edges.tolist())):
            assert counts[at + i] == (start >= end)
            if stop > start:  # its hidden state is that of the unit it came from
                owner = int(np.searchsorted(old, start, side="right")) - 1
                assert found.hidden[at + i] == whole.hidden[old_at + owner]
        at, old_at = at + size, old_at + old.size - 1
    assert at == counts.size == found.hidden.shape[0]
    left = sum(len(d.text.encode()[end:].decode()) for d, end in zip(docs, ends, strict=True))
    assert n_chars == left


@settings(max_examples=60)
@given(cases())
def test_what_counts_and_what_does_not_is_all_the_loss_there_is(
    case: tuple[list[Document], Units, list[ModelLosses]],
) -> None:
    docs, whole, models = case
    found, counts, _ = without_first_tokens(whole, docs, models)
    aligner = Aligner([doc.text for doc in docs], found.edges)
    for entry in models:
        mapped = aligner.map(entry)
        assert (mapped * counts).sum() + mapped[~counts].sum() == pytest.approx(entry.nll.sum())
