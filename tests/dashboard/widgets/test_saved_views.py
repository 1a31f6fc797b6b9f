"""Saved views: the link of a view by name, for everybody; only editors save and remove."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats import rights
from csvcore.store import SavedView
from csvcore.store.saved_views import LONGEST_QUERY
from dashboard.queries import saved_views
from tests.support.world import HOSTILE_NAME

VIEW = SavedView("for the talk", "curves", "task=adding&split=sides")


def links(app: AppTest) -> list[str]:
    return [one.proto.body for one in app.sidebar.get("html") if "<a " in one.proto.body]


def save(app: AppTest, name: str) -> None:
    app.text_input(key="view name").set_value(name)
    [button] = [one for one in app.sidebar.button if one.label == "Save view"]
    button.click().run()
    assert not app.exception


def test_a_view_is_saved_listed_as_a_link_and_removed(
    world_db: Path, app_on: Callable[[Path], AppTest]
) -> None:
    app = app_on(world_db)
    app.query_params["task"] = "adding"
    app.switch_page("dashboard/pages/models.py").run()
    save(app, HOSTILE_NAME)
    with store.connect(world_db, read_only=True) as db:
        [view] = store.saved_views(db)
    assert (view.name, view.page) == (HOSTILE_NAME, "models")
    kept = parse_qs(view.query)
    assert (kept["task"], kept["corpus"], kept["split"]) == (["adding"], ["words"], ["sides"])
    [link] = links(app)
    assert link.startswith('<a href="./models?') and "<img" not in link
    save(app, HOSTILE_NAME)
    assert any("already; remove it or choose another" in one.value for one in app.warning)
    [remove] = [one for one in app.sidebar.button if one.key == f"remove-view-{HOSTILE_NAME}"]
    remove.click().run()
    assert links(app) == []


def test_who_may_change_nothing_opens_views_and_saves_none(
    world_db: Path, app_on: Callable[[Path], AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(rights.VARIABLE, "1")
    app = app_on(world_db).run()
    assert not [one for one in app.sidebar.button if one.label == "Save view"]
    monkeypatch.setenv(rights.VARIABLE, "")
    with store.connect(world_db) as db:
        store.add_saved_view(db, VIEW)
    monkeypatch.setenv(rights.VARIABLE, "1")
    app = app_on(world_db).run()
    assert links(app) == ['<a href="./curves?task=adding&amp;split=sides">for the talk</a>']
    mine = [one for one in app.sidebar.button if one.label.startswith(("Save view", "Remove"))]
    assert len(mine) == 2 and all(one.disabled for one in mine)


@pytest.mark.parametrize(
    ("view", "refusal"),
    [
        (SavedView("", "fit", ""), "the name of a view must be a text that is not empty"),
        (SavedView("a\u202eb", "fit", ""), "invisible character U\\+202E"),
        (SavedView("a" * 101, "fit", ""), "has 101 characters, at most 100 are kept"),
        (SavedView("a", "fit", "x" * (LONGEST_QUERY + 1)), "take 8,001 characters, at most 8,000"),
        (SavedView(VIEW.name, "fit", ""), "a view is called 'for the talk' already"),
    ],
)
def test_a_view_that_cannot_be_kept_is_refused(
    database: Path, view: SavedView, refusal: str
) -> None:
    with store.connect(database) as db:
        store.add_saved_view(db, VIEW)
    with pytest.raises(InputError, match=refusal), store.connect(database) as db:
        store.add_saved_view(db, view)
    with store.connect(database, read_only=True) as db:
        assert store.saved_views(db) == [VIEW]


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_stored_view_leads_away_from_the_server(page: str, query: str) -> None:
    try:
        page.encode(), query.encode()
    except UnicodeEncodeError:
        return  # which the database cannot hold
    address = urlsplit(saved_views.link(SavedView("x", page, query)))
    assert (address.scheme, address.netloc) == ("", "")
    assert address.path.startswith("./")
