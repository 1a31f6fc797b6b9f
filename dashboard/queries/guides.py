"""The guides of docs/ as Markdown for a page."""

import re
from collections.abc import Collection

import streamlit as st

from csvcore.formats import bundled

FIRST = (
    "dashboard",
    "importing",
    "formats",
    "collecting",
    "fitting",
    "forecasting",
    "capabilities",
    "api",
)  # then the others
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


@st.cache_data(show_spinner=False)
def guides() -> dict[str, str]:
    """Return the Markdown of each guide by its name, in reading order; empty without docs/."""
    found = {path.stem: path for path in bundled.folder("docs").glob("*.md")}
    ordered = [*(name for name in FIRST if name in found), *sorted(found.keys() - {*FIRST})]
    return {name: markdown(found[name].read_text(encoding="utf-8"), found) for name in ordered}


def markdown(text: str, names: Collection[str]) -> str:
    """Return a guide's Markdown for Streamlit.

    Headings are one level lower, below the page's own; links between guides lead to this page;
    other relative links and images, which a server does not have, are left as text; dollar signs
    are no formulas. Code stays as it is.

    Args:
        text: of the file.
        names: of all guides, without an ending.
    """

    def link(match: re.Match[str]) -> str:
        image, words, target = match.groups()
        if "://" in target and not image:
            return match[0]
        name, _, _ = target.partition("#")
        stem = name.removesuffix(".md")
        return f"[{words}](docs?guide={stem})" if stem in names and not image else words

    parts = _CODE.split(text)
    for at in range(0, len(parts), 2):  # code is at the odd places
        part = re.sub(r"^#", "##", parts[at], flags=re.MULTILINE)
        parts[at] = _LINK.sub(link, part).replace("$", "\\$")
    return "".join(parts)
