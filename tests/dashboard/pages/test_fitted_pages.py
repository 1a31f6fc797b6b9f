"""Fit, Curves, Mixes and Predict on the made-up world, with a fit of every method."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig
from csvcore.jobs import queue
from csvcore.pipeline import fit, jobs
from csvcore.records import Fit, Mix
from csvcore.store import replays
from csvcore.store.mixes import save_mix
from dashboard.queries import comparisons
from dashboard.queries.database import Database
from dashboard.views import mixes, off_curve
from tests.support.job_queue import change as change_queue
from tests.support.world import DOCS, World, pack_rows, write_pack

pytestmark = pytest.mark.slow

METHODS = ("csv", "all-token", "label-token", "source-token", "best-source")


@pytest.fixture
def app(world_db: Path, app_on: Callable[..., AppTest]) -> AppTest:
    app = app_on(world_db, seconds=120)
    app.query_params["task"] = "adding"
    return app


def page(app: AppTest, name: str) -> AppTest:
    app.run()
    app.switch_page(f"dashboard/pages/{name}.py").run()
    assert not app.exception
    return app


@pytest.fixture
def fits(world_db: Path, config: FitConfig) -> list[Fit]:
    """One by every method that the world can have, CSV by the paper's loop."""
    paper = replace(config, algorithm="paper", steps=4)
    wanted = [("adding", method) for method in METHODS]
    return fit.fit(world_db, "words", "sides", wanted, paper)


def test_curves_replay_a_fit_and_say_when_its_replay_is_gone(
    app: AppTest, fits: list[Fit], world_db: Path
) -> None:
    app.query_params["why-model"] = "gone"
    page(app, "curves")
    assert any("Each stage has its own weights" in one.value for one in app.caption)
    [warning] = app.warning
    assert warning.value.startswith("The link asks for 'gone' as Model \\(largest error first\\)")
    replays.replay_path(world_db, fits[0].fit).unlink()
    (world_db).touch()
    page(app, "curves")
    assert any("Fit it again on the Fit page" in one.value for one in app.info)


