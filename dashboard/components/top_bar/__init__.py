"""The bar above every page: product name, links, list of keys, tour, and the copied address."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

NAME = "CSV Lab"
PURPOSE = "Predict what a language model can do from the losses it gives to text."
# Keys and what they do, by place. Those of Streamlit itself are listed as well.
KEYS = {
    "On every page": (
        ("?", "this list"),
        ("R", "read the page again"),
        ("Tab, Shift + Tab", "next and previous control"),
        ("Escape", "close a list, clear a selection"),
    ),
    "In the coloured text of Salience": (
        ("arrow keys", "next and previous token or line"),
        ("Enter", "select a token"),
        ("Shift + Enter", "extend the selection"),
        ("N, P", "next and previous salient token"),
        ("M, Shift + M", "next and previous match of the search"),
    ),
    "In tables and sliders": (
        ("arrow keys", "next cell, next value"),
        ("Ctrl + F", "search in a table"),
        ("Ctrl + C", "copy the selected cells"),
        ("Page Up, Page Down", "ten steps of a slider"),
    ),
}
# Heading, text, and the page that the step leads to.
STEPS = (
    (
        "Measure",
        "Overview says which losses and accuracies are loaded and what is missing. Collect "
        "measures your own models on a corpus, or imports what was measured elsewhere.",
        "collect",
        "Collect",
    ),
    (
        "Choose and fit",
        "The side bar sets corpus, split, task and fit for all pages. Fit learns how much each "
        "token counts for a task; test models stay hidden until you reveal them.",
        "fit",
        "Fit",
    ),
    (
        "Read",
        "Curves shows accuracy against the weighted loss, Salience the tokens that count, "
        "Baselines the other methods, Predict the accuracy of models without one, and Forecast "
        "that of models which are not trained yet.",
        "curves",
        "Curves",
    ),
)
_HERE = Path(__file__).parent


def _keys() -> str:
    tables = []
    for place, rows in KEYS.items():
        entries = "".join(f"<dt>{key}</dt><dd>{does}</dd>" for key, does in rows)
        tables.append(f"<h3>{place}</h3><dl>{entries}</dl>")
    return "".join(tables)


_MARKUP = f"""
<div class="top">
  <strong class="name">{NAME}</strong>
  <span class="purpose">{PURPOSE}</span>
  <div class="actions">
    <a class="docs" href="docs" title="Opens the guides">Docs</a>
    <button type="button" class="open-tour" title="Shows the tour of three steps">Tour</button>
    <button type="button" class="open-keys" title="Lists the keys; key ?">Keys</button>
    <button type="button" class="copy" title="Copies the address of this view with all its choices">
      Copy link
    </button>
  </div>
  <span role="status"></span>
  <input readonly hidden aria-label="Address of this view, to copy by hand">
</div>
<section class="tour" hidden aria-label="Tour">
  <p><strong class="step"></strong> <span class="words" aria-live="polite"></span></p>
  <div class="actions">
    <button type="button" class="back">Back</button>
    <button type="button" class="go"></button>
    <button type="button" class="next">Next</button>
    <button type="button" class="end">Close</button>
  </div>
</section>
<dialog aria-labelledby="keys-title">
  <h2 id="keys-title">Keyboard</h2>
  {_keys()}
  <button type="button" class="close">Close</button>
</dialog>
"""
_component = st.components.v2.component(
    "top_bar",
    html=_MARKUP,
    css=(_HERE / "top_bar.css").read_text(encoding="utf-8"),
    js=(_HERE / "top_bar.js").read_text(encoding="utf-8"),
)


def top_bar(choices: Mapping[str, str], page: str) -> None:
    """Draw the bar; the tour opens by itself on the first visit of the Overview.

    Args:
        choices: query parameters that the copied address names even at their defaults, since a
            default may change later.
        page: address of the page shown, empty for the Overview.
    """
    steps = [
        {"title": title, "words": words, "page": target, "label": label}
        for title, words, target, label in STEPS
    ]
    _component(key="top-bar", data={"choices": dict(choices), "page": page, "steps": steps})
