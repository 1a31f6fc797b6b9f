"""Equal budgets and honest differences of mixes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from csvcore.analysis import mix_search
from csvcore.analysis.mix_search import differences, fill
from csvcore.records import Mix

sizes = st.lists(st.integers(1, 50), min_size=1, max_size=12)
SOURCES = st.dictionaries(st.sampled_from("abcd"), sizes, min_size=1)


def mix(*errors: float) -> Mix:
    return Mix("t", {"a": 1.0}, ("d",), 10, float(np.mean(errors or [0])), None, None, None, None,
               errors)  # fmt: skip


def test_a_case_worked_by_hand() -> None:
    given = {"a": [5, 9, 3], "b": [4, 20]}
    # half of 20 each: 5 and 3 of a (9 does not fit), 4 of b; 8 are left, and nothing else fits
    assert fill(given, {"a": 1.0, "b": 1.0}, 20) == {"a": [0, 2], "b": [0]}
    # of 24 a has 5 and 3 again, b 4; the 9 of a then fits into the 12 that are left
    assert fill(given, {"a": 1.0, "b": 1.0}, 24) == {"a": [0, 1, 2], "b": [0]}
    # b alone has only the 4 that fit
    assert fill(given, {"b": 1.0}, 19) == {"b": [0]}


@given(SOURCES, st.integers(1, 400), st.data())
def test_a_budget_is_spent_as_far_as_whole_documents_go(
    given: dict[str, list[int]], budget: int, data: st.DataObject
) -> None:
    shares = {source: data.draw(st.sampled_from([0.5, 1.0, 2.0])) for source in given}
    taken = fill(given, shares, budget)
    spent = sum(given[source][at] for source, rows in taken.items() for at in rows)
    assert spent <= budget
    left = [
        size for source in given for at, size in enumerate(given[source]) if at not in taken[source]
    ]
    assert all(size > budget - spent for size in left)  # none of the others would fit
    assert all(rows == sorted(set(rows)) for rows in taken.values())


@given(SOURCES)
def test_a_budget_of_everything_takes_everything(given: dict[str, list[int]]) -> None:
    whole = sum(map(sum, given.values()))
    taken = fill(given, dict.fromkeys(given, 1.0), whole)
    assert taken == {source: list(range(len(rows))) for source, rows in given.items()}


def test_differences_are_those_of_paired_errors() -> None:
    best, other = mix(0.05, 0.06, 0.04, 0.07), mix(0.06, 0.09, 0.05, 0.09)
    own, found = differences([best, other])
    assert (own.difference, own.low, own.high) == (0.0, 0.0, 0.0)
    assert found.difference == pytest.approx(0.0175)
    interval = ttest_rel(other.errors, best.errors).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx(tuple(interval))
    assert found.verdict == "worse"


def test_mixes_that_differ_by_chance_are_not_distinguishable() -> None:
    best = mix(0.05, 0.06, 0.04)
    tried = [best, mix(0.06, 0.05, 0.05), mix(0.05), mix(), mix(0.15, 0.16, 0.145)]
    assert [one.verdict for one in differences(tried)[1:]] == [
        "not distinguishable", "unknown", "unknown", "worse",
    ]  # fmt: skip
    assert mix_search.alike(tried) == 1


def test_a_mix_is_full_where_documents_are_left_or_little_is_missing() -> None:
    assert mix_search.is_full(80, 200, 100)  # what is left does not fit
    assert mix_search.is_full(95, 95, 100)
    assert not mix_search.is_full(94, 94, 100)
    assert not mix_search.is_full(0, 200, 100)


def test_the_number_of_mixes_is_at_most() -> None:
    assert mix_search.growing(3) == 3 + 2 + 1
    assert mix_search.most_mixes(3) == 6 + 3 * 2 * 3
