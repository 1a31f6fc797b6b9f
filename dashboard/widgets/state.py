"""Typed session keys: the only module that touches `st.session_state`.

A key that a control is bound to is also the name of its query parameter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import streamlit as st

from csvcore.records import Side

T = TypeVar("T")
Sides = dict[str, Side]  # model to side


@dataclass(frozen=True)  # a generic with slots cannot be called as Key[T](...)
class Key(Generic[T]):
    """A name in the session's state whose value is a T."""

    name: str

    def find(self) -> T | None:
        """Return the value, None if it was never set."""
        value: T | None = st.session_state.get(self.name)
        return value

    def get(self, default: T) -> T:
        """Return the value, or a default that is not stored."""
        value: T = st.session_state.get(self.name, default)
        return value

    def keep(self, default: T) -> T:
        """Return the value; store the default first if there is none."""
        value: T = st.session_state.setdefault(self.name, default)
        return value

    def set(self, value: T) -> None:
        """Store a value."""
        st.session_state[self.name] = value

    def pop(self, default: T) -> T:
        """Remove the value and return it, or the default."""
        value: T = st.session_state.pop(self.name, default)
        return value

    def drop(self) -> None:
        """Remove the value, if there is one."""
        st.session_state.pop(self.name, None)

    def is_set(self) -> bool:
        """Return whether there is a value."""
        return self.name in st.session_state

    def rewrite(self) -> None:
        """Set the value again: its control then writes it into the address."""
        if self.name in st.session_state:
            st.session_state[self.name] = st.session_state[self.name]


# The side bar.
CORPUS, SPLIT, TASK, FIT = (Key[str](name) for name in ("corpus", "split", "task", "fit"))
SIDEBAR = (CORPUS, SPLIT, TASK, FIT)
SIDEBAR_NEXT = Key[dict[str, str]]("side bar next")  # choices that hold from the next run on
SIDEBAR_DEFAULTS = Key[dict[str, str]]("side bar defaults")  # corpus and split of the newest fit
VIEW_NAME = Key[str]("view name")  # of the view to save
REWRITE_ADDRESS = Key[bool]("rewrite address")  # the address lacks choices of the side bar

# Links: parameters that cannot be had, and the values used instead, by key.
INVALID_PARAMETERS = Key[dict[str, list[str]]]("invalid parameters")
LINK_WARNINGS = Key[dict[str, str]]("link warnings")  # sentences about the link, by key
LINK_NOTICE = Key[Any]("link notice")  # the place where they stand
USED_INSTEAD = Key[dict[str, Any]]("used instead")

# Models & splits.
BASE_SPLIT, STAGE = Key[str]("start"), Key[str]("stage")
VALIDATING, TESTING = Key[str]("validating"), Key[str]("testing")
N_FIRST = Key[int]("first")
ONLY_FAMILIES, ONLY_SIDES = Key[list[str]]("only families"), Key[list[str]]("only sides")
ONLY_SIZES, ONLY_STEPS = Key[list[int]]("only sizes"), Key[tuple[int, int]]("only steps")
FOLLOWED_SPLIT = Key[str]("followed split")  # of the side bar, that the base split was set to
SAVED_SPLIT = Key[str]("saved split")  # stored in the last run
REPLACED_SPLIT = Key[tuple[str, Sides]]("split to replace")  # waits for a second press
EDITED_SPLITS = Key[dict[str, Sides]]("edited splits")  # by key of their base split
EDITOR_ROUNDS = Key[dict[str, int]]("editor rounds")  # number of editors drawn for a base split
EDITOR_BASE = Key[tuple[str, Sides]]("editor base")  # an editor's key and the sides it began with

# Import.
N_UPLOADS, N_REMOVED = Key[int]("uploads"), Key[int]("removals")
REMOVED = Key[str]("removed")  # a sentence about the last removal

# Collect and Overview.


