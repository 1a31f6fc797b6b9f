from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import AttentionInterface, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from csvcore import lm
from csvcore.errors import ModelError
from csvcore.lm import LanguageModel, LoadConfig, passes, selftest
from csvcore.lm.output_layer import Head
from csvcore.lm.passes import PACKED_ATTENTION, Losses, Passes, Segment
from tests.support import architectures
from tests.support.architectures import TEXTS, WINDOW, full_nll

pytestmark = pytest.mark.usefixtures("one_thread")

LONG = LoadConfig("cpu", longest=200)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    names = ("llama", "mistral", "gemma2", "cohere", "granite", "phi")
    return {name: architectures.save(name, root / name) for name in names}


def assert_losses_are_right(model: LanguageModel, folder: Path) -> None:
    reference = AutoModelForCausalLM.from_pretrained(folder).eval()
    for row in lm.score(model, TEXTS, 100):
        assert row.token_id is not None
        assert_allclose(row.nll, full_nll(reference, 0, row.token_id), atol=1e-4)


# What is found out


def test_a_healthy_model_is_packed_and_chunked_without_notes(folders: dict[str, Path]) -> None:
    found = lm.load(str(folders["llama"]), LONG).self_test
    assert (found.rows, found.head, found.notes) == ("packed", "chunked", ())
    assert 0 <= found.difference < 1e-4


@pytest.mark.parametrize(
    ("name", "scale", "cap"),
    [("llama", 1, None), ("cohere", 0.25, None), ("granite", 0.25, None), ("gemma2", 1, 3.0)],
)
def test_what_an_architecture_does_to_its_logits_is_found_out(
    folders: dict[str, Path], name: str, scale: float, cap: float | None
) -> None:
    head = lm.load(str(folders[name]), LONG).passes.head
    assert head is not None
    assert (head.scale, head.cap) == (scale, cap)


# What is caught


def test_packed_rows_that_lose_the_borders_of_their_texts_are_not_used(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = passes.attending_within
    monkeypatch.setattr(passes, "attending_within", lambda model, sizes: real(model, [sum(sizes)]))
    model = lm.load(str(folders["llama"]), LONG)
    assert (model.self_test.rows, model.self_test.head) == ("padded", "chunked")
    [note] = model.self_test.notes
    assert note.startswith("not packed: states are off by")
    assert_losses_are_right(model, folders["llama"])


def test_a_leak_far_below_the_rounding_of_losses_is_caught_all_the_same(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(*args: Any, **more: Any) -> tuple[torch.Tensor, None]:
        out, _ = passes._packed_attention(*args, **more)
        return out + 2e-5 * out.mean(1, keepdim=True), None  # a little of all texts in each

    monkeypatch.setitem(AttentionInterface._global_mapping, PACKED_ATTENTION, leaking)
    model = lm.load(str(folders["llama"]), LONG)
    assert model.self_test.rows == "padded"
    assert "not packed: texts of a row see each other" in model.self_test.notes[0]


@pytest.mark.parametrize(("longest", "rows"), [(200, "padded"), (WINDOW, "packed"), (0, "packed")])
def test_a_sliding_window_is_tried_where_a_pass_to_come_is_longer(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, longest: int, rows: str
) -> None:
    monkeypatch.setattr(passes, "_window_mask", lambda *_: None)
    monkeypatch.setattr(selftest, "SIZES", (3, 7, 5))  # all inside the window
    model = lm.load(str(folders["mistral"]), LoadConfig("cpu", longest=longest))
    assert model.self_test.rows == rows
    if rows == "padded":
        assert_losses_are_right(model, folders["mistral"])


def test_padding_that_moves_a_text_is_caught_and_texts_go_alone(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Passes._padded

    def left(self: Passes, inputs: Sequence[NDArray[np.int64]]) -> torch.Tensor:
        ids = real(self, inputs)
        for row, own in zip(ids, inputs, strict=True):
            row[:] = torch.roll(row, ids.shape[1] - own.size)
        return ids

    monkeypatch.setattr(Passes, "_padded", left)
    monkeypatch.setattr(passes, "attending_within", None)  # not callable: packed fails as well
    model = lm.load(str(folders["llama"]), LONG)
    assert model.self_test.rows == "alone"
    assert [note.split(":")[0] for note in model.self_test.notes] == ["not packed", "not padded"]
    assert_losses_are_right(model, folders["llama"])


WRONG_HEADS = {
    "none": lambda head: [],
    "without its bias": lambda head: [Head(head.weight)],
    "of another scale": lambda head: [Head(head.weight, head.bias, 0.5), Head(-head.weight)],
}


@pytest.mark.parametrize("wrong", WRONG_HEADS)
def test_without_a_right_head_all_logits_are_made_and_the_losses_are_right(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    real = selftest.candidates
    monkeypatch.setattr(
        selftest, "candidates", lambda model: WRONG_HEADS[wrong](next(iter(real(model))))
    )
    model = lm.load(str(folders["phi"]), LONG)
    assert (model.self_test.rows, model.self_test.head) == ("padded", "full")
    assert model.passes.head is None
    reason = "not a linear one" if wrong == "none" else "alone is off by"
    assert reason in model.self_test.notes[0]
    assert_losses_are_right(model, folders["phi"])


def test_a_wrong_head_is_passed_over_for_a_right_one(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = selftest.candidates

    def more(model: Any) -> Iterator[Head]:
        yield Head(torch.zeros_like(model.lm_head.weight))
        yield from real(model)

    monkeypatch.setattr(selftest, "candidates", more)
    assert lm.load(str(folders["llama"]), LONG).self_test.head == "chunked"


# What is refused


def test_weights_that_are_not_numbers_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = architectures.save("llama", tmp_path / "spoilt")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="spoilt: it gives a loss that is not a number"):
        lm.load(str(folder), LONG)


def test_a_model_whose_losses_are_never_the_same_twice_is_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, rng = Passes.nll, np.random.default_rng(0)

    def noisy(self: Passes, segments: Sequence[Segment], batch_tokens: int) -> list[Losses]:
        return [n + rng.random(n.size, np.float32) for n in real(self, segments, batch_tokens)]

    monkeypatch.setattr(Passes, "nll", noisy)
    with pytest.raises(ModelError, match=r"llama: .*losses cannot be reproduced .*not alone"):
        lm.load(str(folders["llama"]), LONG)


def test_a_bos_beyond_the_embeddings_is_no_prefix_and_the_model_is_loaded(tmp_path: Path) -> None:
    folder = architectures.save("llama", tmp_path / "more")
    tokenizer = architectures.save_tokenizer(folder)
    tokenizer.add_special_tokens({"bos_token": "<begin>"})
    tokenizer.save_pretrained(folder)
    model = lm.load(str(folder), LONG)
    assert model.tokenizer.bos_token_id == len(model.tokenizer) - 1
    assert model.prefix.token == architectures.END
    assert_losses_are_right(model, folder)


def test_a_tokenizer_with_more_ordinary_tokens_than_the_model_has_is_refused(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "short"
    LlamaForCausalLM(LlamaConfig(vocab_size=50, **architectures.SIZES)).save_pretrained(folder)
    architectures.save_tokenizer(folder)
    with pytest.raises(ModelError, match="short"):
        lm.load(str(folder), LONG)
