"""Laws of the sources that a task opens at."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from csvcore import salience, store
from csvcore.records import Document
from dashboard.components import token_heatmap
from dashboard.queries.database import Database
from tests.support.salience_page import DOCS, TASKS, fit_of, opened

STRONGEST_OF = {"adding": "notes", "reading": "sums", "whole": "sums"}  # of the weights above


def shown_docs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The headings of every text that is drawn from now on."""
    drawings: list[list[str]] = []
    draw = token_heatmap.heatmap

    def heatmap(drawing: token_heatmap.Drawing, *rest: Any) -> Any:
        drawings.append([title for title, _ in drawing.docs])
        return draw(drawing, *rest)

    monkeypatch.setattr(token_heatmap, "heatmap", heatmap)
    return drawings


def link_of(app: AppTest) -> dict[str, Any]:
    """What the copied link names: the address, and the choices that the button spells out."""
    [button] = [one for one in app.get("bidi_component") if "top_bar" in one.proto.component_name]
    return json.loads(button.proto.json)["choices"] | dict(app.query_params)


def test_the_strongest_source_has_the_largest_share_of_the_absolute_weight() -> None:
    docs = [Document(str(i), source, "abcd") for i, source in enumerate("xyy")]
    edges = [np.array([0, 4]), np.array([0, 2, 4]), np.array([0, 2, 4])]
    assert salience.strongest_source(docs, edges, np.array([-9.0, 2.0, 2.0, 2.0, 2.0])) == "x"
    assert salience.strongest_source(docs, edges, np.array([3.0, 1.0, 1.0, 1.0, 1.0])) == "y"
    assert salience.strongest_source(docs, edges, np.zeros(5)) == "x"


@pytest.mark.parametrize("task", TASKS)
def test_a_task_opens_at_its_strongest_source(
    app: AppTest, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = shown_docs(monkeypatch)
    app.query_params["task"] = task
    opened(app)
    assert app.multiselect(key="source").value == [STRONGEST_OF[task]]
    assert all(title.endswith(STRONGEST_OF[task]) for title in drawn[-1])


def test_the_sources_follow_another_task_whatever_was_chosen_by_hand(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = shown_docs(monkeypatch)
    opened(app)
    app.multiselect(key="doc").set_value(["=sum-2"]).run()
    app.selectbox(key="task").set_value("adding").run()
    assert not app.exception
    assert app.multiselect(key="source").value == ["notes"]
    assert app.multiselect(key="doc").value == []
    assert drawn[-1] == ["note \u00b7 notes"]
    app.multiselect(key="source").set_value(["sums", "notes"]).run()
    app.selectbox(key="task").set_value("whole").run()
    assert app.multiselect(key="source").value == ["sums"]
    assert drawn[-1] == ["sum-1 \u00b7 sums", "=sum-2 \u00b7 sums"]
    assert not app.warning


def test_the_sources_follow_a_task_that_was_changed_on_another_page(app: AppTest) -> None:
    opened(app)
    app.multiselect(key="source").set_value(["sums", "notes"]).run()
    app.switch_page("dashboard/pages/overview.py").run()
    app.selectbox(key="task").set_value("adding").run()
    app.switch_page("dashboard/pages/salience.py").run()
    assert app.multiselect(key="source").value == ["notes"]


def test_what_was_chosen_by_hand_stays_while_the_task_does(app: AppTest) -> None:
    opened(app)
    app.multiselect(key="source").set_value(["notes"]).run()
    app.text_input(key="find").set_value("cat").run()
    app.switch_page("dashboard/pages/overview.py").run()
    app.switch_page("dashboard/pages/salience.py").run()
    assert app.multiselect(key="source").value == ["notes"]


def test_a_document_and_a_token_of_the_new_source_stay_and_others_go(app: AppTest) -> None:
    app.query_params["doc"] = "=sum-2"
    app.query_params["token"] = "=sum-2:0"
    opened(app)
    app.selectbox(key="task").set_value("whole").run()
    assert app.multiselect(key="doc").value == ["=sum-2"]
    assert app.subheader[0].value == "Token 0"
    app.selectbox(key="task").set_value("adding").run()
    assert app.multiselect(key="doc").value == []
    assert not [one for one in app.subheader if one.value.startswith("Token ")]
    assert not app.info
    assert not {"doc", "token"} & set(app.query_params)


@pytest.mark.parametrize("by_hand", [None, ["sums"], ["notes", "sums"], []])
def test_a_copied_link_shows_a_second_reader_the_same_source_and_document(
    app: AppTest,
    app_on: Callable[..., AppTest],
    database: Database,
    by_hand: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = shown_docs(monkeypatch)
    app.query_params["source"] = "notes"  # by a link that names a source: it is obeyed
    opened(app)
    assert app.multiselect(key="source").value == ["notes"]
    app.selectbox(key="task").set_value("adding").run()
    if by_hand is not None:
        app.multiselect(key="source").set_value(by_hand).run()
        # A browser writes what is chosen by hand into the address; here nobody does.
        app.query_params["source"] = by_hand or ""
        app.run()
    seen = drawn[-1]
    second = app_on(database.path, seconds=120)
    second.query_params.update(link_of(app))
    second.switch_page("dashboard/pages/salience.py").run()
    assert not second.exception
    assert not second.warning
    assert second.selectbox(key="task").value == "adding"
    assert second.multiselect(key="source").value == app.multiselect(key="source").value
    assert drawn[-1] == seen


def test_another_fit_of_the_task_keeps_the_sources_and_names_them_in_the_address(
    app_on: Callable[..., AppTest], database: Database, tmp_path: Path
) -> None:
    path = Path(shutil.copy(database.path, tmp_path / "two.duckdb"))
    edges = [np.arange(len(doc.text.encode()) + 1) for doc in DOCS]
    n = sum(cuts.size - 1 for cuts in edges)
    with store.connect(path) as db:
        older = replace(fit_of("adding"), fit="adding-other")
        store.add_fit(db, older, [doc.doc_id for doc in DOCS], edges, np.linspace(2.0, 0.0, n))
    app = app_on(path, seconds=120)
    app.query_params.update({"task": "adding", "fit": "adding-fit"})
    opened(app)
    app.selectbox(key="fit").set_value("adding-other").run()
    assert app.multiselect(key="source").value == ["notes"]
    assert app.query_params["source"] in ("notes", ["notes"])
