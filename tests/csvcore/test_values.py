import time
import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore import values
from csvcore.errors import InputError

# Names


@pytest.mark.parametrize("name", ["pythia-70m", "EleutherAI/pythia-70m@step 3", "modèle", "模型"])
def test_a_name_that_is_seen_is_kept(name: str) -> None:
    assert values.name(name, "model") == name


def test_the_two_spellings_of_an_accent_are_one_name() -> None:
    assert values.name("cafe\u0301", "model") == values.name("caf\u00e9", "model") == "caf\u00e9"


@given(st.text())
def test_an_accepted_name_is_printed_as_it_is_and_stays_the_same(text: str) -> None:
    try:
        name = values.name(text, "model")
    except InputError:
        return
    assert name.isprintable()
    assert name.strip()
    assert unicodedata.is_normalized("NFC", name)
    assert values.name(name, "model") == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "model must be a text that is not empty, got ''"),
        ("  ", "not empty"),
        (None, "not empty, got None"),
        (7, "not empty, got 7"),
        ("a\x1b[31m", r"'a\\x1b\[31m' has the invisible character U\+001B"),
        ("a\nb", r"U\+000A"),
        ("a\x00", r"U\+0000"),
        ("\u202egnp", r"U\+202E"),
        ("a\u200bb", r"U\+200B"),
        ("a\u2066b", r"U\+2066"),
        ("a\u00adb", r"U\+00AD"),
        ("\ufeffa", r"U\+FEFF"),
        ("a\u3164", r"U\+3164"),
        ("a\U000e0041", r"U\+E0041"),
    ],
)
def test_a_name_that_nobody_sees_whole_is_refused(name: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        values.name(name, "model", "models.csv line 2")


# Numbers


@given(st.integers(0, values.LARGEST_WHOLE))
def test_a_whole_number_is_read_digit_by_digit(number: int) -> None:
    assert values.whole(str(number), "n", "x") == number
    assert values.whole(number, "n", "x") == number
    assert values.whole(f"{number}.0", "n", "x") == number


def test_a_number_that_no_float_holds_is_kept() -> None:
    assert values.whole(str(2**53 + 1), "n_params", "x") == 9_007_199_254_740_993
    assert values.whole("1e9", "n_params", "x") == 10**9
    assert values.whole(10.0, "n_items", "x") == 10


@pytest.mark.parametrize(
    "value",
    [
        0,
        -5,
        10.5,
        True,
        "",
        "ten",
        "nan",
        "inf",
        "1e30",
        "1e999999999",
        None,
        [1],
        2**63,
        "9" * 5000,
    ],
)
def test_what_is_no_positive_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(
        InputError, match="x: n_items must be a whole number from 1, got "
    ) as refusal:
        values.whole(value, "n_items", "x", least=1)
    assert len(str(refusal.value)) < 200


def test_a_float_that_stands_for_several_whole_numbers_is_refused() -> None:
    with pytest.raises(InputError, match="too large to be exact"):
        values.whole(float(2**53), "n", "x")


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20))
def test_a_number_is_the_nearest_float(number: float) -> None:
    assert values.number(str(number), "a", "x") == float(number)
    assert values.number(str(Decimal(number)), "a", "x") == float(number)


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "sNaN", "1e400", "9" * 5000, True, "", "x"]
)
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="x: a must be "):
        values.number(value, "a", "x")


def test_a_repeated_name_is_found_in_linear_time() -> None:
    names = [str(i) for i in range(200_000)]
    started = time.monotonic()
    assert values.twice(names) is None
    assert values.twice([*names, "7"]) == "7"
    assert time.monotonic() - started < 5
