import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from csvcore.errors import InputError
from csvcore.records import SIDES, ModelCard, Side
from csvcore.splits import by_size, check_split, leaks, leave_one_family_out, run_name, run_of
from tests.support.cards import card, zoos

# By hand


def test_the_largest_size_tests_the_next_validates_and_the_others_train() -> None:
    cards = [card("A", 7), card("A", 70), card("A", 13), card("A", 1)]
    assert by_size(cards) == {
        "A-7": "train",
        "A-70": "test",
        "A-13": "validation",
        "A-1": "train",
    }


def test_a_family_of_two_sizes_has_no_validation_and_of_one_size_trains() -> None:
    cards = [card("A", 7), card("A", 70), card("B", 400)]
    assert by_size(cards) == {"A-7": "train", "A-70": "test", "B-400": "train"}


def test_checkpoints_and_chat_models_of_one_size_stand_on_one_side() -> None:
    cards = [card("A", 1), card("A", 7, stage="base"), card("A", 7, stage="chat"), card("A", 9)]
    assert by_size(cards)["A-7-base"] == by_size(cards)["A-7-chat"] == "validation"


def test_the_family_left_out_tests_and_the_largest_of_each_other_validates() -> None:
    cards = [card("A", 1), card("A", 9), card("B", 1), card("B", 2), card("B", 3)]
    assert leave_one_family_out(cards, "A") == {
        "A-1": "test",
        "A-9": "test",
        "B-1": "train",
        "B-2": "train",
        "B-3": "validation",
    }


def test_of_a_family_without_sizes_all_train_when_another_is_left_out() -> None:
    cards = [card("A", 1), ModelCard("closed-1", "C"), ModelCard("closed-2", "C")]
    assert leave_one_family_out(cards, "A") == {
        "A-1": "test",
        "closed-1": "train",
        "closed-2": "train",
    }


def test_a_repetition_is_a_run_of_its_own_and_no_leak_of_the_run_it_repeats() -> None:
    first, again = card("A", 7, 100), card("A", 7, 100, run="seed2")
    later, elsewhere = card("A", 7, 200, run="seed2"), card("B", 7, 100, run="seed2")
    assert len({run_of(one) for one in (first, again, elsewhere)}) == 3
    assert run_of(again) == run_of(later)
    assert [run_name(one) for one in (first, again)] == ["A 7", "A 7 (seed2)"]
    assert leaks([first, again], {first.model: "train", again.model: "test"}) == []
    assert leaks([again, later], {again.model: "train", later.model: "test"}) == [
        "Checkpoints of one run (A, 7, (seed2)) stand in test and in train."
    ]


def test_a_run_is_not_taken_for_a_stage_of_the_same_name() -> None:
    cards = [card("A", 7, 1, stage="x"), card("A", 7, 1, run="x"), card("A", 7, 1)]
    assert len({run_name(one) for one in cards}) == len({run_of(one) for one in cards}) == 3


def test_checkpoints_of_one_run_on_both_sides_are_named_as_a_leak() -> None:
    cards = [card("A", 7, 100), card("A", 7, 200), card("A", 7, 300), card("A", 1, 300)]
    split: dict[str, Side] = {
        **{"A-7-100": "train", "A-7-200": "validation", "A-7-300": "test", "A-1-300": "train"}
    }
    sentence = "Checkpoints of one run (A, 7) stand in test and in train{}."
    assert leaks(cards, split) == [sentence.format(" and validation")]
    assert leaks(cards, split | {"A-7-200": "train"}) == [sentence.format("")]


def test_train_and_validation_may_share_a_run_and_models_outside_the_split_leak_nothing() -> None:
    cards = [card("A", 7, 100), card("A", 7, 200), card("A", 7, 300)]
    assert leaks(cards, {"A-7-100": "train", "A-7-200": "validation"}) == []
    assert leaks(cards, {"A-7-300": "test"}) == []


def test_a_run_is_a_family_a_size_and_a_stage_and_a_model_without_a_step_its_own() -> None:
    assert run_of(card("A", 7, 100)) == run_of(card("A", 7, 200))
    others = [card("A", 7, 1), card("B", 7, 1), card("A", 8, 1), card("A", 7, 1, "chat")]
    assert len({run_of(other) for other in [*others, card("A", 7)]}) == 5


def test_a_run_is_named_by_what_is_known_of_it() -> None:
    assert run_name(card("pythia", 1_400_000_000, 100)) == "pythia 1400000000"
    assert run_name(card("pythia", 7, 100, "chat")) == "pythia 7 chat"
    assert run_name(card("pythia", None, 100)) == "pythia"
    assert run_name(card("A", 7)) == "A-7"  # a model without a step


def test_a_checked_split_is_the_split() -> None:
    split = {"a": "train", "b": "train", "c": "train", "d": "validation", "e": "test"}
    assert check_split(split, "abcdef") == split


# Properties


@given(zoos)
def test_by_size_puts_small_before_large_and_one_size_on_one_side(cards: list[ModelCard]) -> None:
    split = by_size(cards)
    assert split.keys() == {one.model for one in cards}
    for family in {one.family for one in cards}:
        placed = {(one.n_params or 0, split[one.model]) for one in cards if one.family == family}
        sizes, sides = zip(*sorted(placed), strict=True)
        assert len(set(sizes)) == len(sizes)
        assert list(sides) == sorted(sides, key=SIDES.index)
        assert sides[0] == "train"
        assert sides.count("test") == (len(sizes) > 1)
        assert sides.count("validation") == (len(sizes) > 2)


@given(zoos)
def test_by_size_never_leaks(cards: list[ModelCard]) -> None:
    assert leaks(cards, by_size(cards)) == []


@given(zoos, st.sampled_from("ABCD"))
def test_the_family_left_out_and_no_other_tests(cards: list[ModelCard], family: str) -> None:
    families = {one.family for one in cards}
    assume(family in families and len(families) > 1)
    split = leave_one_family_out(cards, family)
    assert {one.model for one in cards if one.family == family} == {
        model for model, side in split.items() if side == "test"
    }
    for other in families - {family}:
        largest = max(one.n_params or 0 for one in cards if one.family == other)
        for one in (one for one in cards if one.family == other):
            assert split[one.model] == ("validation" if one.n_params == largest else "train")


# Refusals


def test_by_size_refuses_a_model_of_unknown_size() -> None:
    with pytest.raises(InputError, match="by-size needs n_params of every model; closed has none"):
        by_size([card("A", 1), ModelCard("closed", "C")])


def test_a_family_that_is_not_there_or_is_all_there_is_cannot_be_left_out() -> None:
    with pytest.raises(InputError, match="cannot leave out 'Z'; the families are A, B"):
        leave_one_family_out([card("B", 1), card("A", 1)], "Z")
    with pytest.raises(InputError, match="cannot leave out 'A'; the families are A"):
        leave_one_family_out([card("A", 1), card("A", 2)], "A")


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"a": "train", "z": "train"}, "names the model 'z', which is not in models.csv"),
        ({"a": "dev"}, "a: split must be one of train, validation, test, got 'dev'"),
        ({"a": "train", "b": "train", "c": "test"}, "at least 3 train models, got 2; add some"),
        ({}, "at least 3 train models, got 0; add some"),
    ],
)
def test_a_split_that_cannot_be_used_is_refused(split: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_split(split, "abc")
