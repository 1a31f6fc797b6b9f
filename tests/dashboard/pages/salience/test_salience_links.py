"""Laws of links into the text: what they restore, and what they say of what is gone."""

from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.components import token_heatmap
from dashboard.queries import fit_tokens
from dashboard.views.salience import position, strongest_tokens, token_kinds
from dashboard.views.salience.position import Position
from dashboard.widgets import text
from tests.support.salience_page import DOCS, LONG, MODELS, opened


def test_a_link_restores_the_view(app: AppTest) -> None:
    app.query_params["source"] = "notes"
    app.query_params["colour"] = "loss"
    app.query_params["model_a"] = "cow"
    app.query_params["find"] = "ann"
    app.query_params["token"] = ["note:0", "note:2"]
    opened(app)
    assert not app.warning
    assert app.multiselect(key="source").value == ["notes"]
    assert app.selectbox(key="model_a").value == "cow"
    assert any("2 matches in 1 of 1 documents" in one.value for one in app.caption)
    assert app.subheader[0].value == "Tokens 0 to 2"
    assert app.code[0].value == "Ann"
    assert len(app.dataframe[0].value) == len(MODELS)


def test_a_link_to_what_is_gone_says_so_and_the_rest_is_shown(app: AppTest) -> None:
    app.query_params["source"] = "gone"
    app.query_params["colour"] = "loss"
    app.query_params["model_a"] = "yak"
    app.query_params["token"] = "note:999"
    opened(app)
    [warning] = app.warning
    for name in ("source 'gone'", "model_a 'yak'", "token 'note:999'"):
        assert text.plain(name) in warning.value
    app.run()
    assert not app.warning


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("brush", "zzz", "'zzz' as Token kinds, which is not offered. nothing is shown"),
        ("brush_does", "burn", "'burn' as Selected tokens, which is not offered. exclude is"),
        ("pattern", "x" * 900, f"'{LONG}' as Your pattern, which is not offered."),
        ("find", "x" * 900, f"as Search in the texts, which is not offered. {LONG} is shown."),
        ("per", "mile", "'mile' as Nats per, which is not offered. token is shown."),
        ("only", "maybe", "'maybe' as Only documents with a match, which is not offered. off is"),
    ],
)
def test_a_control_says_what_a_link_asks_of_it_in_vain(
    app: AppTest, key: str, value: str, said: str
) -> None:
    app.query_params["source"] = "notes"
    app.query_params["colour"] = "loss"
    app.query_params["find"] = "ann"
    app.query_params[key] = value
    opened(app)
    [warning] = app.warning
    assert said in warning.value


def test_the_brush_drops_tokens_and_shows_no_error_that_the_fit_does_not(app: AppTest) -> None:
    app.query_params["brush"] = "digits"
    opened(app)
    shown = {one.label: one for one in app.metric}
    assert set(shown) == {"Tokens in the score", "train MSE", "validation MSE"}  # no test
    assert shown["Tokens in the score"].value == "54"  # of 57, three are digits
    assert shown["train MSE"].delta.endswith("%")
    app.button_group(key="brush").set_value([token_kinds.PATTERN])
    app.text_input(key="pattern").set_value("(").run()
    assert not app.exception
    assert "is no regular expression" in app.warning[0].value
    app.text_input(key="pattern").set_value("^[A-Z]$").run()
    assert not app.warning
    assert app.metric[0].value == "53"


def test_a_link_with_a_token_alone_opens_its_document_and_source(app: AppTest) -> None:
    app.query_params["token"] = "note:4"
    opened(app)
    assert not app.warning
    assert not app.info
    assert app.subheader[0].value == "Token 4"
    assert app.multiselect(key="source").value == ["notes"]
    assert app.multiselect(key="doc").value == ["note"]
    assert (app.query_params["source"], app.query_params["doc"]) == ("notes", "note")


def test_a_link_with_a_token_that_is_read_anyway_changes_nothing(app: AppTest) -> None:
    app.query_params["token"] = "=sum-2:1"
    opened(app)
    assert app.subheader[0].value == "Token 1"
    assert app.multiselect(key="source").value == ["sums"]
    assert not {"source", "doc"} & set(app.query_params)


def test_a_link_to_a_document_of_another_source_shows_it(app: AppTest) -> None:
    app.query_params["doc"] = "note"
    opened(app)
    assert not app.warning
    assert app.multiselect(key="source").value == ["notes"]
    assert app.multiselect(key="doc").value == ["note"]


def test_a_link_to_a_document_that_its_sources_lack_says_so(app: AppTest) -> None:
    app.query_params["source"] = "sums"
    app.query_params["doc"] = "note"
    opened(app)
    [warning] = app.warning
    assert "doc 'note'" in warning.value


def test_an_emptied_choice_in_a_link_is_no_name(app: AppTest) -> None:
    app.query_params["source"] = ""
    app.query_params["doc"] = "note"
    opened(app)
    assert not app.warning
    assert app.multiselect(key="source").value == []
    assert app.multiselect(key="doc").value == ["note"]


def test_the_strongest_tokens_are_the_same_whatever_one_begins_with(app: AppTest) -> None:
    app.query_params["source"] = ""
    opened(app)
    tables = []
    for begin in ([], ["note"]):
        app.multiselect(key="doc").set_value(begin).run()
        tables.append(next(one.value for one in app.dataframe if "before" in one.value))
    assert tables[0].equals(tables[1])
    assert set(tables[0]["doc_id"]) == {doc.doc_id for doc in DOCS}


def test_a_jump_begins_with_a_document_only_where_the_text_does_not_come_to_it(
    texts: fit_tokens.FitTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", state)
    strongest_tokens.go_to(texts, [0, 1, 2], Position("note", 3))
    assert "doc" not in state
    strongest_tokens.go_to(texts, [2], Position("sum-1", 3))
    assert state["doc"] == ["sum-1"]
    assert state["selection"] == (Position("sum-1", 3), Position("sum-1", 3))


def test_the_text_is_loaded_as_far_as_the_first_match_and_tells_of_those_beyond(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawings: list[token_heatmap.Drawing] = []
    draw = token_heatmap.heatmap

    def heatmap(drawing: token_heatmap.Drawing, *rest: Any) -> Any:
        drawings.append(drawing)
        return draw(drawing, *rest)

    monkeypatch.setattr(token_heatmap, "heatmap", heatmap)
    monkeypatch.setattr(position, "FIRST", 1)
    app.query_params["source"] = ""
    app.query_params["find"] = "a"  # none in the first document, one in the second, then five
    opened(app)
    assert (len(drawings[-1].docs), len(drawings[-1].matches), drawings[-1].beyond) == (2, 1, 5)
    assert any(
        one.value.startswith("5 of 6 matches are in documents further on") for one in app.caption
    )
    app.text_input(key="find").set_value("saw").run()
    assert (len(drawings[-1].docs), len(drawings[-1].matches), drawings[-1].beyond) == (3, 1, 0)
    assert not any("further on" in one.value for one in app.caption)