def audit(corpus: str) -> Key[bool]:
    """Return the key that says an audit of a large corpus was requested."""
    return Key(f"audit-{corpus}")


# Fit.
FIT_TASKS, FIT_METHODS = Key[list[str]]("fit-tasks"), Key[list[str]]("fit-methods")
FIT_ALGORITHM, FIT_SCORER = Key[str]("fit-algorithm"), Key[str]("fit-scorer")

# Capabilities.
FACTOR = Key[int]("factor")
FACTOR_HEATMAP = Key[Any]("factor-heatmap")
FIRST_PROFILE, SECOND_PROFILE = Key[str]("first-model"), Key[str]("second-model")
FIRST_TASK, SECOND_TASK = Key[str]("first-task"), Key[str]("second-task")

# Curves.
CURVE_METHOD, CURVE_MODEL = Key[str]("why-method"), Key[str]("why-model")
TABLE_METHOD = Key[str]("table-method")


def curve(method: str) -> Key[Any]:
    """Return the key of a method's chart, whose value holds the selected points."""
    return Key(f"curve-{method}")


# Salience.
SOURCES, DOCUMENTS = Key[list[str]]("source"), Key[list[str]]("doc")
SEARCH, ONLY_MATCHES = Key[str]("find"), Key[bool]("only")
COLOUR, MODEL_A, MODEL_B = Key[str]("colour"), Key[str]("model_a"), Key[str]("model_b")
NATS_PER, OTHER_TASK = Key[str]("per"), Key[str]("other_task")
TOKEN_KINDS, PATTERN = Key[list[str]]("brush"), Key[str]("pattern")
RANKED, RAREST = Key[str]("rank"), Key[int]("at_least")
KEPT_TOKENS = Key[str]("brush_does")
SOURCES_FOR = Key[tuple[str | None, str | None]]("sources for")  # corpus and task they are of
SOURCES_BY = Key[str]("sources by")  # id of the fit they are of
SELECTION = Key[tuple[Any, Any] | None]("selection")  # ends of the selected range of tokens
N_SCROLLS = Key[int]("scrolls")  # a new number scrolls the text to the selection
LOADED = Key[tuple[int, int]]("loaded")  # hash of the documents read, cells to show of them
N_JUMPS = Key[int]("jumps")  # from the table of salient tokens into the text
HEATMAP = Key[Any]("heatmap")


def rows(key: str) -> Sequence[int]:
    """Return the selected rows of a table with selection."""
    selected: Sequence[int] = st.session_state[key]["selection"]["rows"]
    return selected


# Mixes, Predict, Forecast, Items, Compare fits, Paper, Docs.
PREDICT_METHOD, PREDICT_RUNS = Key[str]("by"), Key[list[str]]("runs")
FORECAST_FAMILIES = Key[list[str]]("families")
FORECAST_SIZE, FORECAST_TOKENS = Key[float]("params"), Key[float]("tokens")
ISO_ACCURACY = Key[float]("accuracy")
FOLLOWED_RUN, FOLLOWED_END = Key[str]("run"), Key[float]("end")
FIT_A, FIT_B = Key[str]("fit_a"), Key[str]("fit_b")
FIT_SEARCH, FIT_COLUMNS = Key[str]("search"), Key[list[str]]("columns")
ITEMS_A, ITEMS_B = Key[str]("item_a"), Key[str]("item_b")
ITEMS_SHOWN, ITEMS_DIFFERENCE = Key[str]("items"), Key[float]("detect")
EVIDENCE, PRINTED_TABLE = Key[str]("evidence"), Key[str]("printed")
GUIDE = Key[str]("guide")


# Figures for print, shared by all figures of a session.
PRINT_WIDTH, PRINT_FONT = Key[float]("print-width"), Key[float]("print-font")
PRINT_THEME = Key[str]("print-theme")


def mix(source: str) -> Key[float]:
    """Return the key of a source's slider."""
    return Key(f"mix-{source}")
