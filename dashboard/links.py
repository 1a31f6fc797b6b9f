"""Choices that the address keeps, what it names in vain, and the button that copies it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import controls, data
from dashboard.controls import plain

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
    css=(_HERE / "copy_link.css").read_text(encoding="utf-8"),
    js=(_HERE / "copy_link.js").read_text(encoding="utf-8"),
)


NEXT = "side bar next"  # of the session's state
SIDEBAR = {
    "corpus": "The documents whose losses are weighed, on every page.",
    "split": "Which models train, validate and test, on every page.",
    "task": "The benchmark whose accuracy is predicted, on every page.",
}


def choose_next(key: str, name: str) -> None:
    """Let the side bar show another corpus, split or task from the next run on."""
    st.session_state.setdefault(NEXT, {})[key] = name


def sidebar() -> None:
    """Corpus, split and task, chosen once for all pages; the address line restores them.

    Without a word in the address, corpus and split are those of the newest fit.
    """
    source = data.database()
    choices = {
        "corpus": data.corpora(source)["corpus"].tolist(),
        "split": data.splits(source),
        "task": [task.task for task in data.tasks(source)],
    }
    usual = data.newest_place(source)
    st.session_state.update(st.session_state.pop(NEXT, {}))
    with st.sidebar:
        for key, names in choices.items():
            if names:
                first = names.index(usual[key]) if usual.get(key) in names else 0
                choose(
                    *(st.selectbox, key.capitalize(), names),
                    key=key, index=0 if key in st.session_state else first, help=SIDEBAR[key],
                )  # fmt: skip
        copy_button({key: controls.chosen(key) for key in choices})


def copy_button(choices: Mapping[str, str | None]) -> None:
    """A button that copies the address of the present view.

    Args:
        choices: query parameters the address shall name even where they are at their default, which
            may be another tomorrow.
    """
    named = {key: value for key, value in choices.items() if value is not None}
    _component(key="copy-link", data={"choices": named})


def choose(
    widget: Callable[..., Any],
    title: str,
    options: Sequence[Any],
    *,
    key: str,
    format_func: Callable[[Any], str] = str,
    **settings: Any,
) -> Any:
    """A control whose value the address keeps; says so where a link names what is not offered.

    Streamlit drops such a value without a word. The message stays until another choice is made.

    Args:
        widget: `st.selectbox` and the like, of a column or of the page.
        title: its label.
        options: what may be chosen.
        key: of the session's state and of the address.
        format_func: an option as it is shown, and as it stands in the address.
        settings: others of the widget.
    """
    missed = st.session_state.setdefault("missed-links", {})
    if key not in missed:  # the first time in a session: later the address only says what is chosen
        offered = {"", *(format_func(option) for option in options)}  # "": nothing was chosen
        missed[key] = [name for name in st.query_params.get_all(key) if name not in offered]
    value = widget(
        title, options, key=key, format_func=format_func, bind="query-params", **settings
    )
    if missed[key]:
        instead = missed.setdefault(f"{key} instead", value)
        if value == instead:
            st.warning(_told(title, missed[key], value, format_func), icon=":material/link_off:")
        else:
            missed[key] = []
    return value


def _told(title: str, missed: list[str], value: Any, format_func: Callable[[Any], str]) -> str:
    several = value if isinstance(value, list) else [value]
    shown = ", ".join(format_func(one) for one in several if one is not None) or "nothing"
    gone = ", ".join(repr(name) for name in missed)
    return (
        f"The link asks for {plain(gone)} as {title}, which is not here. {plain(shown)} is shown."
    )
