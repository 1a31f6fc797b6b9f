"""Laws of the Salience page: what is read, coloured, exported, linked to; on three small texts."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import streamlit as st
from numpy.testing import assert_allclose
from streamlit.testing.v1 import AppTest

from csvcore import salience, store
from csvcore.errors import InputError
from csvcore.formats.csv_tables import corpus_sha256, read_tasks
from csvcore.formats.loss_packs import loss_table
from csvcore.records import Accuracy, Document, Fit, ModelCard, Prediction, Task, TokenLosses
from dashboard.components import token_heatmap
from dashboard.queries import fit_tokens
from dashboard.queries.database import Database
from dashboard.views.salience import colouring, export, position, strongest_tokens, token_kinds
from dashboard.views.salience.colouring import ColourChoice
from dashboard.views.salience.position import Position, Screen
from dashboard.widgets import text

DOCS = [
    Document("sum-1", "sums", "2 plus 6 = 8.", ((11, 12),)),
    Document("=sum-2", "sums", 'A <script>😀 "x"\n'),
    Document("note", "notes", "Ann sat. The cat Ann saw."),
]
MODELS = ["ant", "bee", "cow", "dog", "elk"]
TASKS = ("adding", "reading", "whole")
LONG = "x" * 60 + "\u2026"  # what a message repeats of a long word
SIDES = ["train", "train", "train", "validation", "test"]


def fit_of(task: str) -> Fit:
    placed = [
        Prediction(model, side, 1.0 + k / 10, 0.8 - k / 10, 0.8 - k / 9, 0.0, 1.0)
        for k, (model, side) in enumerate(zip(MODELS, SIDES, strict=True))
    ]
    return Fit(
        f"{task}-fit", "small", "sides", task, "csv", -1.0, 1.0, 0.0, 0, 0.0,
        {"train": 3, "validation": 1, "test": 1}, {"train": 0.01, "validation": 0.01}, {},
        tuple(placed),
    )  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Five models that read bytes, and fits of three tasks; the last has other tokens."""
    path = tmp_path_factory.mktemp("salience") / "small.duckdb"
    store.create(path)
    edges = [np.arange(len(doc.text.encode()) + 1) for doc in DOCS]
    n = sum(cuts.size - 1 for cuts in edges)
    rng = np.random.default_rng(0)
    with store.connect(path) as db:
        store.add_corpus(db, "small", corpus_sha256(DOCS), DOCS)
        store.add_models(db, [ModelCard(name, name[0], k) for k, name in enumerate(MODELS)])
        store.add_tasks(db, [Task(name, 0.0, sources=("sums",)) for name in TASKS])
        store.add_split(db, "sides", dict(zip(MODELS, SIDES, strict=True)))
        store.add_accuracies(db, [Accuracy("ant", "adding", 0.8)])
        rows = [
            TokenLosses(name, doc.doc_id, cuts[:-1], cuts[1:], rng.gamma(2.0, 1.0, cuts.size - 1))
            for name in MODELS
            for doc, cuts in zip(DOCS, edges, strict=True)
        ]
        store.add_losses(db, "small", loss_table(rows), None)
        names = [doc.doc_id for doc in DOCS]
        weight = np.linspace(0.0, 2.0, n)
        store.add_fit(db, fit_of("adding"), names, edges, weight, np.full(n, 0.1))
        store.add_fit(db, fit_of("reading"), names, edges, weight[::-1])
        whole = [np.array([0, cuts[-1]]) for cuts in edges]
        store.add_fit(db, fit_of("whole"), names, whole, np.ones(3))
    return Database(path, path.stat().st_mtime_ns)


@pytest.fixture
def texts(database: Database) -> fit_tokens.FitTokens:
    return fit_tokens.read(database, "adding-fit")


@pytest.fixture
def app(app_on: Callable[..., AppTest], database: Database) -> AppTest:
    app = app_on(database.path, seconds=120)
    app.query_params["task"] = "reading"
    return app


def opened(app: AppTest) -> AppTest:
    app.run()
    app.switch_page("dashboard/pages/salience.py").run()
    assert not app.exception
    return app


def test_cells_tokens_and_characters_of_all_documents_agree(texts: fit_tokens.FitTokens) -> None:
    assert "".join(texts.cells.text) == "".join(doc.text for doc in DOCS)
    assert texts.chars.sum() == pytest.approx(sum(len(doc.text) for doc in DOCS))
    assert len(texts.token_text()) == texts.weight.size == texts.first_token[-1]
    emoji = texts.cells.text.index("😀")
    assert texts.doc_of(emoji) == 1
    assert DOCS[1].text[texts.cell_at[emoji]] == "😀"
    assert texts.token_text().count("😀") == 4


