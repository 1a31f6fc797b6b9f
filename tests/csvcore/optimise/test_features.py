from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from csvcore.errors import InputError
from csvcore.optimise import Singles, TokenTable, features, standardise, token_features
from csvcore.optimise.features import Block
from csvcore.records import Floats, Ints

CPU = torch.device("cpu")
Loader = Callable[[Singles], NDArray[np.floating]]


def table_of(n_tokens: int, seed: int = 0, n_models: int = 4) -> TokenTable:
    rng = np.random.default_rng(seed)
    return TokenTable(
        states=rng.normal(size=(n_tokens, 3)).astype(np.float32),
        nll=rng.gamma(2.0, 0.5, (n_models, n_tokens)).astype(np.float32),
        source=np.arange(n_tokens) % 2,
        n_sources=2,
        pulls=rng.uniform(0.5, 1.5, (2, n_tokens)).astype(np.float32),
        n_chars=4 * n_tokens,
    )


def decaying(n_tokens: int, width: int, seed: int = 0) -> Singles:
    """States whose units are mixed, so that principal directions differ in weight."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(n_tokens, width)) / np.sqrt(1.0 + np.arange(width))
    mixed = own @ np.linalg.qr(rng.normal(size=(width, width)))[0]
    return np.asarray(mixed * rng.uniform(0.1, 9.0, width) + rng.normal(size=width), np.float32)


def blocks(table: TokenTable, rows: Ints) -> list[Block]:
    """All blocks of a table."""
    return list(table.blocks(rows, CPU, range(0, table.source.size, features.BLOCK)))


def gram(states: NDArray[np.floating]) -> Floats:
    """Inner products of all tokens: what a head can see, whatever the basis."""
    wide = states.astype(np.float64)
    return np.asarray(wide @ wide.T)


@pytest.fixture(params=["r", "r+", "c"])
def mapped(request: pytest.FixtureRequest, tmp_path: Path) -> Loader:
    """Puts an array on disk and opens it as a memory map."""

    def load(array: Singles) -> NDArray[np.floating]:
        path = tmp_path / f"{id(array)}.npy"
        np.save(path, array)
        found: NDArray[np.floating] = np.load(path, mmap_mode=request.param)
        return found

    return load


def set_block(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Make blocks of this many tokens, wide ones too."""
    monkeypatch.setattr(features, "BLOCK", size)
    monkeypatch.setattr(features, "_wide_block", lambda hidden: size - 3)
    monkeypatch.setattr(features.over_tokens, "__defaults__", (None, size))


@pytest.fixture(autouse=True)
def many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    set_block(monkeypatch, 32)
    monkeypatch.setattr(features, "HELD_BLOCKS", 2)


# By hand


