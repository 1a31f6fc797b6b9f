"""The Forecast page on made-up ladders, beside the functions that it shows."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from csvcore.pipeline.forecast import course, forecast
from tests.support.ladders import planted_ladder, store_ladders

pytestmark = pytest.mark.slow


@pytest.fixture
def ladders(tmp_path: Path) -> Path:
    database = tmp_path / "ladders.duckdb"
    store_ladders(database, planted_ladder(sizes=(6.4e8,)), oak=planted_ladder(0.003))
    return database


@pytest.fixture
def page(app_on: Callable[..., AppTest], ladders: Path) -> AppTest:
    app = app_on(ladders, seconds=120)
    app.query_params["params"] = "640M"
    app.run()
    app.switch_page("dashboard/pages/forecast.py").run()
    assert not app.exception
    return app


def test_the_page_shows_what_the_command_prints(page: AppTest, ladders: Path) -> None:
    page.select_slider(key="params").set_value(3.3e8)
    page.select_slider(key="tokens").set_value(3.3e9).run()
    assert not page.exception
    shown = {metric.label: metric.value for metric in page.metric}
    (row,) = forecast(ladders, "words", "small", [(330_000_000, 3_300_000_000)]).rows
    assert shown["Accuracy on reading"] == f"{row.predicted:.3f}"
    assert shown["90 % interval"] == f"{row.low:.2f} to {row.high:.2f}"
    headline = next(one.value for one in page.markdown if "points off" in one.value)
    assert "we would have been" in headline and "carried forward" in headline
    assert "farther than any that was tested" not in headline


def test_a_model_farther_than_any_that_was_tested_is_called_so(page: AppTest) -> None:
    page.select_slider(key="params").set_value(1.6e11).run()
    headline = next(one.value for one in page.markdown if "points off" in one.value)
    assert headline.startswith("This model is ") and "farther than any that was tested" in headline


def test_a_run_is_followed_to_its_end(page: AppTest, ladders: Path) -> None:
    page.selectbox(key="run").set_value("oak 160000000")
    page.select_slider(key="end").set_value(6.4e9).run()
    told = next(one.value for one in page.markdown if "heads for" in one.value)
    (one,) = course(ladders, "words", "small", "oak 160000000", 6_400_000_000)
    assert f"heads for **{one.predicted[-1]:.3f}**" in told
    assert "what its size and tokens promise" in told


def test_an_accuracy_out_of_reach_is_said(page: AppTest) -> None:
    page.select_slider(key="accuracy").set_value(0.95).run()
    assert not page.exception