def test_chosen_documents_come_first_and_then_what_follows_in_the_sources() -> None:
    assert position.order(DOCS, [], []) == [0, 1, 2]
    assert position.order(DOCS, ["sums"], ["=sum-2"]) == [1]
    assert position.order(DOCS, [], ["note", "sum-1", "gone"]) == [2, 0, 1]


def test_as_many_documents_are_shown_as_are_wanted_needed_and_possible(
    texts: fit_tokens.FitTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert position.fitting(texts, [0, 1, 2], 1) == [0]
    assert position.fitting(texts, [0, 1, 2], texts.n_cells(0) + 1) == [0, 1]
    assert position.fitting(texts, [0, 1, 2], 1, needed=3) == [0, 1, 2]
    monkeypatch.setattr(position, "MOST", 5)
    assert position.fitting(texts, [2, 1], 100) == [2]


def test_places_on_the_screen_and_in_a_link_are_the_same_both_ways(
    texts: fit_tokens.FitTokens,
) -> None:
    screen = Screen(texts, [2, 0])
    for cell in range(screen.cells.size):
        named = position.parse(str(screen.position(cell)))
        assert named is not None
        assert screen.find(named) == cell
    assert screen.find(Position("=sum-2", 0)) is None
    assert screen.find(Position("note", 99)) is None
    assert position.parse("no number:x") is None
    assert position.parse("") is None


def test_a_search_finds_plain_text_and_outlines_the_cells_it_lies_in(
    texts: fit_tokens.FitTokens,
) -> None:
    screen = Screen(texts, [1, 2])
    shown = [texts.cells.text[cell] for cell in screen.cells.tolist()]
    for wanted, n in (("ann", 2), ("<script>😀", 1), (".", 2), ("(", 0), ("", 0)):
        found = screen.matches(wanted)
        assert ["".join(shown[a : b + 1]).lower() for a, b in found] == [wanted] * n


def test_a_difference_of_losses_is_zero_centred_and_the_same_per_token_and_per_byte(
    database: Database, texts: fit_tokens.FitTokens
) -> None:
    choice = ColourChoice("loss difference", "ant", "bee")
    found = colouring.coloured(database, texts, choice)
    one, other = fit_tokens.losses(database, "adding-fit", ("ant", "bee")).astype(float)
    assert_allclose(found.tokens, one - other)
    assert found.cells.sum() == pytest.approx((one - other).sum())
    assert (found.scale.levels(np.array([0.0, -9.0, 9.0])) == [0, -9, 9]).all()
    per = ColourChoice("loss difference", "ant", "bee", "character")
    emoji = texts.cells.text.index("😀")
    by_char = colouring.coloured(database, texts, per)
    assert by_char.cells[emoji] == pytest.approx(found.cells[emoji])  # four tokens, one character
    assert by_char.scale.unit == "nats per character"


def test_a_difference_of_tasks_needs_the_same_tokens(
    database: Database, texts: fit_tokens.FitTokens
) -> None:
    choice = ColourChoice("task difference", other="reading-fit", other_task="reading")
    found = colouring.coloured(database, texts, choice)
    assert_allclose(found.tokens, texts.weight - texts.weight[::-1], atol=1e-6)
    with pytest.raises(InputError, match="fit of whole was made on the tokens of another scorer"):
        colouring.coloured(
            database, texts, ColourChoice("task difference", other="whole-fit", other_task="whole")
        )


def test_unsure_weights_are_hatched_and_a_fit_without_spread_says_so(
    database: Database, texts: fit_tokens.FitTokens
) -> None:
    found = colouring.coloured(database, texts, ColourChoice("instability"))
    assert found.hatched is not None
    weight = texts.cells.mean(texts.weight)
    sure = (weight > 0.2) & (np.abs(weight - 1.0) > 0.2)
    assert not found.hatched[sure].any()
    assert found.hatched[weight < 0.05].all()
    with pytest.raises(InputError, match="kept no spread of its weights"):
        colouring.coloured(
            database, fit_tokens.read(database, "reading-fit"), ColourChoice("instability")
        )


def test_the_strongest_tokens_come_with_their_text(
    texts: fit_tokens.FitTokens, database: Database
) -> None:
    found = colouring.coloured(database, texts, ColourChoice())
    table = strongest_tokens.strongest(texts, [0, 2], found, 5)
    assert table["text"].tolist() == list(".was ")
    assert table["before"].iloc[0] == "Ann sat. The cat Ann saw"
    assert table["weight"].is_monotonic_decreasing
    assert table["token"].iloc[0] == len(DOCS[2].text) - 1


def test_token_types_are_ranked_by_their_mean_with_an_example(
    texts: fit_tokens.FitTokens, database: Database
) -> None:
    found = colouring.coloured(database, texts, ColourChoice())
    table = strongest_tokens.types(texts, [0, 2], found, 2)
    words = [texts.cells.text[cell] for cell in range(int(texts.first_cell[3]))]
    here = [k for k in range(len(words)) if texts.doc_of(k) in (0, 2)]
    means = {
        word: np.mean([found.cells[k] for k in here if words[k] == word])
        for word in {words[k] for k in here}
        if sum(words[k] == word for k in here) >= 2
    }
    assert table["text"].tolist() == sorted(means, key=lambda word: -means[word])
    assert_allclose(table["mean"], [means[word] for word in table["text"]])
    for row in table.itertuples():
        i = texts.index(str(row.doc_id))
        assert i is not None
        assert texts.cells.text[int(texts.first_cell[i]) + int(row.token)] == row.text
    assert strongest_tokens.types(texts, [0, 2], found, 99).empty


def test_the_table_ranks_types_where_the_link_says_so(app: AppTest) -> None:
    app.query_params["rank"] = "token types"
    app.query_params["at_least"] = "2"
    opened(app)
    [table] = [one.value for one in app.dataframe if "before" in one.value]
    assert table["count"].min() == 2
    assert "\u2423" in table["text"].tolist()  # a space can be seen
    app.number_input(key="at_least").set_value(1000).run()
    [table] = [one.value for one in app.dataframe if "before" in one.value]
    assert table.empty
    assert any(one.value.startswith("0 token types") for one in app.caption)


def test_tasks_without_sources_open_as_any_other(
    app_on: Callable[..., AppTest], database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "copy.duckdb"
    shutil.copy(database.path, path)
    tasks = tmp_path / "tasks.csv"
    tasks.write_text("task,chance\n" + "".join(f"{name},0\n" for name in TASKS))
    with store.connect(path) as db:
        db.execute("UPDATE tasks SET sources = []")
        store.add_tasks(db, read_tasks(tasks))
        assert {task.sources for task in store.tasks(db)} == {()}
    app = app_on(path, seconds=120)
    app.query_params["task"] = "reading"
    opened(app)
    assert app.multiselect(key="source").value == ["sums"]
    assert not app.warning


def test_files_hold_every_token_and_a_spreadsheet_runs_none(
    texts: fit_tokens.FitTokens, database: Database
) -> None:
    found = colouring.coloured(database, texts, ColourChoice("loss", "ant"))
    table = export.table(texts, [1, 0], found)
    assert pq.read_table(io.BytesIO(export.parquet(table))).equals(table)
    assert table["doc_id"].to_pylist()[0] == "=sum-2"
    assert table["value_of"][0].as_py() == "loss of ant, nats per token"
    rows = list(csv.DictReader(io.StringIO(export.csv(table).decode())))
    assert len(rows) == len(DOCS[0].text.encode()) + len(DOCS[1].text.encode())
    assert [json.loads(row["text"]) for row in rows] == table["text"].to_pylist()
    assert not any(row[key].startswith(("=", "@")) for row in rows for key in ("doc_id", "text"))
    bare = export.table(fit_tokens.read(database, "reading-fit"), [0], found)
    assert bare["spread"].null_count == len(bare)


def test_the_exported_page_is_text_alone(texts: fit_tokens.FitTokens, database: Database) -> None:
    made = export.html(texts, [1], colouring.coloured(database, texts, ColourChoice("instability")))
    assert "<script" not in made
    assert "hatched: within one spread" in made


def test_a_huge_token_is_cut_where_nobody_could_read_on() -> None:
    cut = token_heatmap.short("x" * 1_000_000)
    assert len(cut) < token_heatmap.LONGEST + 50
    assert cut.endswith("(998,000 more characters)")
    assert token_heatmap.short("x") == "x"


def test_a_search_tells_of_matches_in_sources_that_are_not_read(app: AppTest) -> None:
    app.query_params["source"] = "sums"
    app.query_params["find"] = "ann"
    opened(app)
    told = next(one.value for one in app.caption if "matches in" in one.value)
    assert told.startswith("0 matches in 0 of")
    assert told.endswith("; 2 in documents outside these sources")


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
