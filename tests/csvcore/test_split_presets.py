"""Laws of the presets that a split can start from, and of what counts as the same model twice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.errors import InputError
from csvcore.formats import csv_tables
from csvcore.records import ModelCard, Side
from csvcore.splits import TABLE_2, closed_source, copies, leaks, of_stage, run_of, sisters, table_2
from tests.support.cards import card, zoos

ZOO = Path(__file__).parents[2] / "data" / "zoo"
STEPS = (100, 200, 300, 400)


def sister_cards(n_steps: int = 3) -> list[ModelCard]:
    steps = STEPS[:n_steps]
    return [card(family, 7, step) for family in "ABC" for step in steps] + [card("D", 9)]


# Closed source


def test_first_checkpoints_of_the_sisters_train_and_later_ones_validate_and_test() -> None:
    split = closed_source(sister_cards(), "A", "B", n_first=1)
    assert [split[f"A-7-{step}"] for step in STEPS[:3]] == ["train", "validation", "validation"]
    assert [split[f"B-7-{step}"] for step in STEPS[:3]] == ["train", "test", "test"]
    assert {split[f"C-7-{step}"] for step in STEPS[:3]} == {"train"} == {split["D-9"]}


def test_a_sisters_model_without_a_step_trains() -> None:
    split = closed_source([*sister_cards(), ModelCard("B-final", "B", n_params=70)], "A", "B", 1)
    assert split["B-final"] == "train"


@given(zoos, st.integers(0, 3))
def test_only_later_checkpoints_of_the_sisters_are_held_out(
    cards: list[ModelCard], n_first: int
) -> None:
    expected = {}
    for one in cards:
        own = [other for other in cards if run_of(other) == run_of(one)]
        before = sum((other.step or 0) < (one.step or 0) for other in own)
        held_out = one.family in "AB" and one.step is not None and before >= n_first
        side = {"A": "validation", "B": "test"}.get(one.family, "train")
        expected[one.model] = side if held_out else "train"
    if {"validation", "test"} <= {*expected.values()}:
        assert closed_source(cards, "A", "B", n_first) == expected
    else:  # no two sisters with later checkpoints
        with pytest.raises(InputError):
            closed_source(cards, "A", "B", n_first)


def test_the_bundled_closed_source_split_is_this_preset() -> None:
    cards = csv_tables.read_models(ZOO / "models.csv")
    cards = [card for card in cards if card.run is None and card.stage == "stable"]
    stored = csv_tables.read_split(ZOO / "splits" / "closed-source.csv")
    assert closed_source(cards, "ebb", "flow") == stored


def test_the_sisters_that_are_proposed_share_the_most_sizes() -> None:
    cards = [card("x", 1), card("a", 1), card("a", 2), card("x", 2), card("z", 1)]
    assert sisters(cards) == ("a", "x")
    assert sisters(cards[3:]) == ("x", "z")  # none has another's size: the last two
    assert sisters(cards[1:3]) == ("a", "a")
    zoo = sisters(csv_tables.read_models(ZOO / "models.csv"))
    assert zoo == ("ebb", "flow")


@pytest.mark.parametrize(("one", "other"), [("A", "A"), ("A", "Z"), ("Z", "B")])
def test_sisters_must_be_two_families_that_are_there(one: str, other: str) -> None:
    with pytest.raises(InputError, match=r"needs two sister families, .* families are A, B, C, D"):
        closed_source(sister_cards(), one, other)


def test_sisters_without_later_checkpoints_are_refused() -> None:
    with pytest.raises(InputError, match=r"no run of A has more than 3 checkpoints.*validation"):
        closed_source(sister_cards(), "A", "B", n_first=3)


# Table 2


def test_table_2_is_found_whatever_the_models_are_called() -> None:
    names = {
        "meta-llama/Llama-2-7b-hf": "train",
        "Meta-Llama-3-70B-Instruct": "test",
        "llama3-8b": "train",
        "internlm2.5-20b-chat": "test",
        "INTERNLM2-20B": "validation",
        "01-ai/Yi-34B-Chat": "validation",
        "google/gemma-2-2b-it": "train",
    }
    split, missing = table_2([ModelCard(name, "any") for name in [*names, "gpt2", "Yi-34"]])
    assert split == names
    assert len(missing) + len(split) == 61
    assert "Qwen2-72B" in missing
    assert not {"Llama-2-7b", "Yi-34B-Chat"} & set(missing)


def test_every_name_of_table_2_finds_itself_and_no_other() -> None:
    names = [name for side in TABLE_2.values() for name in side.split()]
    split, missing = table_2([ModelCard(name, "any") for name in names])
    assert missing == []
    assert split == {name: side for side, names in TABLE_2.items() for name in names.split()}


def test_models_that_the_table_does_not_name_stay_out() -> None:
    split, missing = table_2(sister_cards())
    assert split == {}
    assert len(missing) == 61


# Stages


@given(st.lists(st.sampled_from(["base", "chat", None]), min_size=1, max_size=8))
def test_a_stage_keeps_its_own_models_and_no_others(stages: list[str | None]) -> None:
    cards = [card("A", size, stage=stage) for size, stage in enumerate(stages)]
    if "chat" not in stages:
        with pytest.raises(InputError, match="no model is of stage 'chat'"):
            of_stage(cards, "chat")
        return
    chosen = of_stage(cards, "chat")
    assert [one for one in cards if one in chosen] == chosen
    assert {one.stage for one in chosen} == {"chat"}
    assert {one.stage for one in cards if one not in chosen} <= {"base", None}


# The same model twice


def test_a_copy_in_test_and_in_train_is_named_as_a_leak() -> None:
    cards = [card("A", 1), card("B", 1), card("C", 1)]
    split: dict[str, Side] = {"A-1": "train", "B-1": "test", "C-1": "test"}
    weights = {"A-1": "x", "B-1": "x", "C-1": "y"}
    sentence = "A-1 and B-1 are the same model, and stand in test and in another side."
    assert leaks(cards, split, [weights]) == [sentence]
    assert leaks(cards, split | {"A-1": "test"}, [weights]) == []
    assert leaks(cards, {"A-1": "train", "C-1": "test"}, [weights]) == []
    assert leaks(cards, split) == []


def test_copies_by_weights_and_by_losses_are_named_once() -> None:
    same = {"b": "x", "a": "x", "c": "y"}
    assert copies([same, same]) == [("a", "b")]
    assert copies([{"a": "x", "b": "y"}]) == copies([]) == []
