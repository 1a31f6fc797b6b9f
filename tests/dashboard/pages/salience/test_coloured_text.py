"""Laws of the text: what is read, coloured, ranked and exported."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.errors import InputError
from csvcore.figures.token_heatmap import LONGEST, short
from csvcore.formats.csv_tables import read_tasks
from dashboard.queries import fit_tokens
from dashboard.queries.database import Database
from dashboard.views.salience import colouring, export, position, strongest_tokens
from dashboard.views.salience.colouring import ColourChoice
from dashboard.views.salience.position import Position, Screen
from tests.support.salience_page import DOCS, TASKS, opened


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
    cut = short("x" * 1_000_000)
    assert len(cut) < LONGEST + 50
    assert cut.endswith("(998,000 more characters)")
    assert short("x") == "x"


def test_a_search_tells_of_matches_in_sources_that_are_not_read(app: AppTest) -> None:
    app.query_params["source"] = "sums"
    app.query_params["find"] = "ann"
    opened(app)
    told = next(one.value for one in app.caption if "matches in" in one.value)
    assert told.startswith("0 matches in 0 of")
    assert told.endswith("; 2 in documents outside these sources")
