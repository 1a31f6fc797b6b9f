"""The pages on a made-up world: what they show of the test set, and of what is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.records import Fit
from dashboard.queries import database, edits
from tests.support.database_at import at
from tests.support.world import SIDES, change

pytestmark = pytest.mark.slow

TESTED = {model for model, side in SIDES.items() if side == "test"}
SHOWING = ("overview", "curves", "baselines", "predict", "mixes")
Open = Callable[..., AppTest]


@pytest.fixture
def visit(app_on: Callable[..., AppTest], world_db: Path) -> Open:
    """Opens a page on the world's database."""
    app = app_on(world_db, seconds=120)
    app.query_params["task"] = "reading"

    def page(name: str, **address: str) -> AppTest:
        app.query_params.update(address)
        app.run()
        app.switch_page(f"dashboard/pages/{name}.py").run()
        assert not app.exception
        return app

    return page


def button(app: AppTest, label: str) -> Any:
    return next((one for one in app.button if one.label == label), None)


def words(app: AppTest) -> str:
    return " ".join(one.value for one in [*app.markdown, *app.caption])


def test_no_page_shows_the_test_set_before_the_reveal_and_one_click_shows_it_on_all(
    make_fit: Callable[..., Fit], world_db: Path, visit: Open
) -> None:
    with store.connect(world_db) as db:  # the world's law is exact, so all errors were rounding
        db.execute(
            "UPDATE accuracies SET accuracy = accuracy - 0.01 WHERE task = 'reading' AND model = ?",
            [min(TESTED)],
        )
    fit = make_fit("reading", method="csv", penalty=1e-2)
    secret = f"{fit.mse['test']:.1e}"
    assert secret not in {f"{fit.mse[side]:.1e}" for side in ("train", "validation")}
    for name in SHOWING:
        app = visit(name)
        assert button(app, "Reveal the test set"), name
        shown = words(app) + " ".join(f"{one.label} {one.value}" for one in app.metric)
        assert secret not in shown, name
        for table in (one.value for one in app.dataframe):
            if {"accuracy", "model"} <= set(table.columns):
                assert table[table["model"].isin(TESTED)]["accuracy"].isna().all(), name
    app = visit("curves")
    assert any(one.label == "Validation MSE" for one in app.metric)
    button(app, "Reveal the test set").click().run()
    assert {one.label: one.value for one in app.metric}["Test MSE"] == secret
    for name in SHOWING:
        app = visit(name)
        assert not button(app, "Reveal the test set"), name
        assert "revealed once" in words(app), name
    assert database.n_reveals(at(world_db), "words", "sides") == 1


def test_the_models_page_hides_accuracies_of_whatever_tests(visit: Open, world_db: Path) -> None:
    [table] = [one.value for one in visit("models").dataframe if "reading" in one.value]
    hidden = table.set_index("model")["reading"].isna()
    assert set(hidden.index[hidden]) == TESTED
    edits.reveal(at(world_db), "words", ["sides"])
    [table] = [one.value for one in visit("models").dataframe if "reading" in one.value]
    assert table["reading"].notna().all()


def test_many_models_move_at_once_and_are_saved(visit: Open, world_db: Path) -> None:
    app = visit("models")
    app.multiselect(key="only families").set_value(["wild"]).run()
    button(app, "Validation").click().run()
    button(app, "Save split").click().run()
    assert not app.exception
    with store.connect(world_db, read_only=True) as db:
        saved = store.split(db, "sides")
        wild = {card.model for card in store.models(db) if card.family == "wild"}
    assert saved == SIDES | dict.fromkeys(wild, "validation")


@pytest.mark.parametrize(
    ("name", "why"),
    [(" ", "A split needs a name."), ("x" * 101, "at most 100 characters, this one has 101")],
)
def test_a_split_without_a_name_of_its_own_length_is_not_saved(
    visit: Open, world_db: Path, name: str, why: str
) -> None:
    app = visit("models")
    next(one for one in app.text_input if one.label == "Save as").set_value(name)
    button(app, "Save split").click().run()
    assert any(why in one.value for one in app.warning)
    with store.connect(world_db, read_only=True) as db:
        assert store.splits(db) == ["sides"]


def test_a_split_that_fits_were_made_on_is_replaced_only_when_asked_again(
    visit: Open, world_db: Path, make_fit: Callable[..., object]
) -> None:
    make_fit("adding")
    make_fit("reading")
    app = visit("models")
    app.multiselect(key="only families").set_value(["wild"]).run()
    button(app, "Validation").click().run()
    button(app, "Save split").click().run()
    assert any("2 fits were made on sides as it is" in one.value for one in app.warning)
    with store.connect(world_db, read_only=True) as db:
        assert store.split(db, "sides") == SIDES
    [name] = [one for one in app.text_input if one.label == "Save as"]
    name.set_value("other")
    button(app, "Save split").click().run()  # another name needs no second question
    assert not any("would no longer" in one.value for one in app.warning)
    app.selectbox(key="start").set_value("Stored: sides").run()
    button(app, "Test").click().run()
    button(app, "Save split").click().run()
    button(app, "Replace sides").click().run()
    assert not app.exception
    with store.connect(world_db, read_only=True) as db:
        assert store.split(db, "sides") != SIDES == store.split(db, "other") | SIDES
        assert store.fits(db)["stale"].all()
    assert not any("would no longer" in one.value for one in app.warning)


