"""The page of two fits side by side, and of names, notes and pins."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.analysis.two_fits import agreement_sentence
from csvcore.fitting.config import FitConfig
from csvcore.pipeline.compare_fits import compare_fits
from csvcore.pipeline.fit import fit

TASK = [("reading", "csv")]


@pytest.fixture(scope="module")
def two(_world_made: Path, tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up world with two CSV fits of one task, of other penalties, and a baseline."""
    folder = tmp_path_factory.mktemp("two") / "db"
    shutil.copytree(_world_made, folder)
    path = folder / "world.duckdb"
    for penalty in (1e-2, 1e-5):
        config = FitConfig(members=1, scorer=str(tiny_lm), penalty=penalty)
        fit(path, "words", "sides", TASK, config)
    fit(path, "words", "sides", [("reading", "loss-compute")], FitConfig(scorer=str(tiny_lm)))
    return path


@pytest.fixture
def database_of_two(two: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two.parent, tmp_path / "db")) / two.name


def opened(app: AppTest, **parameters: str) -> AppTest:
    for name, value in {"task": "reading", **parameters}.items():
        app.query_params[name] = value
    app.run()
    app.switch_page("dashboard/pages/compare_fits.py").run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    return "\n".join(one.value for one in app.markdown).replace("\\", "").replace("\u2060", "")


def test_two_fits_of_a_task_are_shown_side_by_side(
    app_on: Callable[..., AppTest], two: Path
) -> None:
    app = opened(app_on(two))
    a, b = (app.selectbox(key=key).value for key in ("fit_a", "fit_b"))
    found = compare_fits(two, a, b)
    assert found.agreement is not None
    assert agreement_sentence(found.agreement) in said(app)
    settings = next(one.value for one in app.dataframe if "setting" in one.value)
    assert settings["setting"].tolist() == ["penalty"]
    tokens = next(one.value for one in app.dataframe if "byte_start" in one.value)
    assert tokens["difference"].abs().is_monotonic_decreasing
    with store.connect(two, read_only=True) as db:
        tested = {model for model, side in store.split(db, "sides").items() if side == "test"}
    models = next(one.value for one in app.dataframe if "side_a" in one.value)
    assert tested
    assert not set(models["model"]) & tested  # nothing was revealed


def test_one_csv_fit_opens_beside_the_label_tokens_not_a_newer_fit_without_weights(
    app_on: Callable[..., AppTest], _world_made: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(_world_made, tmp_path / "one")) / "world.duckdb"
    config = FitConfig(members=1, scorer=str(tiny_lm), penalty=1e-2)
    for method in ("label-token", "csv", "loss-compute"):
        fit(path, "words", "sides", [("reading", method)], config)
    app = opened(app_on(path))
    with store.connect(path, read_only=True) as db:
        by_method = store.fits(db).set_index("method")["fit"]
    chosen = [app.selectbox(key=key).value for key in ("fit_a", "fit_b")]
    assert chosen == [by_method["csv"], by_method["label-token"]]


def test_a_method_without_weights_and_one_fit_twice_say_so(
    app_on: Callable[..., AppTest], two: Path
) -> None:
    app = opened(app_on(two))
    with store.connect(two, read_only=True) as db:
        rows = store.fits(db)
    (plain,) = rows.loc[rows["method"] == "loss-compute", "fit"]
    app.selectbox(key="fit_b").set_value(plain).run()
    assert not app.exception
    captions = [one.value.replace("\\", "") for one in app.caption]
    assert "Weights are not compared: loss-compute gives no token a weight." in captions
    app.selectbox(key="fit_b").set_value(app.selectbox(key="fit_a").value).run()
    assert [one.value for one in app.info] == ["Choose two fits."]


def test_a_name_a_note_and_a_pin_are_stored_and_listed_first(
    app_on: Callable[..., AppTest], database_of_two: Path
) -> None:
    app = opened(app_on(database_of_two))
    b = app.selectbox(key="fit_b").value
    app.selectbox(key="fit_a").set_value(b).run()
    app.text_input(key=f"name-{b}").set_value("weak pull")
    app.text_input(key=f"note-{b}").set_value("for the appendix")
    app.toggle(key=f"pin-{b}").set_value(True)
    next(one for one in app.button if one.label == "Save").click().run()
    assert not app.exception
    with store.connect(database_of_two, read_only=True) as db:
        assert store.fit_label(db, b) == store.FitLabel("weak pull", "for the appendix", True)
    listed = next(one.value for one in app.dataframe if "pinned" in one.value)
    assert listed.iloc[0][["name", "note", "fit"]].tolist() == ["weak pull", "for the appendix", b]


def test_a_search_keeps_the_fits_with_all_words(app_on: Callable[..., AppTest], two: Path) -> None:
    app = opened(app_on(two), search="reading compute")
    listed = next(one.value for one in app.dataframe if "pinned" in one.value)
    assert listed["method"].tolist() == ["loss-compute"]
    app.multiselect(key="columns").set_value(["fit", "task"]).run()
    listed = next(one.value for one in app.dataframe if list(one.value) == ["fit", "task"])
    assert len(listed) == 1
