"""Laws of the scores that forecasts read."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from csvcore.forecasting.score_table import ScoreTable, score_table
from csvcore.records import Document, ModelLosses, Task

DOCS = [
    Document("a", "one", "question A: " + 400 * "x", ((12, 412),)),
    Document("b", "two", "question B: " + 400 * "y", ((12, 412),)),
]
TASKS = [Task("first", 0.0, sources=("one",)), Task("second", 0.0, sources=("two",))]


def losses(model: str, *per_answer: float) -> ModelLosses:
    """Return the losses of a model: one unit of 12 bytes, and one of the answer of each text."""
    ends = np.concatenate([[12, doc.n_bytes] for doc in DOCS])
    nll = np.array([value for answer in per_answer for value in (10.0, answer)])
    return ModelLosses(model, np.array([2, 2]), ends, nll)


# Of small models no answer is ever given, so their probabilities are all the same.
SMALL = [losses(f"small-{at}", 900.0, 900.0) for at in range(16)]
LARGE = [losses(f"large-{at}", 300.0 + at, 500.0 - at) for at in range(2)]


@pytest.mark.parametrize("sizes", [(18,), (16, 2), (1,) * 18])
def test_how_models_are_read_in_parts_makes_no_difference(sizes: tuple[int, ...]) -> None:
    every = [*SMALL, *LARGE]
    cuts = np.cumsum((0, *sizes))
    parts = [every[start:end] for start, end in pairwise(cuts)]
    found, whole = score_table(DOCS, TASKS, parts), score_table(DOCS, TASKS, [every])
    assert (found.models, found.scores) == (whole.models, whole.scores)
    for name in ("score", "probable", "uses"):
        assert_array_equal(getattr(found, name), getattr(whole, name))


def test_a_tasks_score_that_all_tasks_have_is_there_once() -> None:
    table: ScoreTable = score_table(DOCS, TASKS, [[*SMALL, *LARGE]])
    assert len({row.tobytes() for row in table.score}) == len(table.scores)
