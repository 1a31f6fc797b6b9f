"""URL-bound widgets, and warnings for invalid parameters."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard.widgets import state
from dashboard.widgets.state import Key
from dashboard.widgets.text import listed, plain

REPEATED = 60  # characters of a parameter that a message repeats


def start() -> None:
    """Keep a place above the page for the run's one warning about its link."""
    state.LINK_WARNINGS.set({})
    state.LINK_NOTICE.set(st.empty())


def tell(key: str, sentence: str | None) -> None:
    """Add a sentence to the warning about the link, or take one back by None.

    Args:
        key: of the sentence; another sentence by this key replaces it.
        sentence: as Markdown.
    """
    told = state.LINK_WARNINGS.keep({})
    if told.get(key) == sentence:
        return
    told.pop(key, None)
    if sentence is not None:
        told[key] = sentence
    notice = state.LINK_NOTICE.find() or st.empty()
    if told:
        notice.warning(listed(list(told.values())), icon=":material/link_off:")
    else:
        notice.empty()


def choose(
    widget: Callable[..., Any],
    title: str,
    options: Sequence[Any],
    *,
    key: Key[Any],
    format_func: Callable[[Any], str] = str,
    **settings: Any,
) -> Any:
    """Draw a URL-bound control with options, such as `st.selectbox`; return its value.

    Args:
        widget: draws the control, on the page or in a column.
        title: its label.
        options: the values to choose from.
        key: of the session's state and of the address.
        format_func: an option as shown, and as it stands in the address.
        settings: further settings of the widget.
    """
    return keep(
        partial(widget, options=options, format_func=format_func), title,
        key=key, accepts={format_func(option) for option in options}.__contains__,
        format_value=format_func, **settings,
    )  # fmt: skip


def write(
    widget: Callable[..., Any], title: str, *, key: Key[str], max_chars: int, **settings: Any
) -> str:
    """Draw a URL-bound line of text of limited length; return the text."""
    value = keep(
        widget, title, key=key, accepts=lambda text: len(text) <= max_chars,
        max_chars=max_chars, **settings,
    )  # fmt: skip
    return str(value or "")


def keep(
    widget: Callable[..., Any],
    title: str,
    *,
    key: Key[Any],
    accepts: Callable[[str], bool],
    format_value: Callable[[Any], str] = str,
    **settings: Any,
) -> Any:
    """Draw a URL-bound control, warn of an invalid parameter, and return the control's value.

    Streamlit drops an invalid parameter silently. The warning stays until another value is chosen;
    those of all controls stand together above the page.

    Args:
        widget: draws the control.
        title: its label, taken literally.
        key: of the session's state and of the address.
        accepts: returns whether the control can have a parameter's text as its value.
        format_value: the value in words.
        settings: further settings of the widget.
    """
    invalid = invalid_parameters(key, accepts)
    value = widget(plain(title), key=key.name, bind="query-params", **settings)
    if invalid:
        instead = state.USED_INSTEAD.keep({}).setdefault(key.name, value)
        if value == instead:
            tell(key.name, _warning(title, invalid, value, format_value))
        else:
            state.INVALID_PARAMETERS.keep({})[key.name] = []
            tell(key.name, None)
    return value


def invalid_parameters(key: Key[Any], accepts: Callable[[str], bool]) -> list[str]:
    """Return the parameters of the session's first link that a control cannot have."""
    by_key = state.INVALID_PARAMETERS.keep({})
    if key.name not in by_key:  # the first run: later the address only repeats the choice
        parameters = st.query_params.get_all(key.name)
        by_key[key.name] = [text for text in parameters if text and not accepts(text)]
    return by_key[key.name]


def _warning(title: str, invalid: list[str], value: Any, format_value: Callable[[Any], str]) -> str:
    values = value if isinstance(value, list) else [value]
    used = [_short(format_value(item)) for item in values if item not in (None, "")]
    shown = ", ".join(used) or "nothing"
    gone = ", ".join(repr(_short(text)) for text in invalid)
    return (
        f"The link asks for {plain(gone)} as {plain(title)}, which is not offered. "
        f"{plain(shown)} is shown."
    )


def _short(text: str) -> str:
    return text if len(text) <= REPEATED else f"{text[:REPEATED]}\u2026"
