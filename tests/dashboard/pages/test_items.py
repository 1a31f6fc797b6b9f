"""The Items page: two models on the same items, single items, and hidden test models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from csvcore import frames, store
from csvcore.analysis.paired import sentence
from csvcore.formats.item_results import SCHEMA
from csvcore.pipeline.items import results_by_item

N_ITEMS = 50


@pytest.fixture
def itemised(world_db: Path) -> Path:
    """The made-up world with a result of every model on 50 items of a new task."""
    from csvcore.records import Task

    rng = np.random.default_rng(2)
    with store.connect(world_db) as db:
        store.add_tasks(db, [Task("quiz", 0.0)])
        models = [card.model for card in store.models(db)]
        for skill, model in enumerate(models):
            right = rng.random(N_ITEMS) < (skill + 1) / (len(models) + 1)
            rows = {"model": [model] * N_ITEMS, "task": ["quiz"] * N_ITEMS}
            rows |= {"item": [str(i) for i in range(N_ITEMS)], "correct": right.astype(float)}
            store.add_item_results(db, [pa.table(rows, SCHEMA)])
    return world_db


def opened(app: AppTest, **parameters: str) -> AppTest:
    for name, value in {"task": "quiz", **parameters}.items():
        app.query_params[name] = value
    app.run()
    app.switch_page("dashboard/pages/items.py").run()
    assert not app.exception
    return app


def shown(app: AppTest) -> list[str]:
    return [one.value.replace("\\", "").replace("\u2060", "") for one in app.markdown]


def test_two_models_are_compared_on_their_items(
    app_on: Callable[..., AppTest], itemised: Path
) -> None:
    app = opened(app_on(itemised))
    a, b = (app.selectbox(key=key).value for key in ("item_a", "item_b"))
    found = frames.paired_models(results_by_item(itemised, "quiz"), a, b)
    assert f"**{sentence(a, b, found)}**" in shown(app)
    values = {metric.label: metric.value for metric in app.metric}
    assert values["Items"] == "50"
    assert values["Only A"] == str(found.only_a)
    assert values["Detectable"] == f"{100 * (found.detectable or 0):.1f} points"
    app.number_input(key="detect").set_value(10.0).run()
    power = found.power(0.1)
    assert any(f"10 points: {power:.0%}" in one.value for one in app.caption)


def test_hidden_test_models_are_not_offered_and_not_counted(
    app_on: Callable[..., AppTest], itemised: Path
) -> None:
    with store.connect(itemised, read_only=True) as db:
        sides = store.split(db, "sides")
    tested = {model for model, side in sides.items() if side == "test"}
    app = opened(app_on(itemised))
    offered = set(app.selectbox(key="item_a").options)
    assert tested
    assert not offered & tested
    assert any(f"{len(tested)} test models are hidden" in one.value for one in app.caption)
    tables = [frame.value for frame in app.dataframe]
    assert all(not set(table.get("model", [])) & tested for table in tables)


def test_a_selected_item_shows_its_models(app_on: Callable[..., AppTest], itemised: Path) -> None:
    app = opened(app_on(itemised), items="all")
    a, b = (app.selectbox(key=key).value for key in ("item_a", "item_b"))
    selection: Any = {"selection": {"rows": [3], "columns": [], "cells": []}}
    app.session_state[f"items-all-{a}-{b}"] = selection
    app.run()
    assert not app.exception
    assert any(one.startswith("Item **3**: solved by") for one in shown(app))
    results = results_by_item(itemised, "quiz")[app.selectbox(key="item_a").options]
    table = next(one.value for one in app.dataframe if "correct" in one.value)
    assert table["correct"].sum() == results.loc["3"].sum()


def test_the_choice_of_items_is_counted(app_on: Callable[..., AppTest], itemised: Path) -> None:
    app = opened(app_on(itemised), items="results differ")
    a, b = (app.selectbox(key=key).value for key in ("item_a", "item_b"))
    found = frames.paired_models(results_by_item(itemised, "quiz"), a, b)
    number = (found.only_a or 0) + (found.only_b or 0)
    assert any(one.value.startswith(f"{number} of 50 items") for one in app.caption)


def test_one_model_twice_and_a_task_without_items_say_what_to_do(
    app_on: Callable[..., AppTest], itemised: Path
) -> None:
    app = opened(app_on(itemised))
    app.selectbox(key="item_b").set_value(app.selectbox(key="item_a").value).run()
    assert not app.exception
    assert any("Choose two models." in one.value for one in app.info)
    app = opened(app_on(itemised), task="reading")
    assert any("lm-eval folders with samples" in one.value for one in app.info)
