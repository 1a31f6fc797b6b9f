"""Laws of the figures of judgements and forecasts."""

from html import unescape

import numpy as np
import pandas as pd
import pytest

from csvcore.figures import comparison, law

METHODS = pd.DataFrame(
    {
        "method": ["csv", "all-token", "train-mean"],
        "mse": [0.001, 0.01, 0.1],
        "low": [0.0005, 0.005, None],
        "high": [0.002, 0.03, None],
    }
)
FORECASTS = pd.DataFrame(
    {
        "model": ["<i>a1", "a2", "b1"],
        "run": ["a 100000", "a 100000", None],
        "train_tokens": [1e6, 2e6, np.nan],
        "score": [0.5, 0.4, 0.3],
        "predicted": [0.2, 0.5, 0.9],
        "low": [0.1, 0.4, 0.7],
        "high": [0.3, 0.6, 1.0],
        "extrapolated": [False, False, True],
        "accuracy": [0.25, np.nan, np.nan],
    }
)


def test_the_best_method_stands_on_top_and_csv_by_its_own_mark() -> None:
    figure = comparison.baselines_figure(METHODS, 0.0001)
    assert list(figure.layout.yaxis.categoryarray) == [
        "Mean of the train models",
        "All tokens",
        "CSV",
    ]
    marks = {trace.marker.symbol: list(trace.y) for trace in figure.data}
    assert marks == {"star": ["CSV"], "circle": ["All tokens", "Mean of the train models"]}
    assert figure.layout.xaxis.type == "log"
    (line,) = figure.layout.shapes
    assert line.x0 == 0.0001
    (text,) = figure.layout.annotations
    assert text.text == "noise floor"
    assert text.x == pytest.approx(-4)  # of a log axis


def test_error_bars_reach_the_ends_of_the_intervals() -> None:
    figure = comparison.baselines_figure(METHODS, None)
    csv = figure.data[0]
    assert csv.error_x.array[0] == pytest.approx(0.001)
    assert csv.error_x.arrayminus[0] == pytest.approx(0.0005)
    assert not figure.layout.shapes


def test_a_run_is_drawn_over_its_tokens_with_what_was_observed() -> None:
    figure = comparison.prediction_figure(FORECASTS[:2], 0.25)
    predicted, observed = figure.data
    assert list(predicted.x) == [1e6, 2e6]
    assert predicted.name == "a 0.10 M, predicted"
    assert (list(observed.x), list(observed.y)) == ([1e6], [0.25])
    assert observed.text[0] == "&lt;i&gt;a1"


def test_models_of_unknown_age_stand_right_of_the_runs_that_keep_their_curves() -> None:
    figure = comparison.prediction_figure(FORECASTS, 0.25)
    run, _, outside = figure.data
    assert (list(run.x), run.mode, run.xaxis) == ([1e6, 2e6], "lines+markers", "x")
    assert (list(outside.x), outside.mode, outside.xaxis) == (["b1"], "markers", "x2")
    assert list(outside.marker.symbol) == ["x"]


def test_models_side_by_side_stand_best_score_first_whatever_their_run() -> None:
    later = FORECASTS[:1].assign(model="c1", score=0.1, run="c")
    table = pd.concat([FORECASTS, later]).reset_index(drop=True).assign(train_tokens=np.nan)
    figure = comparison.prediction_figure(table, 0.25)
    assert list(figure.layout.xaxis.categoryarray) == ["c1", "b1", "a2", "&lt;i&gt;a1"]
    assert {trace.mode for trace in figure.data} == {"markers"}


def test_a_name_too_long_for_the_axis_is_cut_in_its_middle_and_stays_one_of_its_own() -> None:
    long = [f"{'<b>' * 160}{end}" for end in ("one", "two")]
    table = FORECASTS[:2].assign(model=long, run=long[0], train_tokens=np.nan)
    figure = comparison.prediction_figure(table, 0.25)
    names = list(figure.layout.xaxis.categoryarray)
    shown = [figure.layout.xaxis.labelalias[name] for name in names]
    assert len(set(names)) == len(set(shown)) == 2
    assert all(len(unescape(text)) == 32 and "<" not in text for text in shown)
    assert [text[-3:] for text in shown] == ["two", "one"]
    assert len(unescape(figure.data[0].name)) < 65


def test_what_is_worse_is_hatched() -> None:
    table = pd.DataFrame({"source": ["a", "<b>"], "added": [-0.1, 0.2]})
    (bars,) = comparison.added_bars(table).data
    assert list(bars.y) == ["a", "&lt;b&gt;"]
    assert list(bars.marker.pattern.shape) == ["", "/"]


def mixes(**more: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "mix": ["100% <a>", "x"],
            "sources": [1, 2],
            "error": [3.0, 4.0],
            "best": [2.0, np.nan],
            "worst": [5.0, np.nan],
        }
        | more
    )


def test_the_recommended_mix_is_a_star_between_its_best_and_worst_group() -> None:
    figure = comparison.search_figure(mixes(), 0.0004)
    (points,) = figure.data
    assert list(points.marker.symbol) == ["star", "circle"]
    assert points.text[0] == "100% &lt;a&gt;"
    assert points.error_y.array[0] == pytest.approx(2.0)
    assert points.error_y.arrayminus[0] == pytest.approx(1.0)
    assert figure.layout.shapes[0].y0 == pytest.approx(2.0)  # points


def test_test_errors_of_mixes_stand_beside_with_their_intervals_where_they_are_known() -> None:
    hidden = {name: [np.nan, np.nan] for name in ("test", "test_low", "test_high")}
    (alone,) = comparison.search_figure(mixes(**hidden), None).data
    assert list(alone.x) == [1, 2]  # on the number, not left of it
    known = {"test": [6.0, 7.0], "test_low": [5.0, 5.0], "test_high": [8.0, 9.0]}
    left, points = comparison.search_figure(mixes(**known), None).data
    assert left.x[0] < 1 < points.x[0]
    assert list(points.marker.symbol) == ["star-open", "diamond-open"]
    assert list(points.error_y.array) == [2.0, 2.0]
    assert list(points.error_y.arrayminus) == [1.0, 2.0]


def test_the_legend_escapes_names_and_tells_the_sides_apart() -> None:
    html = law.legend_html(law.family_colours(["<script>"]))
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert [side for side in law.MARKERS if side in html] == list(law.MARKERS)
