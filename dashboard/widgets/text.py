"""What several pages share: names for people, empty states, and the choices of the side bar."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import streamlit as st

from csvcore.methods import label
from csvcore.records import Fit

LONGEST_NAME = 100  # characters that a split or corpus may be called by on a page
BUNDLED = "scorer"  # the name of the zoo's own scoring model
SETTINGS = {
    "steps": "{} steps",
    "learning_rate": "rate {:g}",
    "penalty": "penalty {:g}",
    "activation": "{}",
    "members": "{} heads",
    "seed": "seed {}",
}
UNUSUAL = {"mask_first_token": "first tokens masked", "own_units": "the losses' own units"}


def chosen(key: str) -> str | None:
    """What the sidebar says of corpus, split or task; None where nothing of it is stored."""
    value = st.session_state.get(key)
    return None if value is None else str(value)


def first(names: Sequence[str], name: str | None) -> list[str]:
    """These names with one of them at the head, if it is among them."""
    return sorted(names, key=lambda one: one != name)


def how_learnt(fit: Fit) -> str:
    """Where the weights of a CSV fit come from, in a few words."""
    if fit.choice is None:
        return f"head of step {fit.steps}"
    chosen = fit.choice.chosen
    towards = f"pulled towards {label(chosen.pull).lower()}"
    return towards if chosen.strength is None else f"{towards}, penalty {chosen.strength:.0e}"


def how_made(settings: Mapping[str, Any]) -> str:
    """How a fit of CSV with these settings was made, for people; what is not known is left out."""
    if settings.get("algorithm", "paper") == "paper" and "learning_rate" in settings:
        parts, told = ["Paper's loop"], ["steps", "learning_rate", "activation", "seed"]
    else:
        parts, told = ["Second order"], ["penalty", "activation", "members", "seed"]
        if settings.get("penalty", 0) is None:
            parts.append("penalty chosen")
    known = [key for key in told if settings.get(key) is not None]
    parts += [SETTINGS[key].format(settings[key]) for key in known]
    parts += [words for key, words in UNUSUAL.items() if settings.get(key)]
    if scorer := settings.get("scorer"):
        name = PurePath(scorer).name
        parts.append("bundled scorer" if name == BUNDLED else f"scorer {name}")
    return ", ".join(parts)


def next_step(title: str, text: str) -> None:
    """An empty state: what is missing and how to get it."""
    st.info(text, title=title, icon=":material/arrow_forward:")


def name_of(what: str, given: str) -> str:
    """Why a name is refused that is empty or too long."""
    if not given:
        return f"A {what} needs a name."
    return (
        f"The name of a {what} has at most {LONGEST_NAME} characters, this one has {len(given)}; "
        "shorten it."
    )


def to_overview() -> None:
    """A link to the page that says how to begin."""
    st.page_link("dashboard/pages/overview.py", label="Go to Overview", icon=":material/home:")


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