def test_the_losses_of_a_large_fit_are_read_on_demand(
    app: AppTest, fits: list[Fit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(off_curve, "LARGE", 0)
    page(app, "curves")
    assert not any("Contributions:" in one.value for one in app.markdown)
    assert re.match(r"Reads the losses of \d+ models on \d+ characters", app.toggle[0].help)
    app.toggle[0].set_value(True).run()
    assert any("Contributions:" in one.value for one in app.markdown)


def test_the_token_that_is_shown_in_its_text_has_an_address_of_its_own(
    app: AppTest, world_db: Path, config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = replace(config, algorithm="paper", steps=4)
    fit.fit(world_db, "words", "sides", [("reading", "csv")], paper)
    app.query_params["task"] = "reading"
    shown = st.dataframe

    def first_row(*args: Any, **settings: Any) -> Any:
        made = shown(*args, **settings)
        return {"selection": {"rows": [0]}} if settings.get("key") == "why-tokens" else made

    page(app, "salience")
    app.multiselect(key="source").set_value([]).run()  # visited before, with another choice
    monkeypatch.setattr(st, "dataframe", first_row)
    page(app, "curves")
    next(one for one in app.button if one.label == "Show the token in its text").click().run()
    monkeypatch.undo()
    assert not app.exception
    assert app.header[0].value == "Salience"
    [doc_id] = app.multiselect(key="doc").value
    assert app.session_state["task"] == "reading"
    assert app.query_params["doc"] in (doc_id, [doc_id])
    assert str(app.query_params["token"]).strip("[']").startswith(f"{doc_id}:")


def test_a_fit_of_several_methods_is_one_job_that_makes_them_all(
    app: AppTest, world_db: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)
    monkeypatch.setenv("CSVCORE_MODELS", str(tiny_lm))
    page(app, "fit")
    assert any("estimated from the benchmark" in one.value for one in app.caption)
    [methods] = [one for one in app.button_group if one.label == "Methods"]
    methods.set_value(["all-token", "source-token"])
    [scorer] = [one for one in app.selectbox if one.label == "Scorer"]
    scorer.set_value(str(tiny_lm.resolve()))
    app.run()
    assert any("need no optimisation" in one.value for one in app.caption)
    next(button for button in app.button if button.label == "Start").click().run()
    [job] = queue.recent(world_db)
    assert job.params["methods"] == ["all-token", "source-token"]
    assert job.params["config"]["scorer"] == str(tiny_lm.resolve())
    params = job.params | {"tasks": ["adding"]}
    assert jobs.run_job(world_db, "fit", params, lambda *_: None) == "2 fits stored"
    [methods] = [one for one in app.button_group if one.label == "Methods"]
    methods.set_value([]).run()
    assert app.warning[0].value == "Choose at least one task and one method."


def test_a_pack_that_cannot_be_used_is_refused_in_one_sentence(
    fits: list[Fit], world_db: Path, world: World, tmp_path: Path
) -> None:
    source = Database(world_db, store.stamp(world_db))
    rows = pack_rows(world, [fits[0].predictions[0].model])

    def refused(name: str, content: bytes, sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            comparisons.predictions_of(source, (fits[0].fit,), (), (name, content))

    other = write_pack(tmp_path / "o.parquet", rows, "f" * 64).read_bytes()
    refused("o.parquet", other, "o.parquet has losses on another corpus .* collect them on words")
    short = write_pack(tmp_path / "s.parquet", rows[:-1]).read_bytes()
    refused("s.parquet", short, f"losses on {len(DOCS) - 1} of {len(DOCS)} documents")
    refused("n.parquet", b"no", "n.parquet is not a Parquet file")


def test_the_recommended_mix_is_saved_from_the_page(
    app: AppTest, fits: list[Fit], world_db: Path
) -> None:
    ids = tuple(doc.doc_id for doc in DOCS[:3])
    mix = Mix("adding", {"a": 1.0}, ids, 30, 0.1, 0.02, 0.01, 0.04, 0.001, (0.05, 0.2))
    old = replace(mix, errors=(), test_mse=None, low=None, high=None)
    with store.connect(world_db) as db:
        store.set_mixes(db, ["words"], "sides", "adding", [mix, old])
        assert store.mixes(db, ["words"], "sides", "adding") == [mix, old]
    page(app, "mixes")
    assert any("mixes at most of 2 sources" in one.value for one in app.caption)
    assert any("tell no interval" in one.value for one in app.markdown)
    [name] = [one for one in app.text_input if "Name of the recommended" in one.label]
    name.set_value("small")
    next(one for one in app.button if one.label == "Save").click().run()
    assert not app.exception
    assert any("corpus small" in one.value.replace("\\", "") for one in app.success)
    with store.connect(world_db, read_only=True) as db:
        assert [doc.doc_id for doc in store.documents(db, "small")] == list(ids)
        assert set(store.coverage(db, "small").values()) == {3}


def test_mixes_made_after_a_reveal_have_a_button_of_their_own(
    app: AppTest, fits: list[Fit], world_db: Path
) -> None:
    ids = tuple(doc.doc_id for doc in DOCS[:3])
    mix = Mix("adding", {"a": 1.0}, ids, 30, 0.1, 0.02, 0.01, 0.04, 0.001, (0.05, 0.2))
    with store.connect(world_db) as db:
        store.add_reveal(db, "words", "sides")
    with store.connect(world_db) as db:
        store.set_mixes(db, ["words"], "sides", "adding", [mix])
    page(app, "mixes")
    button = next(one for one in app.button if one.label == "Reveal the test errors")
    button.click().run()
    assert not app.exception
    assert not [one for one in app.button if one.label.startswith("Reveal")]
    with store.connect(world_db, read_only=True) as db:
        assert store.n_reveals(db, "words", "sides") == 2


def test_the_table_of_mixes_is_in_points() -> None:
    mix = Mix("t", {"a": 0.25, "b": 0.75}, ("1",), 30, 0.1, 0.04, 0.01, 0.09, None, (0.05, 0.2))
    [row] = mixes.table([mix]).to_dict("records")
    assert row["mix"] == "25% a, 75% b"
    assert [row[key] for key in ("error", "best", "worst")] == pytest.approx([10, 5, 20])
    assert [row[key] for key in ("test", "test_low", "test_high")] == pytest.approx([20, 10, 30])


def test_mixes_that_chance_may_have_ordered_are_not_distinguishable() -> None:
    best = Mix("t", {"a": 1.0}, ("1",), 30, 0.1, None, None, None, None, (0.05, 0.06, 0.04))
    near = replace(best, doc_ids=("2",), errors=(0.06, 0.05, 0.05))
    first, second = mixes.table([best, near]).to_dict("records")
    assert (first["verdict"], second["verdict"]) == ("recommended", "not distinguishable")
    assert second["difference"] == pytest.approx(100 / 300)
    assert second["low"] < 0 < second["high"]


def test_a_save_without_a_name_is_refused(world_db: Path) -> None:
    with pytest.raises(InputError, match="a corpus needs a name"):
        save_mix(world_db, ["words"], [DOCS[0].doc_id], " ")


def test_the_families_are_left_out_by_a_button(
    app: AppTest, make_fit: Callable[..., Fit], world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)
    make_fit("adding")
    page(app, "baselines")
    next(one for one in app.button if one.label.startswith("Leave out each of 2")).click().run()
    assert not app.exception
    [job] = queue.recent(world_db)
    assert (job.kind, job.params) == ("leave-out", {"corpus": "words", "tasks": ["adding"]})
    assert any("Leave one family out" in box.label for box in app.expander)
    assert not [one for one in app.button if one.label.startswith("Leave out each of 2")]


def test_only_jobs_of_the_same_work_take_a_button_away(
    app: AppTest, make_fit: Callable[..., Fit], world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)
    make_fit("adding", "csv", steps=1)
    with store.connect(world_db) as db:
        store.add_split(db, "more", store.split(db, "sides"))
    page(app, "baselines")
    button = next(one for one in app.button if one.label.endswith("permutations"))
    button.click().run()
    assert any("200 permutations of adding" in box.label for box in app.expander)
    assert next(one for one in app.button if one.label.endswith("permutations")).disabled
    app.selectbox(key="split").set_value("more").run()
    app.switch_page("dashboard/pages/overview.py").run()
    assert any(one.label == "Fit everything" for one in app.button)


def test_mixes_say_why_the_last_search_of_this_task_came_to_nothing(
    app: AppTest, make_fit: Callable[..., Fit], world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)
    make_fit("adding", "csv", steps=1)

    def search(budget: int, status: queue.Status, message: str) -> list[str]:
        params = {"corpora": ["words"], "split": "sides", "task": "adding", "budget_tokens": budget}
        queue.finish(world_db, queue.submit(world_db, "mixes", params), status, message)
        return [one.value for one in page(app, "mixes").warning]

    [said] = search(1, "failed", "no document of sums fits into 1 tokens; give more")
    assert (
        said == "Mixes of words for adding: failed, no document of sums fits into 1 tokens; "
        "give more"
    )
    [said] = search(2, "cancelled", "cancelled before it began")
    assert said == "Mixes of words for adding: cancelled before it began"
    assert search(3, "done", "12 mixes tried") == []
    search(4, "lost", "the worker process died")
    change_queue(world_db, "UPDATE jobs SET ended = ended - 100000")
    assert not page(app, "mixes").warning  # a day later nobody waits for it


@pytest.mark.parametrize(
    ("asked", "value", "told"),
    [("99", 1.0, 1), ("nan", 1.0, 1), ("much", 1.0, 1), ("1.2345", 1.2345, 0)],
)
def test_a_slider_says_what_a_link_asks_of_it_in_vain(
    app: AppTest, make_fit: Callable[..., Fit], asked: str, value: float, told: int
) -> None:
    make_fit("adding", "csv", steps=1)
    app.query_params["mix-sums"] = asked
    page(app, "mixes")
    assert not app.exception
    assert len(app.warning) == told
    assert {slider.key: slider.value for slider in app.slider}["mix-sums"] == value


def test_the_sliders_of_the_mixes_are_in_the_address(
    app: AppTest, make_fit: Callable[..., Fit]
) -> None:
    make_fit("adding", "csv", steps=1)
    app.query_params["mix-sums"] = "0.5"
    page(app, "mixes")
    assert not app.exception
    assert {slider.key: slider.value for slider in app.slider}["mix-sums"] == 0.5
