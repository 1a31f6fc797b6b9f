"""Laws of the verdict: whether CSV is better than its rivals, surely, or not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import CARDS, FIT

from csvcore.errors import InputError
from csvcore.judging import Comparison, Verdict, judge, judge_fits, verdict

TRUE = np.linspace(0.1, 0.9, 8)
RUNS = [(str(i // 2),) for i in range(8)]


def rows(**off: float) -> list[Comparison]:
    """Methods that are off by so much on every model."""
    csv = TRUE + off["csv"] if "csv" in off else None
    return [judge("t", name, TRUE, TRUE + by, RUNS, None, csv) for name, by in off.items()]


def test_csv_is_surely_better_where_every_interval_of_the_difference_lies_above_0() -> None:
    found = rows(csv=0.01, sibling=0.2, compute=0.1)
    assert verdict(found, ["sibling", "compute"]) == Verdict("better", "compute")


def test_a_rival_with_a_smaller_or_the_same_error_decides() -> None:
    found = rows(csv=0.1, sibling=0.1, compute=0.05)
    assert verdict(found, ["sibling", "compute"]) == Verdict("worse", "compute")
    assert verdict(found, ["sibling"]) == Verdict("worse", "sibling")


def test_better_but_not_surely_is_said_where_the_difference_may_be_chance() -> None:
    csv = TRUE + np.where(np.arange(8) < 4, 0.01, 0.2)
    other = TRUE + np.where(np.arange(8) < 4, 0.25, 0.01)
    found = [judge("t", n, TRUE, p, RUNS, None, csv) for n, p in (("csv", csv), ("compute", other))]
    assert verdict(found, ["compute"]) == Verdict("unsure", "compute")
    one_run = [judge("t", r.method, TRUE, TRUE + by, [("a",)] * 8, None, TRUE + 0.01)
               for r, by in zip(rows(csv=0.01, compute=0.1), (0.01, 0.1), strict=True)]  # fmt: skip
    assert verdict(one_run, ["compute"]) == Verdict("unsure", "compute")  # no interval at all


def test_there_is_no_verdict_without_csv_or_without_rivals() -> None:
    assert verdict(rows(sibling=0.1), ["sibling"]) is None
    assert verdict(rows(csv=0.1), ["sibling"]) is None
    assert verdict(rows(csv=0.1, sibling=0.2), []) is None


@given(st.dictionaries(st.sampled_from(["csv", "a", "b", "c"]), st.floats(0, 0.5), min_size=1))
def test_the_verdict_agrees_with_the_errors(off: dict[str, float]) -> None:
    found = rows(**off)
    said = verdict(found, ["a", "b", "c"])
    errors = {row.method: row.test_mse for row in found}
    if said is None:
        assert "csv" not in errors or len(errors) == 1
        return
    best = min(value for name, value in errors.items() if name != "csv")
    assert (said.word == "worse") == (best <= errors["csv"])
    if said.word != "unsure":
        assert errors[said.rival] == best


def test_methods_that_were_fitted_on_other_models_are_not_compared() -> None:
    other = replace(FIT, fit="reading-all-token-1", method="all-token")
    lacking = replace(other, predictions=other.predictions[:1])
    assert len(judge_fits([FIT, other], {card.model: card for card in CARDS})) > 1
    with pytest.raises(InputError, match="only the first has bee; fit every method of reading"):
        judge_fits([FIT, lacking], {card.model: card for card in CARDS})
