"""Names of a database reach every page as text: no link, image, icon or format comes from data."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from csvcore.fitting.config import FitConfig
from csvcore.pipeline import compare
from dashboard.widgets import text
from tests.support.links import active

ROOT = Path(__file__).parents[3]
PAGES = sorted(p.stem for p in (ROOT / "dashboard" / "pages").glob("*.py") if p.stem != "__init__")
# After a name: backticks in runs, a link, addresses that Markdown links by itself, an icon.
HOSTILE = (
    " `[a](http://evil.example)``` [b](http://evil.example) http://evil.example www.evil.example"
    " me@evil.example :smile: **c**"
)
# Columns that hold a name.
NAMES = {
    "corpus", "split", "task", "model", "doc_id", "source", "family", "run", "stage", "title",
    "license", "origin",
}  # fmt: skip
# Fields that Streamlit's front end shows as plain text, or does not show.
PLAIN = {
    "slider.query_param_key", "textinput.default",
    "selectbox.options", "selectbox.value", "selectbox.raw_value", "selectbox.placeholder",
    "multiselect.options", "multiselect.raw_values", "multiselect.default", "text.body",
    "plotlychart.config", "plotlychart.spec", "plotlychart.alt",  # Plotly reads some HTML alone
    "html.body", "bidicomponent.json", "mixeddata.json",  # written by us, HTML is escaped
}  # fmt: skip
# What becomes a link, a picture, an icon or emphasis.


@pytest.fixture(scope="module")
def named(_world_made: Path, tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up world with every method fitted on one task and a hostile end to every name."""
    folder = tmp_path_factory.mktemp("names") / "db"
    shutil.copytree(_world_made, folder)
    path = folder / "world.duckdb"
    config = FitConfig(members=1, scorer=str(tiny_lm), penalty=1e-4)
    compare.compare(path, "words", "sides", ["reading"], config)
    with duckdb.connect(str(path)) as db:
        columns = db.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall()
        for table, column in columns:
            if column in NAMES:
                db.execute(f"UPDATE {table} SET {column} = {column} || ?", [HOSTILE])
        db.execute(
            "UPDATE tasks SET sources = list_transform(sources, lambda s: s || ?)", [HOSTILE]
        )
        db.execute("DELETE FROM fits WHERE method = 'stack'")  # its JSON names sources
    shutil.rmtree(path.with_name("world.duckdb.cache"))  # replays of models by their old names
    return path


def texts(node: Any) -> Iterator[tuple[str, str]]:
    """Every string that the front end gets of a page, with the field it is in."""
    for child in getattr(node, "children", {}).values():
        yield from texts(child)
    if (proto := getattr(node, "proto", None)) is not None:
        yield from strings(proto)


def strings(message: Message) -> Iterator[tuple[str, str]]:
    kind = message.DESCRIPTOR.name.lower()
    for field, value in message.ListFields():
        repeated = hasattr(value, "__len__") and not isinstance(value, str | bytes | Message)
        for one in value if repeated else [value]:
            if isinstance(one, Message):
                yield from strings(one)
            elif (kind, field.name) == ("dataframe", "columns"):
                columns = json.loads(one).values()
                yield from ((f"{kind}.help", column.get("help") or "") for column in columns)
            elif isinstance(one, str):
                yield f"{kind}.{field.name}", one


@pytest.mark.slow
@pytest.mark.parametrize("where", PAGES)
def test_no_name_is_more_than_text(where: str, app_on: Callable[..., AppTest], named: Path) -> None:
    app = app_on(named)
    app.query_params["task"] = "reading" + HOSTILE
    app.query_params["corpus"] = "gone" + HOSTILE
    app.query_params["split"] = "gone" + HOSTILE
    app.run()
    app.switch_page(f"dashboard/pages/{where}.py").run()
    assert not app.exception, app.exception[0].stack_trace
    if where == "paper":
        return  # no name of the database is on it but in the side bar
    for button in app.button:
        if button.label.startswith("Show test"):
            button.click().run()
            break
    found = [(field, shown) for field, shown in texts(app._tree) if "evil" in shown]
    assert len(found) > 3
    assert [
        (field, active(shown), shown)
        for field, shown in found
        if not (field in PLAIN or field.endswith(".id")) and active(shown)
    ] == []


@given(st.text(alphabet="`[]()!<>*_~$:./@whtpe1-\n\\ a&#|+", max_size=60))
def test_no_text_escapes_its_escapes(data: str) -> None:
    for shown in (text.plain(data), text.sentence(data), text.sentence(f"{data}; use `a b`")):
        assert active(shown) is None
    bare = re.sub(r"\\(.)", r"\1", text.plain(data)).replace(text.WORD_JOINER, "")
    assert bare == " ".join(data.splitlines())


def test_backticks_of_a_name_do_not_open_or_close_a_command() -> None:
    name = "`[x](http://evil.example)```"
    assert text.sentence(f"no {name}; run `csvcore models`") == (
        f"no {text.plain(name)}; run `csvcore models`"
    )
