from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from transformers import AutoModelForCausalLM

from csvcore import lm
from csvcore.errors import ModelError
from csvcore.lm import LanguageModel, LoadConfig
from csvcore.lm.passes import Losses, Passes, Rows, Segment, batches
from csvcore.records import Floats
from tests.support import architectures
from tests.support.architectures import ARCHITECTURES, TEXTS, full_nll
from tests.support.world import DOCS

pytestmark = pytest.mark.usefixtures("one_thread")

LONGEST = 200  # inputs: more than any text here, far more than the sliding windows
SHORTAGES = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return architectures.save(architecture, tmp_path_factory.mktemp("models") / architecture)


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return lm.load(str(folder), LoadConfig("cpu", longest=LONGEST))


@pytest.fixture(scope="module")
def expected(folder: Path, model: LanguageModel) -> list[Floats]:
    """By a model of transformers' own that our code has never touched."""
    reference = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = [model.tokenizer(doc.text, add_special_tokens=False)["input_ids"] for doc in TEXTS]
    return [full_nll(reference, 0, np.array(own)) for own in ids]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder = architectures.save("llama", tmp_path_factory.mktemp("models") / "llama")
    return lm.load(str(folder), LoadConfig("cpu"))


# A second opinion, architecture by architecture


@pytest.mark.parametrize("batch_tokens", [1, 100, 250])
def test_the_nll_is_that_of_transformers_own_logits(
    model: LanguageModel, expected: list[Floats], batch_tokens: int
) -> None:
    for row, own in zip(lm.score(model, TEXTS, batch_tokens), expected, strict=True):
        assert_allclose(row.nll, own, atol=1e-4, err_msg=row.doc_id)


def test_a_model_is_scored_in_the_fastest_way_its_architecture_allows(
    architecture: str, model: LanguageModel
) -> None:
    wanted = ARCHITECTURES[architecture]
    assert wanted.rows in (None, model.self_test.rows), model.self_test.notes
    assert wanted.head in (None, model.self_test.head), model.self_test.notes
    assert model.self_test.difference < 1e-4
    assert bool(model.self_test.notes) == (model.self_test.rows != "packed")


def test_these_models_care_for_their_context_so_that_a_lost_one_would_show(
    model: LanguageModel, expected: list[Floats]
) -> None:
    for i in (0, 4, 7):
        ids = np.array(model.tokenizer(TEXTS[i].text, add_special_tokens=False)["input_ids"])
        short = full_nll(model.model, 0, ids[-2:])[-1]
        assert abs(short - expected[i][-1]) > 1e-3


def test_rows_longer_than_a_models_positions_hold_several_texts_or_are_not_made(
    model: LanguageModel, expected: list[Floats]
) -> None:
    docs, wanted = TEXTS * 3, expected * 3  # about 700 tokens, of 256 positions
    for row, own in zip(lm.score(model, docs, 100_000), wanted, strict=True):
        assert_allclose(row.nll, own, atol=1e-4, err_msg=row.doc_id)


def test_only_the_targets_of_a_segment_are_scored(
    model: LanguageModel, expected: list[Floats]
) -> None:
    ids = np.array(model.tokenizer(TEXTS[4].text, add_special_tokens=False)["input_ids"])
    inputs = np.concatenate([[0], ids[:-1]])
    segments = [Segment(inputs, ids[ids.size - n :]) for n in (3, ids.size, 1)]
    for nll, segment in zip(model.passes.nll(segments, 1000), segments, strict=True):
        assert_allclose(nll, expected[4][-segment.targets.size :], atol=1e-4)


# Batches

sizes_of_texts = st.lists(st.integers(1, 60), max_size=40)