def test_features_of_two_units_worked_by_hand() -> None:
    # standardised: (-1, 1), (1, -1), the dead unit gone; the squared length of a row is 2
    hidden = np.array([[1.0, 7.0, 5.0], [3.0, 7.0, 1.0]], dtype=np.float32)
    assert_allclose(token_features(hidden), np.array([[-1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0))


def test_a_head_has_a_number_for_each_direction_and_each_source() -> None:
    table = table_of(5)
    assert table.n_features == 3 + 2
    [block] = blocks(table, np.arange(4))
    assert_allclose(block.states, table.states)
    assert_array_equal(block.own, [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]])
    assert_array_equal(block.nll, table.nll)
    assert_array_equal(block.pulls, table.pulls)


def test_a_block_applies_heads_to_its_features_and_carries_gradients_back() -> None:
    [block] = blocks(table_of(20), np.arange(4))
    wide = torch.cat([block.states, block.own], dim=1)
    coefficients = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    assert_allclose(block.logits(coefficients), wide @ coefficients, rtol=1e-5, atol=1e-6)
    total = torch.ones(4, 5)
    block.add_gradients(block.nll, total)
    assert_allclose(total, 1.0 + block.nll @ wide, rtol=1e-5, atol=1e-6)


# Features


@given(st.integers(2, 100), st.integers(1, 9), st.integers(0, 1000))
def test_features_are_standardised_states_of_mean_squared_length_1(
    n_tokens: int, width: int, seed: int
) -> None:
    hidden = decaying(n_tokens, width, seed)
    found = token_features(hidden)
    assert found.shape == (n_tokens, width)
    assert found.dtype == np.float32
    assert np.square(found, dtype=np.float64).sum(axis=1).mean() == pytest.approx(1.0, rel=1e-5)
    if n_tokens > 2:  # float32 knows a deviation to 1e-7 of the unit's mean
        assert_allclose(found * np.sqrt(width), standardise(hidden), atol=1e-3)


def test_a_shift_or_a_scale_of_a_unit_changes_nothing() -> None:
    hidden = decaying(100, 6)
    moved = hidden * np.array([1, 2, -3, 0.1, 5, 1]) + np.array([0, 9, 1, -1, 100, 2])
    assert_allclose(gram(token_features(moved)), gram(token_features(hidden)), atol=1e-4)


def test_units_that_do_not_vary_are_dropped() -> None:
    hidden = decaying(100, 6)
    hidden[:, [1, 4]] = 3.0
    rest = token_features(hidden[:, [0, 2, 3, 5]])
    assert_allclose(token_features(hidden), rest, atol=1e-6)
    assert token_features(hidden, rank=4).shape == (
        100,
        4,
    )  # not wider than the rank, so not turned
    assert_allclose(token_features(hidden, rank=4), rest, atol=1e-6)


def test_the_projection_spans_the_leading_principal_directions() -> None:
    rng = np.random.default_rng(0)
    strong = rng.normal(size=(400, 8)) @ rng.normal(size=(8, 40))
    hidden = np.asarray(strong + 0.5 * rng.normal(size=(400, 40)), dtype=np.float32)
    standard = standardise(hidden.astype(np.float64))
    _, sizes, right = np.linalg.svd(standard, full_matrices=False)
    # the rest is sixteen directions longer than what is kept, and falls with the sixth power
    assert (sizes[8] / sizes[7]) ** 6 < 0.01
    kept = standard @ right[:8].T
    kept /= np.sqrt(np.square(kept).sum(axis=1).mean())
    found = token_features(hidden, rank=8)
    assert found.shape == (400, 8)
    assert_allclose(gram(found), gram(kept), atol=1e-3)


def test_without_a_rank_the_whole_width_is_kept() -> None:
    hidden = decaying(300, 140)
    assert token_features(hidden, rank=None).shape == (300, 140)
    assert token_features(hidden).shape == (300, features.RANK)
    assert_allclose(
        token_features(hidden, rank=None) * np.sqrt(140), standardise(hidden), atol=1e-3
    )  # as above


def test_few_tokens_in_a_wide_space_keep_all_that_tells_them_apart() -> None:
    # 40 centred tokens span at most 39 directions; the rest of the columns may only be zeros
    hidden = decaying(40, 90)
    found = token_features(hidden, rank=60)
    assert_allclose(gram(found), gram(token_features(hidden, rank=None)), atol=1e-4)


def test_few_tokens_in_a_wide_space_get_as_many_columns_as_documented() -> None:
    # FAILS with (40, 40): the SVD of a sample of 40 tokens has 40 directions; an `out` of the
    # documented shape is then refused by numpy.
    assert token_features(decaying(40, 90), rank=60).shape == (40, 60)


def test_half_precision_changes_next_to_nothing() -> None:
    hidden = decaying(200, 20)
    half = token_features(hidden.astype(np.float16), rank=8)
    # float16 rounds by 5e-4, of units whose mean may be ten times their deviation
    assert_allclose(gram(half), gram(token_features(hidden, rank=8)), atol=0.05)
    assert_allclose(
        half, token_features(hidden.astype(np.float16).astype(np.float32), rank=8), atol=1e-6
    )


@pytest.mark.parametrize("rank", [None, 8])
def test_features_of_a_memory_map_are_those_of_the_array(mapped: Loader, rank: int | None) -> None:
    hidden = decaying(200, 20)
    assert_array_equal(token_features(mapped(hidden), rank), token_features(hidden, rank))


def test_features_can_be_written_to_disk(tmp_path: Path) -> None:
    hidden = decaying(200, 20)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, (200, 8))
    assert token_features(hidden, 8, out) is out
    out.flush()
    assert_array_equal(np.load(tmp_path / "out.npy"), token_features(hidden, 8))


def test_the_size_of_a_block_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = decaying(200, 20)
    small = token_features(hidden, 8)
    set_block(monkeypatch, 1000)
    assert_allclose(token_features(hidden, 8), small, atol=1e-4)  # float32 sums in another order


def test_the_global_random_state_plays_no_part() -> None:
    hidden = decaying(200, 20)
    torch.manual_seed(1)
    one = token_features(hidden, 8)
    torch.manual_seed(2)
    assert_array_equal(token_features(hidden, 8), one)


