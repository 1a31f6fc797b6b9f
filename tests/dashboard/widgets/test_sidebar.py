"""The side bar: what it chooses holds on every page, in the address, and in the next session."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.fitting.config import FitConfig
from csvcore.pipeline import fit
from csvcore.records import Fit
from dashboard.widgets import text
from tests.support.world import SIDES, change

pytestmark = pytest.mark.slow

Run = Callable[..., Fit]


@pytest.fixture
def app(world_db: Path, app_on: Callable[[Path], AppTest]) -> AppTest:
    """The pages on the made-up world with one more split, whose name comes before the other's."""
    with store.connect(world_db) as db:
        store.add_split(db, "aaa", SIDES)
    return app_on(world_db)


def law(app: AppTest) -> str:
    """What Curves says of the law of CSV."""
    (said,) = [one.value for one in app.caption if one.value.startswith("alpha ")]
    return said


def test_an_older_fit_is_chosen_and_shown_in_place_of_the_newest(
    app: AppTest, make_fit: Run
) -> None:
    older, newer = (make_fit("adding", "csv", steps=1, penalty=p) for p in (1e-4, 1.0))
    app.query_params["task"] = "adding"
    app.switch_page("dashboard/pages/curves.py").run()
    assert f"alpha {newer.alpha:.3g} " in law(app)
    assert app.selectbox(key="fit").options == ["newest", newer.fit, older.fit]
    app.selectbox(key="fit").set_value(older.fit).run()
    assert not app.exception
    assert f"alpha {older.alpha:.3g} " in law(app)
    assert any("penalty 0\\.0001" in one.value for one in app.sidebar.caption)


def test_the_fit_page_lists_every_fit_to_choose_from(app: AppTest, make_fit: Run) -> None:
    made = [make_fit("adding", "csv", steps=1, penalty=p).fit for p in (1e-4, 1.0)]
    app.query_params["task"] = "adding"
    app.switch_page("dashboard/pages/fit.py").run()
    assert not app.exception
    table = app.dataframe[-1].value
    assert table["fit"].tolist() == made[::-1]
    assert [settings.split(", exp")[0] for settings in table["settings"]] == [
        "Gauss-Newton, penalty 1", "Gauss-Newton, penalty 0.0001"
    ]  # fmt: skip
    assert "mse_test" not in table  # nobody shall choose by it


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (FitConfig(), "Gauss-Newton, penalty chosen, 5 heads, seed 0, bundled scorer"),
        (
            FitConfig(algorithm="paper", steps=300, seed=7, scorer="org/lm", own_units=True),
            "Algorithm 2 (paper), 300 steps, learning rate 0.01, seed 7, the losses' own units, "
            "scorer lm",
        ),
    ],
)
def test_a_fit_is_told_by_what_bears_on_it(settings: FitConfig, told: str) -> None:
    assert text.settings_of(asdict(settings)) == told


def test_a_fit_of_an_older_version_is_told_by_what_is_known_of_it() -> None:
    oldest = {"steps": 300, "learning_rate": 0.001, "seed": 0, "scorer": "scorer"}
    assert text.settings_of(oldest).startswith(
        "Algorithm 2 (paper), 300 steps, learning rate 0.001, seed 0"
    )
    assert text.settings_of({"penalty": 0.0}) == "Gauss-Newton, penalty 0"


def test_fits_that_differ_in_their_non_linearity_are_told_apart(make_fit: Run) -> None:
    told = {
        text.settings_of(make_fit("adding", "csv", penalty=1e-4, steps=1, activation=name).config)
        for name in ("exp", "softplus")
    }
    assert len(told) == 2


def test_a_link_opens_the_fit_it_names_and_another_task_has_its_own(
    app: AppTest, make_fit: Run
) -> None:
    older, newer = (make_fit("adding", "csv", steps=1, penalty=p) for p in (1e-4, 1.0))
    other = make_fit("reading", "csv", steps=1)
    app.query_params["task"] = "adding"
    app.query_params["fit"] = older.fit
    app.switch_page("dashboard/pages/curves.py").run()
    assert not app.warning
    assert f"alpha {older.alpha:.3g} " in law(app)
    app.selectbox(key="task").set_value("reading").run()
    assert app.selectbox(key="fit").value == "newest"
    assert "fit" not in app.query_params  # a reload would ask for it in vain
    assert f"alpha {other.alpha:.3g} " in law(app)
    assert newer.fit not in app.selectbox(key="fit").options


def test_a_fit_whose_split_has_changed_is_offered_no_more(
    app: AppTest, make_fit: Run, world_db: Path
) -> None:
    gone = make_fit("adding", "csv", steps=1)
    change(world_db, "UPDATE splits SET side = 'train' WHERE split = 'sides' AND model = 'gnu'")
    now = make_fit("adding", "csv", steps=1)
    app.query_params["task"] = "adding"
    app.query_params["fit"] = gone.fit
    app.run()
    assert app.selectbox(key="fit").options == ["newest", now.fit]
    assert any("as Fit, which is not offered. newest is shown." in one.value for one in app.warning)


def test_an_address_without_a_split_means_the_one_of_the_newest_fit(
    app: AppTest, make_fit: Run
) -> None:
    make_fit("adding")
    app.run()
    for choice in ("sides", "aaa", "sides"):
        app.selectbox(key="split").set_value(choice).run()
        assert app.selectbox(key="split").options[0] == "sides"
        assert app.selectbox(key="split").proto.default == 0


def test_a_fit_elsewhere_changes_neither_the_view_nor_what_its_address_means(
    app: AppTest, make_fit: Run, world_db: Path, config: FitConfig
) -> None:
    make_fit("adding")
    app.run()
    fit.fit(world_db, "words", "aaa", [("adding", "all-token")], config)
    app.run()
    assert app.selectbox(key="split").options[0] == "aaa"
    assert app.selectbox(key="split").value == "sides"
    assert app.query_params["split"] in ("sides", ["sides"])
