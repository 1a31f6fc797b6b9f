"""Laws of token types: a case by hand, pandas as a second opinion, conservation, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.analysis.token_types import by_type
from csvcore.errors import InputError

TOKENS = st.lists(
    st.tuples(st.sampled_from(["a", " a", "A", "7", "\n"]), st.floats(-1e3, 1e3)), min_size=1
)


def test_worked_example() -> None:
    found = by_type([" the", "7", " the", "7", "x"], np.array([0.5, 4.0, 1.5, -2.0, -9.0]))
    assert [(one.text, one.count, one.mean, one.median) for one in found] == [
        ("x", 1, -9.0, -9.0),
        (" the", 2, 1.0, 1.0),
        ("7", 2, 1.0, 1.0),
    ]
    assert [one.example for one in found] == [4, 2, 1]  # the largest, or the first of equals
    assert found[0].spread is None
    assert found[0].share == pytest.approx(9 / 17)
    assert found[2].spread == pytest.approx(np.sqrt(18.0))


def test_a_type_that_is_too_rare_is_left_out() -> None:
    assert [one.text for one in by_type(["a", "b", "a"], np.ones(3), least=2)] == ["a"]
    assert by_type(["a", "b", "a"], np.ones(3), least=3) == []


def test_no_weight_has_no_shares() -> None:
    assert [one.share for one in by_type(["a", "b"], np.zeros(2))] == [None, None]


@given(TOKENS)
def test_types_agree_with_pandas_and_lose_no_token(tokens: list[tuple[str, float]]) -> None:
    texts = [text for text, _ in tokens]
    values = np.array([value for _, value in tokens])
    found = {one.text: one for one in by_type(texts, values)}
    assert sum(one.count for one in found.values()) == len(tokens)
    grouped = pd.Series(values).groupby(texts)
    for text, mean in grouped.mean().items():
        assert found[str(text)].mean == pytest.approx(mean)
        assert found[str(text)].median == pytest.approx(grouped.median()[text])
        assert texts[found[str(text)].example] == text
    means = [abs(one.mean) for one in by_type(texts, values)]
    assert means == sorted(means, reverse=True)
    if np.abs(values).sum() > 0:
        assert sum(one.share or 0.0 for one in found.values()) == pytest.approx(1.0)


def test_what_cannot_be_grouped_is_refused() -> None:
    with pytest.raises(InputError, match="at least once, got 0; give 1 or more"):
        by_type(["a"], np.ones(1), least=0)
    with pytest.raises(InputError, match="2 values for 1 tokens"):
        by_type(["a"], np.ones(2))
