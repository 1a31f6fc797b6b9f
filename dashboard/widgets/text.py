"""Names for people, empty states, and Markdown-safe text."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import streamlit as st

from csvcore.methods import label
from csvcore.records import Fit

LONGEST_NAME = 100  # characters of a split's or corpus's name on a page
BUNDLED = "scorer"  # the name of the zoo's scoring model
ALGORITHMS = {"fast": "Gauss-Newton", "paper": "Algorithm 2 (paper)"}
SETTINGS = {
    "steps": "{} steps",
    "learning_rate": "learning rate {:g}",
    "penalty": "penalty {:g}",
    "activation": "{}",
    "members": "{} heads",
    "seed": "seed {}",
}
# Streamlit makes links, icons, emoji and arrows of these in text that is no Markdown any more, so
# that a backslash does not keep it from it. An invisible character between the two parts does.
_MADE_UP = re.compile(r":(?=[/\w+-])|@(?=\w)|www(?=\.)|[-<>~](?=[-=>])", re.IGNORECASE)
WORD_JOINER = "\u2060"
_COMMAND = re.compile(r"(?<!`)`[^`\n]+`(?!`)")
UNUSUAL = {"mask_first_token": "first tokens masked", "own_units": "the losses' own units"}


def first(names: Sequence[str], name: str | None) -> list[str]:
    """Return these names, with one of them moved to the head if it is among them."""
    return sorted(names, key=lambda other: other != name)


def weights_of(fit: Fit) -> str:
    """Return the origin of a CSV fit's weights in a few words."""
    if fit.choice is None:
        return f"head of step {fit.steps}"
    chosen = fit.choice.chosen
    pull = f"pulled towards {label(chosen.pull).lower()}"
    return pull if chosen.strength is None else f"{pull}, penalty {chosen.strength:.0e}"


def settings_of(settings: Mapping[str, Any]) -> str:
    """Return the settings of a CSV fit in words; missing ones are left out."""
    if settings.get("algorithm", "paper") == "paper" and "learning_rate" in settings:
        parts, keys = [ALGORITHMS["paper"]], ["steps", "learning_rate", "activation", "seed"]
    else:
        parts, keys = [ALGORITHMS["fast"]], ["penalty", "activation", "members", "seed"]
        if settings.get("penalty", 0) is None:
            parts.append("penalty chosen")
    present = [key for key in keys if settings.get(key) is not None]
    parts += [SETTINGS[key].format(settings[key]) for key in present]
    parts += [words for key, words in UNUSUAL.items() if settings.get(key)]
    if scorer := settings.get("scorer"):
        name = PurePath(scorer).name
        parts.append("bundled scorer" if name == BUNDLED else f"scorer {name}")
    return ", ".join(parts)


def next_step(title: str, step: str) -> None:
    """Draw an empty state: what is missing and how to get it."""
    st.info(step, title=title, icon=":material/arrow_forward:")


def listed(sentences: Sequence[str]) -> str:
    """Return one sentence as it is, several as a list; all are Markdown."""
    return sentences[0] if len(sentences) == 1 else "\n".join(f"- {one}" for one in sentences)


def warn(sentences: Sequence[str]) -> None:
    """Draw one warning with all of these Markdown sentences, none where there are none."""
    if sentences:
        st.warning(listed(sentences), icon=":material/warning:")


def to_overview() -> None:
    """Draw a link to the Overview."""
    st.page_link("dashboard/pages/overview.py", label="Go to Overview", icon=":material/home:")


def to_import() -> None:
    """Draw a link to the Import page."""
    st.page_link(
        "dashboard/pages/import_data.py", label="Go to Import", icon=":material/upload_file:"
    )


def to_fit() -> None:
    """Draw a link to the Fit page."""
    st.page_link("dashboard/pages/fit.py", label="Go to Fit", icon=":material/play_circle:")


def to_models() -> None:
    """Draw a link to Models & splits."""
    st.page_link(
        "dashboard/pages/models.py", label="Go to Models & splits", icon=":material/account_tree:"
    )


def refused_name(what: str, name: str) -> str:
    """Return the message for a name that is empty or too long."""
    if not name:
        return f"A {what} needs a name."
    return (
        f"The name of a {what} has at most {LONGEST_NAME} characters, this one has {len(name)}; "
        "shorten it."
    )


def plain(text: str) -> str:
    """Return data as literal text for Streamlit's Markdown."""
    parted = _MADE_UP.sub(rf"\g<0>{WORD_JOINER}", " ".join(text.splitlines()))
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#+-.!|~$:<>&@" else char for char in parted)


def sentence(text: str) -> str:
    """Return a message as literal text, except for the commands between single backticks."""
    commands = _COMMAND.findall(text)
    literal = [plain(part) for part in _COMMAND.split(text)]
    return "".join(part + command for part, command in zip(literal, [*commands, ""], strict=True))


def scientific(value: float | None) -> str:
    """Return a squared error for a metric, or a dash for None."""
    return "\u2013" if value is None else f"{value:.1e}"


def unique_labels(folders: Sequence[str]) -> dict[str, str]:
    """Return each folder's name, or its path where two folders have the same name."""
    names = [PurePath(folder).name for folder in folders]
    return {
        folder: name if names.count(name) == 1 else folder
        for folder, name in zip(folders, names, strict=True)
    }


def change(value: float, before: float) -> str:
    """Return the relative change of a value as a signed percentage."""
    return f"{value / before - 1:+.0%}"
