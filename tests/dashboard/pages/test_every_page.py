"""Laws of every page: help on every control, links that keep a view and say what is gone."""

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.fitting.config import FitConfig
from csvcore.formats.parquet import UPLOAD
from csvcore.pipeline import compare
from dashboard.queries import comparisons, roles
from dashboard.widgets import text

ROOT = Path(__file__).parents[3]
PAGES = sorted(p for p in (ROOT / "dashboard" / "pages").glob("*.py") if p.stem != "__init__")


@pytest.fixture(scope="module")
def fitted(_world_made: Path, tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up world with every method fitted on one task."""
    folder = tmp_path_factory.mktemp("pages") / "db"
    shutil.copytree(_world_made, folder)
    config = FitConfig(members=1, scorer=str(tiny_lm), penalty=1e-4)
    compare.compare(folder / "world.duckdb", "words", "sides", ["reading"], config)
    return folder / "world.duckdb"


@pytest.fixture
def app(app_on: Callable[[Path], AppTest], fitted: Path) -> AppTest:
    return app_on(fitted)


def widgets(node: Any) -> Iterator[Any]:
    """Protos of all controls below a node: those that have an id and a place for help."""
    for child in getattr(node, "children", {}).values():
        yield from widgets(child)
    proto = getattr(node, "proto", None)
    if proto is not None and {"id", "help"} <= set(proto.DESCRIPTOR.fields_by_name):
        yield proto


@pytest.mark.parametrize("where", sorted(path.stem for path in PAGES))
def test_every_control_has_a_sentence_of_help(app: AppTest, where: str) -> None:
    app.query_params["task"] = "reading"
    app.run()
    app.switch_page(f"dashboard/pages/{where}.py").run()
    assert not app.exception
    found = list(widgets(app._tree))
    assert len(found) >= 3  # the side bar at least
    assert [one.label for one in found if not one.help] == []


def about_links(app: AppTest) -> list[str]:
    """What the page says of its address."""
    return [one.value for one in app.warning if "link" in one.icon]


@pytest.mark.parametrize(
    ("where", "key", "title"),
    [
        ("overview", "corpus", "Corpus"),
        ("overview", "split", "Split"),
        ("overview", "task", "Task"),
        ("predict", "by", "Method"),
        ("predict", "runs", "Training runs"),
        ("curves", "why-model", "Model \\(largest error first\\)"),
        ("models", "start", "Base split"),
        ("fit", "fit-tasks", "Tasks"),
        ("fit", "fit-methods", "Methods"),
    ],
)
def test_a_link_that_names_what_is_gone_says_what_is_shown_instead(
    app: AppTest, where: str, key: str, title: str
) -> None:
    app.query_params["task"] = "reading"
    app.query_params[key] = "**gone**"
    app.switch_page(f"dashboard/pages/{where}.py").run()
    assert not app.exception
    (said,) = about_links(app)
    value = app.session_state[key]
    several = value if isinstance(value, list) else [value]
    assert said.startswith(
        f"The link asks for '\\*\\*gone\\*\\*' as {title}, which is not offered."
    )
    assert said.endswith(" is shown.")
    assert several
    app.run()
    assert about_links(app) == [said]  # stays until another choice is made


def test_the_word_about_a_link_goes_with_another_choice(app: AppTest) -> None:
    app.query_params["task"] = "gone"
    app.run()
    box = next(one for one in app.selectbox if one.key == "task")
    assert len(about_links(app)) == 1
    box.set_value(box.options[-1]).run()
    assert not about_links(app)


def test_a_link_to_what_is_there_says_nothing(app: AppTest) -> None:
    app.query_params["task"] = "reading"
    app.query_params["by"] = "All tokens"
    app.switch_page("dashboard/pages/predict.py").run()
    assert not app.exception
    assert not app.warning
    assert app.session_state["by"] == "all-token"


def copied(app: AppTest) -> dict[str, str]:
    """What the copied link names besides what stands in the address."""
    (button,) = [one for one in app.get("bidi_component") if "top_bar" in one.proto.component_name]
    named: dict[str, str] = json.loads(button.proto.json)["choices"]
    return named


def test_the_copied_link_names_all_of_the_side_bar_even_at_its_defaults(
    app: AppTest, fitted: Path
) -> None:
    app.query_params["task"] = "reading"
    app.run()
    with store.connect(fitted, read_only=True) as db:
        fits = store.newest(store.fits(db), "words", "sides")
    (newest,) = fits.loc[(fits["task"] == "reading") & (fits["method"] == "csv"), "fit"]
    assert copied(app) == {
        "corpus": "words", "split": "sides", "task": "reading", "fit": newest
    }  # fmt: skip


def test_viewers_see_no_uploader_on_any_page(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "role", lambda: "viewer")
    app.query_params["task"] = "reading"
    for page in PAGES:
        app.switch_page(f"dashboard/pages/{page.name}").run()
        assert not app.exception
        assert not app.file_uploader, page.stem


def parquet(n_values: int) -> bytes:
    """One column of equal values: some bytes, however many."""
    out = io.BytesIO()
    pq.write_table(pa.table({"nll": pa.repeat(pa.scalar(True), n_values)}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a table", r"is not a Parquet file that can be read"),
        (parquet(3), r"lacks the column model, doc_id, byte_start, byte_end"),
        (bytes(comparisons.UPLOAD_MB * 2**20 + 2**20), r"has 21 MB, at most 20 MB are taken here"),
        (
            parquet(UPLOAD.values + 1),
            r"has 50,000,001 values, at most 50,000,000 are taken",
        ),
    ],
    ids=["junk", "other table", "too large", "unfolds"],
)
def test_an_upload_that_is_refused_says_why_in_one_sentence(
    app: AppTest, content: bytes, said: str
) -> None:
    app.query_params["task"] = "reading"
    app.switch_page("dashboard/pages/predict.py").run()
    app.file_uploader[0].upload("*mine*.parquet", content).run()
    assert not app.exception
    (told,) = [one.value for one in app.warning]
    assert re.match(r"\\\*mine\\\*\\\.parquet ", told)
    assert re.search(said, told.replace("\\", ""))
    assert "\n" not in told


def test_a_message_keeps_its_commands_and_nothing_else_of_markdown() -> None:
    assert text.sentence("**x** lacks `a*b`") == "\\*\\*x\\*\\* lacks `a*b`"
    assert text.sentence("a ` b *") == "a \\` b \\*"


def test_the_chosen_fit_can_be_taken_away_as_its_report(app: AppTest) -> None:
    app.query_params["task"] = "reading"
    app.switch_page("dashboard/pages/curves.py").run()
    labels = [one.proto.label for one in app.get("download_button")]
    assert labels.count("Report") == 1
    assert labels.count("HTML") == labels.count("CSV") == 5  # three curves, the sources, the replay