def test_the_models_page_begins_with_the_split_of_the_side_bar_and_shows_what_was_saved(
    visit: Open, world_db: Path
) -> None:
    with store.connect(world_db) as db:
        store.add_split(db, "another", SIDES)
    app = visit("models")
    app.selectbox(key="split").set_value("sides").run()
    assert app.selectbox(key="start").value == "Stored: sides"
    button(app, "Test").click().run()
    app.multiselect(key="only families").set_value(["wild"]).run()
    button(app, "Train").click().run()
    [name] = [one for one in app.text_input if one.label == "Save as"]
    name.set_value("new")
    button(app, "Save split").click().run()
    assert not app.exception
    assert app.selectbox(key="start").value == "Stored: new"
    with store.connect(world_db, read_only=True) as db:
        sides = list(store.split(db, "new").values())
    shown = {metric.label: metric.value for metric in app.metric}
    assert (shown["Train"], shown["Test"]) == (str(sides.count("train")), str(sides.count("test")))
    assert any("No validation models" in one.value for one in app.warning)


def test_what_was_saved_is_the_split_of_the_side_bar(visit: Open) -> None:
    app = visit("models")
    [name] = [one for one in app.text_input if one.label == "Save as"]
    name.set_value("new")
    button(app, "Save split").click().run()
    assert not app.exception
    assert app.selectbox(key="split").value == "new"
    app.switch_page("dashboard/pages/fit.py").run()
    assert app.selectbox(key="split").value == "new"
    app.selectbox(key="split").set_value("sides").run()  # and it can be left again
    assert app.selectbox(key="split").value == "sides"


def test_single_edits_outlast_a_visit_to_another_page(visit: Open) -> None:
    app = visit("models")
    app.switch_page("dashboard/pages/fit.py").run()
    # What the table's editor does to a cell; the test tools cannot click into it.
    app.session_state["edited splits"]["Stored: sides"]["ant"] = "test"
    app.switch_page("dashboard/pages/models.py").run()
    assert app.session_state["edited splits"]["Stored: sides"]["ant"] == "test"
    assert not app.exception


def test_the_side_bar_begins_with_corpus_and_split_of_the_newest_fit(
    visit: Open, world_db: Path, make_fit: Callable[..., object]
) -> None:
    make_fit("adding")
    with store.connect(world_db) as db:
        store.add_split(db, "aaa", SIDES)
    assert visit("fit").selectbox(key="split").value == "sides"


def test_an_emptied_choice_in_the_address_is_no_broken_link(
    visit: Open, make_fit: Callable[..., object]
) -> None:
    make_fit("reading")
    app = visit("predict", runs="")
    assert not app.warning


def test_the_names_of_splits_without_a_family_stay_theirs(visit: Open, world_db: Path) -> None:
    app = visit("models")
    [name] = [one for one in app.text_input if one.label == "Save as"]
    name.set_value("without-wild")
    button(app, "Save split").click().run()
    assert any("Names that begin with without-" in one.value for one in app.warning)
    with store.connect(world_db, read_only=True) as db:
        assert store.splits(db) == ["sides"]


def test_moves_are_undone(visit: Open) -> None:
    app = visit("models")
    before = [one.value for one in app.metric]
    button(app, "Leave out").click().run()
    assert [one.value for one in app.metric][3:] == ["0", "0", "0"]
    button(app, "Undo all edits").click().run()
    assert [one.value for one in app.metric] == before


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ("The paper's Table 2", "0 of the 61"),
        ("Closed source: two sister families", "has more than 4 checkpoints"),
    ],
)
def test_a_preset_that_does_not_fit_the_models_says_why(visit: Open, start: str, why: str) -> None:
    app = visit("models")
    app.selectbox(key="start").set_value(start).run()
    assert not app.exception
    told = " ".join(one.value for one in [*app.info, *app.warning])
    assert why in told


def test_the_overview_shows_what_is_missing_and_nothing_of_it_where_all_is_there(
    visit: Open, world_db: Path
) -> None:
    titles = [one.value for one in visit("overview").subheader]
    assert not [title for title in titles if "Missing" in title]
    change(world_db, "DELETE FROM losses WHERE model = 'cow' AND doc_id = 'sum-2'")
    change(world_db, "DELETE FROM accuracies WHERE model = 'ant' AND task = 'adding'")
    app = visit("overview")
    titles = [one.value for one in app.subheader]
    assert {"Missing losses", "Missing accuracies"} <= set(titles)
    short = [one.value for one in app.dataframe if "missing" in one.value]
    assert [table["model"].tolist() for table in short] == [["cow"], ["ant"]]


@pytest.mark.parametrize(
    ("lost", "step"),
    [
        ("losses", "Collect them on the Collect page"),
        ("accuracies", "world.duckdb import accuracies FILE...`"),
        ("splits", "Divide the models into train"),
        ("fits", "Fit every task with CSV"),
    ],
)
def test_the_overview_says_the_next_step(visit: Open, world_db: Path, lost: str, step: str) -> None:
    change(world_db, f"DELETE FROM {lost}")
    [told] = visit("overview").info
    assert step in told.value