# Blocks


@given(st.integers(1, 200), st.permutations(range(4)), st.integers(1, 4))
def test_blocks_cover_each_token_once_and_give_the_models_asked_for(
    n_tokens: int, order: list[int], n_rows: int
) -> None:
    table = table_of(n_tokens)
    rows = np.sort(np.array(order[:n_rows]))
    parts = blocks(table, rows)
    assert all(0 < part.states.shape[0] <= 32 for part in parts)
    assert_array_equal(torch.cat([part.states for part in parts]), table.states)
    assert_array_equal(torch.cat([part.own for part in parts]).argmax(1), table.source)
    assert_array_equal(torch.cat([part.nll for part in parts], 1), table.nll[rows])
    assert_array_equal(torch.cat([part.pulls for part in parts], 1), table.pulls)


def test_no_models_asked_for_give_no_losses() -> None:
    assert all(block.nll.shape[0] == 0 for block in blocks(table_of(100), np.arange(0)))


def test_half_precision_states_come_as_single() -> None:
    table = table_of(100)
    half = replace(table, states=table.states.astype(np.float16))
    for one, two in zip(blocks(half, np.arange(4)), blocks(table, np.arange(4)), strict=True):
        assert one.states.dtype == torch.float32
        assert_allclose(one.states, two.states, rtol=1e-3, atol=1e-6)


# FAILS for mode "r" and 20 tokens with "The given NumPy array is not writable": blocks hands torch
# the losses of a read-only map as they are where one block holds all tokens (features.py).
@pytest.mark.parametrize("n_tokens", [20, 100])
def test_blocks_of_memory_maps_are_those_of_the_arrays(mapped: Loader, n_tokens: int) -> None:
    table = table_of(n_tokens)
    on_disk = replace(table, states=mapped(table.states), nll=mapped(table.nll))
    for rows in (np.arange(4), np.array([1, 3])):
        for one, two in zip(blocks(on_disk, rows), blocks(table, rows), strict=True):
            assert_array_equal(one.states, two.states)
            assert_array_equal(one.nll, two.nll)


def test_what_was_written_to_a_copy_on_write_map_is_not_forgotten(tmp_path: Path) -> None:
    table = table_of(100)
    np.save(tmp_path / "nll.npy", table.nll)
    nll = np.load(tmp_path / "nll.npy", mmap_mode="c")
    nll *= 2.0
    changed = torch.cat([part.nll for part in blocks(replace(table, nll=nll), np.arange(4))], 1)
    assert_allclose(changed, 2.0 * table.nll)


@given(st.integers(0, 300), st.integers(1, 5))
def test_threads_share_all_blocks_and_answer_in_order(n_tokens: int, n_threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        shares = features.over_tokens(n_tokens, list)
        assert torch.get_num_threads() == n_threads
        whole = features.over_tokens(n_tokens, list, torch.device("meta"))
    finally:
        torch.set_num_threads(before)
    assert [at for share in shares for at in share] == list(range(0, n_tokens, 32))
    assert len(shares) <= n_threads
    assert whole == [list(range(0, n_tokens, 32))]  # a GPU has threads enough


def test_an_error_in_a_thread_is_not_lost_and_torch_gets_its_threads_back() -> None:
    def work(starts: range) -> int:
        raise InputError(f"no block at {starts[0]}")

    before = torch.get_num_threads()
    with pytest.raises(InputError, match="no block at 0"):
        features.over_tokens(100, work)
    assert torch.get_num_threads() == before


# Refusals


def test_states_of_tokens_that_are_all_alike_are_refused() -> None:
    with pytest.raises(InputError, match=r"hidden states of 9 tokens do not vary; use another"):
        token_features(np.ones((9, 4), dtype=np.float32))


@pytest.mark.parametrize(
    ("part", "value", "sizes"),
    [
        ("nll", np.ones((4, 9), dtype=np.float32), "9, 10, 10"),
        ("source", np.zeros(8, dtype=np.int64), "10, 8, 10"),
        ("pulls", np.ones((2, 11), dtype=np.float32), "10, 10, 11"),
    ],
)
def test_parts_of_different_tokens_are_refused(
    part: str, value: NDArray[np.generic], sizes: str
) -> None:
    message = rf"hidden states of 10 tokens, but losses, sources and pulls of \({sizes}\)"
    with pytest.raises(InputError, match=message):
        replace(table_of(10), **{part: value})  # type: ignore[arg-type]
