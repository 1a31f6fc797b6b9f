"""The warning about a link: one, whatever the link names in vain, until other values are chosen."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.widgets import text

pytestmark = pytest.mark.slow


def about_links(app: AppTest) -> list[str]:
    return [one.value for one in app.warning if "link" in one.icon]


def test_several_invalid_parameters_make_one_warning(
    app_on: Callable[[Path], AppTest], world_db: Path
) -> None:
    app = app_on(world_db)
    for key in ("corpus", "split", "task"):
        app.query_params[key] = "gone"
    app.run()
    [warning] = about_links(app)
    assert [line.split(" as ")[1].split(",")[0] for line in warning.split("\n")] == [
        *("Corpus", "Split", "Task"),
    ]
    assert not app.sidebar.warning
    box = app.selectbox(key="task")
    box.set_value(box.options[-1]).run()
    [warning] = about_links(app)
    assert warning.count("The link asks for") == 2


def test_one_sentence_is_no_list() -> None:
    assert text.listed(["one."]) == "one."
    assert text.listed(["one.", "two."]) == "- one.\n- two."
