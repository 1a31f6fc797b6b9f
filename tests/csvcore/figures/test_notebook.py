"""Laws of the notebook's heatmap: what is sent to the renderer, and what a selection is."""

import builtins
import json
from typing import Any

import numpy as np
import pytest

from csvcore.errors import InputError
from csvcore.figures import notebook
from csvcore.figures.notebook import AT_ONCE, drawing, weighted, widget
from csvcore.figures.scales import Scale
from csvcore.figures.token_heatmap import MARKUP, RENDERER, STYLE
from csvcore.records import Document

SCRIPT = "<script>window.hacked=1</script>"
DOCS = (Document("a", "sums", "1+猫"), Document("b", "notes", SCRIPT))
EDGES = [np.array([0, 1, 3, 5]), np.array([0, 8, len(SCRIPT)])]  # the cat is cut after a byte
WEIGHTS = [np.array([2.0, 1.0, 3.0]), np.array([0.0, 4.0])]
TEXTS = [weighted(*row) for row in zip(DOCS, EDGES, WEIGHTS, strict=True)]
SCALE = Scale("weight", "1 is the mean", 4.0)


def test_cells_are_whole_characters_with_the_mean_weight_of_their_tokens() -> None:
    drawn = drawing(TEXTS, SCALE, AT_ONCE)
    assert drawn["tokens"] == {
        "text": ["1", "+猫", "<script>", SCRIPT[8:]],
        "level": [4, 4, 0, 9],  # of 9 at 4, to the nearest even
        "value": [2.0, 2.0, 0.0, 4.0],
        "weight": [2.0, 2.0, 0.0, 4.0],
        "hatched": [False] * 4,
    }
    assert drawn["docs"] == [{"title": "a · sums", "at": 0}, {"title": "b · notes", "at": 2}]
    assert drawn["more"] == ""
    json.dumps(drawn, allow_nan=False)  # what travels to the browser


def test_further_documents_are_sent_when_the_reader_asks() -> None:
    shown = widget(TEXTS, SCALE)
    shown.drawing = drawing(shown.texts, SCALE, 1)
    assert shown.drawing["more"] == "Load next documents (1 of 2 shown)"
    before = shown.drawing["version"]
    shown.wanted = 3
    assert (len(shown.drawing["docs"]), shown.drawing["more"]) == (2, "")
    assert shown.drawing["version"] != before  # or the renderer would not draw them


def test_a_selection_is_a_table_of_its_tokens() -> None:
    shown = widget(TEXTS, SCALE)
    assert shown.selection().empty
    shown.selected = {"start": 1, "end": 2}
    assert shown.selection().values.tolist() == [
        ["a", "sums", "+猫", 2.0],
        ["b", "notes", "<script>", 0.0],
    ]


def test_the_widget_has_the_dashboards_renderer_and_no_token_in_its_code() -> None:
    shown = widget(TEXTS, SCALE)
    code = str(shown._esm)
    assert RENDERER in code
    assert json.dumps(MARKUP) in code and json.dumps(STYLE) in code
    assert SCRIPT not in code
    for unsafe in ("innerHTML", "insertAdjacentHTML", "outerHTML", "document.write"):
        assert unsafe not in RENDERER


def test_without_anywidget_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "anywidget":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    notebook._widget_class.cache_clear()
    with pytest.raises(InputError, match=r"needs anywidget; `pip install 'csvcore\[notebook\]'`"):
        widget([], SCALE)
