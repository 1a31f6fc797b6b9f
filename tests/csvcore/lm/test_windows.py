from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from transformers import AutoModelForCausalLM

from csvcore import lm
from csvcore.lm import LanguageModel, LoadConfig, windows
from csvcore.lm.encoding import Window
from csvcore.lm.losses import UNBOUNDED, window_size
from csvcore.lm.passes import decoder
from csvcore.records import Document, Floats
from tests.support import architectures
from tests.support.architectures import TEXTS, full_nll
from tests.support.world import DOCS

pytestmark = pytest.mark.usefixtures("one_thread")

LONG = Document("very-long", "sizes", " ".join(doc.text for doc in DOCS) * 4)  # some 450 tokens
KINDS = ("llama", "gpt2", "mamba")  # of 256, 256 and unbounded positions


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return architectures.save(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return lm.load(str(folder), LoadConfig("cpu"))


def by_hand(folder: Path, ids: list[int], context: int, stride: int) -> Floats:
    """Window by window with the full model, in a loop that shares nothing with ours."""
    reference = AutoModelForCausalLM.from_pretrained(folder).eval()
    found = full_nll(reference, 0, np.array(ids[:context]))
    while found.size < len(ids):
        stop = min(found.size + stride, len(ids))
        seen = np.array(ids[stop - context : stop])
        found = np.concatenate([found, full_nll(reference, 0, seen)[found.size - stop :]])
    return found


# Windows


def test_ten_tokens_in_windows_of_four_by_hand() -> None:
    assert windows(10, 4, 2) == [
        Window(0, 0, 4),
        Window(2, 4, 6),
        Window(4, 6, 8),
        Window(6, 8, 10),
    ]
    assert windows(6, 4, 4) == [Window(0, 0, 4), Window(2, 4, 6)]  # the last one looks further back
    assert windows(3, 4, 2) == [Window(0, 0, 3)]


context_and_stride = st.integers(2, 40).flatmap(
    lambda context: st.tuples(st.just(context), st.integers(1, context))
)


@given(st.integers(0, 200), context_and_stride)
def test_each_token_is_scored_in_one_window_of_at_most_the_context_with_enough_before_it(
    n_tokens: int, sizes: tuple[int, int]
) -> None:
    context, stride = sizes
    found = windows(n_tokens, context, stride)
    scored = [i for window in found for i in range(window.score_from, window.stop)]
    assert scored == list(range(n_tokens))
    for window in found:
        assert 0 <= window.start <= window.score_from <= window.stop
        assert window.stop - window.start <= context
    for window in found[1:]:
        assert window.score_from - window.start >= context - stride
        assert 1 <= window.stop - window.score_from <= stride


@pytest.mark.parametrize("stride", [0, -1, 9])
def test_a_stride_of_nothing_or_beyond_the_context_is_refused(stride: int) -> None:
    with pytest.raises(
        ValueError, match=f"stride must be from 1 to the context of 8, got {stride}"
    ):
        windows(20, 8, stride)


def test_a_window_is_the_smaller_of_what_the_model_and_the_caller_allow() -> None:
    assert window_size(64, None) == 64
    assert window_size(64, 32) == window_size(32, 64) == window_size(None, 32) == 32
    assert window_size(None, None) == UNBOUNDED


# Scores of long documents


@pytest.mark.parametrize(("room", "stride"), [(32, 8), (20, 20), (50, None), (7, 1)])
@pytest.mark.parametrize("batch_tokens", [1, 300])
def test_a_long_document_is_scored_as_by_a_loop_over_windows(
    folder: Path, model: LanguageModel, room: int, stride: int | None, batch_tokens: int
) -> None:
    docs = (TEXTS[7], DOCS[0], Document("one", "sizes", "x"))
    for row in lm.score(model, docs, batch_tokens, room, stride):
        assert row.token_id is not None
        wanted = by_hand(folder, row.token_id.tolist(), room, stride or room // 2)
        assert_allclose(row.nll, wanted, atol=1e-4)


def test_a_document_beyond_a_models_positions_is_seen_in_windows_of_all_its_positions(
    folder: Path, model: LanguageModel
) -> None:
    [row] = lm.score(model, [LONG])
    assert row.token_id is not None
    assert row.nll.size > 400
    room = model.max_tokens or row.nll.size
    assert_allclose(row.nll, by_hand(folder, row.token_id.tolist(), room, room // 2), atol=1e-4)
    assert row.byte_end[-1] == len(LONG.text.encode())


def test_a_text_of_exactly_the_context_is_one_window_and_one_token_more_is_two(
    model: LanguageModel,
) -> None:
    passed: list[int] = []
    hook = decoder(model.model).register_forward_pre_hook(
        lambda module, args, more: passed.append(more["input_ids"].numel()), with_kwargs=True
    )
    n_tokens = len(lm.encode(model.tokenizer, TEXTS[7].text).token_ids)
    try:
        list(lm.score(model, [TEXTS[7]], 1, n_tokens))
        assert passed == [n_tokens]
        passed.clear()
        list(lm.score(model, [TEXTS[7]], 1, n_tokens - 1))
        assert passed == [n_tokens - 1] * 2
    finally:
        hook.remove()


def test_every_window_begins_with_the_prefix_and_none_has_it_twice(model: LanguageModel) -> None:
    passed: list[list[int]] = []
    hook = decoder(model.model).register_forward_pre_hook(
        lambda module, args, more: passed.extend(more["input_ids"].tolist()), with_kwargs=True
    )
    try:
        list(lm.score(model, [LONG], 1, 32, 16))
    finally:
        hook.remove()
    assert len(passed) > 20
    for row in passed:
        assert row[0] == model.prefix.token_id
        assert row.count(model.prefix.token_id) == 1
        assert len(row) == 32


def test_more_context_changes_only_what_it_can_reach(model: LanguageModel) -> None:
    [short], [long] = (list(lm.score(model, [TEXTS[7]], None, c, 10)) for c in (20, 40))
    assert_allclose(short.nll[:20], long.nll[:20], atol=1e-4)
    assert np.abs(short.nll[20:] - long.nll[20:]).max() > 1e-3


# Hidden states of long texts


def test_hidden_states_of_a_long_text_are_those_of_its_windows(
    folder: Path, model: LanguageModel
) -> None:
    [(encoding, states)] = list(lm.hidden_states(model, [LONG.text]))
    assert states.shape == (len(encoding.token_ids), 16)
    reference = AutoModelForCausalLM.from_pretrained(folder).eval()
    room = (model.max_tokens or UNBOUNDED) - 1  # the last token is an input too
    for window in windows(len(encoding.token_ids), room, room // 2):
        ids = torch.tensor([[0, *encoding.token_ids[window.start : window.stop]]])
        with torch.no_grad():
            wanted = decoder(reference)(input_ids=ids).last_hidden_state[0, 1:]
        scored = slice(window.score_from, window.stop)
        assert_allclose(states[scored], wanted[window.score_from - window.start :], atol=1e-4)
