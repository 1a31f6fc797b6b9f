"""The button that copies the address of the current view."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_MARKUP = """
<div class="link">
  <button type="button" title="Copies the address of this view with all its choices">
    Copy link
  </button>
  <input readonly hidden aria-label="Address of this view, to copy by hand">
  <span role="status"></span>
</div>
"""
_component = st.components.v2.component(
    "copy_link",
    html=_MARKUP,
    css=(_HERE / "copy_link.css").read_text(encoding="utf-8"),
    js=(_HERE / "copy_link.js").read_text(encoding="utf-8"),
)


def copy_link(choices: Mapping[str, str]) -> None:
    """Draw the button.

    Args:
        choices: query parameters that the copied address names even at their defaults, since a
            default may change later.
    """
    _component(key="copy-link", data={"choices": dict(choices)})