@given(sizes_of_texts, st.integers(1, 100), st.sampled_from(["packed", "padded", "alone"]))
def test_batches_hold_every_text_once_and_keep_to_their_budget(
    sizes: list[int], batch_tokens: int, rows: Rows
) -> None:
    found = list(batches(sizes, batch_tokens, rows))
    assert sorted(i for batch in found for i in batch) == list(range(len(sizes)))
    for batch in found:
        own = [sizes[i] for i in batch]
        filled = sum(own) if rows == "packed" else max(own) * len(own)
        assert filled <= batch_tokens or len(batch) == 1
        assert rows != "alone" or len(batch) == 1


@given(sizes_of_texts, st.integers(1, 100))
def test_no_two_packed_rows_would_fit_into_one(sizes: list[int], batch_tokens: int) -> None:
    filled = [sum(sizes[i] for i in batch) for batch in batches(sizes, batch_tokens, "packed")]
    assert all(
        one + other > batch_tokens for k, one in enumerate(filled) for other in filled[k + 1 :]
    )


def test_passes_begin_with_the_longest_text_so_that_memory_is_known_at_once() -> None:
    assert next(batches([3, 9, 5], 9, "packed")) == [1]
    assert list(batches([3, 9, 5], 10, "padded")) == [[1], [2, 0]]


# Memory


def limit_memory(
    monkeypatch: pytest.MonkeyPatch, most: int, error: RuntimeError
) -> list[Sequence[Segment]]:
    """Passes raise over more than `most` inputs; the list gets the batches that were tried."""
    tried: list[Sequence[Segment]] = []
    real = Passes._batch

    def scarce(self: Passes, batch: Sequence[Segment]) -> list[Losses]:
        tried.append(batch)
        if sum(segment.inputs.size for segment in batch) > most:
            raise error
        found: list[Losses] = real(self, batch)
        return found

    monkeypatch.setattr(Passes, "_batch", scarce)
    return tried


@pytest.mark.parametrize("error", SHORTAGES, ids=["gpu", "cpu"])
def test_a_pass_that_does_not_fit_in_memory_is_halved_and_the_losses_are_the_same(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    wanted = list(lm.score(llama, DOCS, 1000))
    tried = limit_memory(monkeypatch, 30, error)
    seen: list[int] = []
    found = list(lm.score(llama, DOCS, 1000, report=lambda done, total: seen.append(done)))
    assert len(tried) > len(seen) > 1
    assert seen[-1] == len(DOCS)
    for one, two in zip(found, wanted, strict=True):
        assert one.doc_id == two.doc_id
        assert_allclose(one.nll, two.nll, atol=1e-5)


@pytest.mark.parametrize("error", SHORTAGES, ids=["gpu", "cpu"])
def test_a_single_text_that_does_not_fit_in_memory_is_refused_with_the_next_step(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    limit_memory(monkeypatch, 20, error)
    with pytest.raises(ModelError, match=r"llama: one window .* fit in memory; .*--context"):
        list(lm.score(llama, DOCS, 1000))


def test_an_error_that_is_not_about_memory_is_not_hidden(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = limit_memory(monkeypatch, 20, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        list(lm.score(llama, DOCS, 1000))
    assert len(tried) == 1


@pytest.mark.parametrize("error", SHORTAGES, ids=["gpu", "cpu"])
def test_a_model_that_leaves_no_memory_for_a_short_text_is_refused_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def full(self: Passes, inputs: Any) -> torch.Tensor:
        raise error

    monkeypatch.setattr(Passes, "states", full)
    folder = architectures.save("llama", tmp_path / "llama")
    with pytest.raises(ModelError, match=r"llama leaves no memory on cpu .*--dtype bfloat16"):
        lm.load(str(folder), LoadConfig("cpu"))


def test_a_models_attention_is_its_own_again_after_a_pass_even_one_that_failed(
    llama: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(lm.score(llama, DOCS))
    before = llama.model.config._attn_implementation
    assert before != lm.passes.PACKED_ATTENTION

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("broken")

    monkeypatch.setattr(llama.model.model, "forward", broken)
    with pytest.raises(KeyError, match="broken"):
        list(lm.score(llama, DOCS))
    assert llama.model.config._attn_implementation == before
    assert lm.passes._row.sizes == []
