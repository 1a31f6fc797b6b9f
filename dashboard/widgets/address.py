"""Choices that the address keeps, what it names in vain, and the button that copies it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.widgets.text import plain

_HERE = Path(__file__).parent
_MARKUP = """
<div class="link">
  <button type="button" title="Copies the address of this view; who opens it sees the same choices">
    Copy link
  </button>
  <input readonly hidden aria-label="Address of this view, to copy by hand">
  <span role="status"></span>
</div>
"""
_component = st.components.v2.component(
    "copy_link",
    html=_MARKUP,
    css=(_HERE.parent / "components" / "copy_link" / "copy_link.css").read_text(encoding="utf-8"),
    js=(_HERE.parent / "components" / "copy_link" / "copy_link.js").read_text(encoding="utf-8"),
)


MISSED = "missed-links"  # of the session's state
REPEATED = 60  # characters of what a link names that a message repeats


def copy_button(choices: Mapping[str, str]) -> None:
    """A button that copies the address of the present view.

    Args:
        choices: query parameters the address shall name even where they are at their default, which
            may be another tomorrow.
    """
    _component(key="copy-link", data={"choices": dict(choices)})


def choose(
    widget: Callable[..., Any],
    title: str,
    options: Sequence[Any],
    *,
    key: str,
    format_func: Callable[[Any], str] = str,
    **settings: Any,
) -> Any:
    """As `keep`, of a control with options, such as `st.selectbox`, of a column or of the page.

    Args:
        widget: what draws it.
        title: its label.
        options: what may be chosen.
        key: of the session's state and of the address.
        format_func: an option as it is shown, and as it stands in the address.
        settings: others of the widget.
    """
    return keep(
        partial(widget, format_func=format_func), title, options,
        key=key, accepts={format_func(option) for option in options}.__contains__,
        told=format_func, **settings,
    )  # fmt: skip


def write(widget: Callable[..., Any], title: str, *, max_chars: int, **settings: Any) -> str:
    """As `keep`, of a line of text of at most so many characters."""
    found = keep(
        widget, title, max_chars=max_chars, accepts=lambda text: len(text) <= max_chars, **settings
    )
    return str(found or "")


def keep(
    widget: Callable[..., Any],
    title: str,
    *place: Any,
    key: str,
    accepts: Callable[[str], bool],
    told: Callable[[Any], str] = str,
    **settings: Any,
) -> Any:
    """A control whose value the address keeps; says so where a link names what it cannot have.

    Streamlit drops such a value without a word. The message stays until another choice is made.

    Args:
        widget: what draws it.
        title: its label, taken literally.
        place: further arguments of the widget.
        key: of the session's state and of the address.
        accepts: whether the control can have what stands in the address.
        told: its value in words.
        settings: others of the widget.
    """
    wrong = missed(key, accepts)
    value = widget(plain(title), *place, key=key, bind="query-params", **settings)
    if wrong:
        instead = st.session_state[MISSED].setdefault(f"{key} instead", value)
        if value == instead:
            st.warning(_told(title, wrong, value, told), icon=":material/link_off:")
        else:
            st.session_state[MISSED][key] = []
    return value


def missed(key: str, accepts: Callable[[str], bool]) -> list[str]:
    """What the link that this session began with names in vain for a key."""
    found: dict[str, list[str]] = st.session_state.setdefault(MISSED, {})
    if key not in found:  # the first time in a session: later the address only says what is chosen
        named = st.query_params.get_all(key)
        found[key] = [name for name in named if name and not accepts(name)]  # "": emptied
    return found[key]


def _told(title: str, missed: list[str], value: Any, told: Callable[[Any], str]) -> str:
    several = value if isinstance(value, list) else [value]
    shown = ", ".join(_short(told(one)) for one in several if one not in (None, "")) or "nothing"
    gone = ", ".join(repr(_short(name)) for name in missed)
    return (
        f"The link asks for {plain(gone)} as {plain(title)}, which is not offered. "
        f"{plain(shown)} is shown."
    )


def _short(name: str) -> str:
    return name if len(name) <= REPEATED else f"{name[:REPEATED]}\u2026"
