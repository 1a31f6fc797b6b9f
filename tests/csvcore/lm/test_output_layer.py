from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import Tensor

from csvcore.lm import output_layer
from csvcore.lm.output_layer import Head

CHUNK = 16


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_layer, "CHUNK", CHUNK)
        yield


def exact(made: Head, hidden: Tensor, targets: Tensor) -> Any:
    """The definition, in float64 and with all logits at once."""
    logits = hidden.double() @ made.weight.double().T
    if made.bias is not None:
        logits = logits + made.bias.double()
    logits = logits * made.scale
    if made.cap is not None:
        logits = made.cap * torch.tanh(logits / made.cap)
    return -logits.log_softmax(-1).gather(1, targets[:, None])[:, 0].numpy()


def test_two_logits_by_hand() -> None:
    made = Head(torch.tensor([[1.0], [3.0]]))
    found = made.nll(torch.tensor([[1.0], [1.0]]), torch.tensor([0, 1]))
    # logits 1 and 3: ln(1 + e^2) and ln(1 + e^-2)
    assert_allclose(found, [2.126928, 0.126928], rtol=1e-5)


def test_scale_comes_before_the_cap_and_bias_before_both() -> None:
    made = Head(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, -3.0]), 0.5, 4.0)
    wanted = 4.0 * np.tanh(0.5 * np.array([2.0 + 1.0, 4.0 - 3.0]) / 4.0)
    assert_allclose(made.logits(torch.tensor([[2.0]]))[0], wanted, rtol=1e-6)


@given(
    seed=st.integers(0, 2**31),
    n_vocab=st.sampled_from([1, 2, 15, 16, 17, 31, 32, 33, 40]),
    n_tokens=st.integers(0, 6),
    bias=st.booleans(),
    scale=st.sampled_from([1.0, 0.0625, 3.0]),
    cap=st.sampled_from([None, 0.5, 30.0]),
    size=st.sampled_from([0.0, 1.0, 30.0]),
)
def test_the_nll_is_that_of_a_float64_log_softmax_however_the_vocabulary_is_cut(
    seed: int,
    n_vocab: int,
    n_tokens: int,
    bias: bool,
    scale: float,
    cap: float | None,
    size: float,
) -> None:
    rng = torch.Generator().manual_seed(seed)
    hidden = size * torch.randn(n_tokens, 8, generator=rng)
    made = Head(
        torch.randn(n_vocab, 8, generator=rng),
        torch.randn(n_vocab, generator=rng) if bias else None,
        scale,
        cap,
    )
    targets = torch.randint(n_vocab, (n_tokens,), generator=rng)
    found = made.nll(hidden, targets)
    assert found.dtype == torch.float32
    assert_allclose(found.numpy(), exact(made, hidden, targets), rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_reduced_in_float32(dtype: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(1)
    made = Head(torch.randn(100, 32, generator=rng).to(dtype))
    hidden = torch.randn(20, 32, generator=rng).to(dtype)
    targets = torch.randint(100, (20,), generator=rng)
    # to 2e-5: had the logits been rounded to 8 or 11 bits, 1e-3 at best
    assert_allclose(made.nll(hidden, targets), exact(made, hidden, targets), atol=2e-5)


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_stay_finite(size: float) -> None:
    weight = torch.linspace(-1, 1, 40)[:, None] * size
    targets = torch.tensor([0, 20, 39])
    made = Head(weight)
    found = made.nll(torch.ones(3, 1), targets)
    assert torch.isfinite(found).all()
    assert_allclose(found, exact(made, torch.ones(3, 1), targets), rtol=1e-6)


def test_states_that_are_not_numbers_give_losses_that_are_not_numbers() -> None:
    found = Head(torch.ones(40, 1)).nll(torch.tensor([[torch.nan], [1.0]]), torch.tensor([3, 3]))
    assert torch.isnan(found[0])
    assert found[1] == pytest.approx(np.log(40))


@pytest.mark.parametrize("target", [40, 48])
def test_a_target_outside_the_vocabulary_never_gets_a_finite_loss(
    monkeypatch: pytest.MonkeyPatch, target: int
) -> None:
    # the last token of a text is a target and no input, so no embedding refuses it
    def stale(like: Tensor) -> Tensor:  # what uninitialised memory may hold
        return torch.full_like(like, 1.5)

    monkeypatch.setattr(torch, "empty_like", stale)
    try:
        found = Head(torch.ones(40, 1)).nll(torch.ones(1, 1), torch.tensor([target]))
    except (IndexError, ValueError):
        return
    assert not torch.isfinite(found).any()


def test_a_plain_head_is_tried_before_the_settings_that_may_change_it() -> None:
    class Settings:
        logit_scale = 0.25
        logits_scaling = 1
        final_logit_softcapping = 30.0
        softcap = None

        def get_text_config(self, decoder: bool) -> "Settings":
            return self

    class Model:
        config = Settings()
        layer = torch.nn.Linear(4, 6)

        def get_output_embeddings(self) -> torch.nn.Linear:
            return self.layer

    found = [(one.scale, one.cap) for one in output_layer.candidates(Model())]
    assert found[0] == (1.0, None)
    assert set(found) == {(s, c) for s in (1.0, 0.25, 4.0) for c in (None, 30.0)}
    assert all(one.bias is not None for one in output_layer.candidates(Model()))


def test_an_output_layer_that_is_not_linear_has_no_candidates() -> None:
    class Model:
        def get_output_embeddings(self) -> torch.nn.Module:
            return torch.nn.Sequential(torch.nn.Linear(4, 6))

    assert list(output_layer.candidates(Model())) == []
