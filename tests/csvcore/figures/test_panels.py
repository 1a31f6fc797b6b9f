"""Laws of the figures of many panels."""

import numpy as np
import pandas as pd
import pytest

from csvcore.figures import panels
from csvcore.figures.law import ACCURACY_AXIS, SCORE_AXIS, family_colours
from csvcore.records import Fit

FAMILIES = ["a", "a", "<b>", "<b>"]
COLOURS = family_colours(FAMILIES)
TABLE = pd.DataFrame(
    {
        "model": ["a1", "a2", "b1", "<i>b2"],
        "family": FAMILIES,
        "split": ["train", "test", "train", "test"],
        "score": [1.0, 0.5, 0.8, 0.2],
        "accuracy": [0.1, 0.5, 0.2, 0.9],
        "predicted": [0.1, 0.4, 0.2, 0.8],
        "low": [0.0, 0.3, 0.1, 0.7],
        "high": [0.2, 0.5, 0.3, 0.9],
    }
)
FIT = Fit(
    *("f", "c", "s", "t", "csv", -5.0, 0.6, 0.0, 0, 0.0),
    n_models={},
    mse={},
    noise_floor={},
    predictions=(),
)


def test_every_law_has_its_own_axes_under_its_title() -> None:
    figure = panels.law_panels([("<u>one", TABLE, FIT), ("two", TABLE, FIT)], COLOURS, 2)
    titles = [a.text for a in figure.layout.annotations]
    assert titles == ["&lt;u&gt;one", "two", SCORE_AXIS, ACCURACY_AXIS]
    for axis in ("x", "x2"):
        points = [t for t in figure.data if t.xaxis == axis and t.mode == "markers"]
        assert sorted(np.concatenate([t.x for t in points])) == sorted(TABLE["score"])


def test_compute_is_six_times_parameters_times_tokens() -> None:
    table = TABLE.assign(n_params=10.0, train_tokens=[1.0, 2.0, 3.0, 4.0], swaps=TABLE["accuracy"])
    figure = panels.compute_panels(table, ["swaps"], COLOURS)
    points = {t.name: (list(t.x), list(t.y)) for t in figure.data}
    assert points == {
        "a": ([60.0, 120.0], [0.1, 0.5]),
        "&lt;b&gt;": ([180.0, 240.0], [0.2, 0.9]),
    }
    assert len({t.marker.symbol for t in figure.data}) == 2  # not colour alone


def test_parity_shows_the_test_models_alone() -> None:
    figure = panels.parity_panels([("one", TABLE)], COLOURS)
    points = [t for t in figure.data if t.mode == "markers"]
    assert [(list(t.x), list(t.y)) for t in points] == [([0.8], [0.9]), ([0.4], [0.5])]
    assert points[0].text[0] == "&lt;i&gt;b2"


def test_mixes_stand_over_their_number_of_sources_with_the_median_through_them() -> None:
    table = pd.DataFrame(
        {
            "task": "t",
            "n_sources": [1, 1, 1, 2],
            "test_mse": [0.1, 0.2, 0.6, 0.01],
            "has_own": [True, False, False, True],
            "sources": ["x", "y", "z", "x, y"],
        }
    )
    figure = panels.mix_panels(table, ["t"], {"t": 0.001})
    own, other, median = figure.data
    assert list(own.y) == [0.1, 0.01]
    assert list(other.y) == [0.2, 0.6]
    assert (list(median.x), list(median.y)) == ([1, 2], pytest.approx([0.2, 0.01]))
    assert [shape.y0 for shape in figure.layout.shapes] == [0.001]
