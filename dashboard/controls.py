"""What several pages share: names for people, empty states, and the choices of the side bar."""

import streamlit as st

from csvcore.figures.names import METHOD_NAMES as METHOD_NAMES
from csvcore.figures.names import NULL_NAMES as NULL_NAMES
from csvcore.records import Fit


def chosen(key: str) -> str | None:
    """What the sidebar says of corpus, split or task; None where nothing of it is stored."""
    value = st.session_state.get(key)
    return None if value is None else str(value)


def how_learnt(fit: Fit) -> str:
    """Where the weights of a CSV fit come from, in a few words."""
    if fit.choice is None:
        return f"head of step {fit.steps}"
    chosen = fit.choice.chosen
    towards = f"pulled towards {METHOD_NAMES[chosen.pull].lower()}"
    return towards if chosen.strength is None else f"{towards}, penalty {chosen.strength:.0e}"


def next_step(title: str, text: str) -> None:
    """An empty state: what is missing and how to get it."""
    st.info(text, title=title, icon=":material/arrow_forward:")


def plain(text: str) -> str:
    """Data as literal text in places where Streamlit would read Markdown."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#+-.!|~$:<>&" else char for char in text)


def sentence(text: str) -> str:
    """A message of ours with data in it: literal, but for the commands between its backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return plain(text)
    return "`".join(part if i % 2 else plain(part) for i, part in enumerate(parts))


def scientific(value: float | None) -> str:
    """A squared error for a metric, or a dash where it is not known."""
    return "–" if value is None else f"{value:.1e}"
