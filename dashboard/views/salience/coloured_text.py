"""The coloured text of the Salience page, with its downloads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import streamlit as st

from csvcore.errors import InputError
from dashboard.components import token_heatmap
from dashboard.queries import database, fit_tokens
from dashboard.queries.database import Database
from dashboard.queries.fit_tokens import FitTokens
from dashboard.views.salience import colouring, export, position, selection
from dashboard.views.salience.colouring import ColourChoice, Coloured
from dashboard.views.salience.position import Position, Screen
from dashboard.widgets import boundary, state, text

HOVER_MODELS = 6


@dataclass(frozen=True, slots=True)
class Reading:
    """The documents that are read, how far they are loaded, and the matches of a search.

    ordered: all documents to read. docs: those loaded. n_matches: in each of the documents to read.
    more: text of the button that loads the next documents, empty if there are none.
    """

    signature: int
    ordered: list[int]
    docs: list[int]
    search: str
    n_matches: list[int]
    more: str

    @property
    def beyond(self) -> int:
        """Matches in documents that are not loaded."""
        return sum(self.n_matches[len(self.docs) :])


@st.fragment
@boundary.shown()
def show(
    db: Database,
    texts: FitTokens,
    ordered: list[int],
    search: str,
    choice: ColourChoice,
    coloured: Coloured,
) -> None:
    """Draw the coloured documents, and below them the losses on the selected tokens.

    Args:
        db: the database.
        texts: of the fit.
        ordered: documents to read, in order.
        search: text of a search, may be empty.
        choice: of the colouring.
        coloured: its values.
    """
    picked = state.SELECTION.get(None)
    reading = _reading(texts, ordered, search, picked)
    screen = Screen(texts, reading.docs)
    selected = _range(screen, picked)
    drawing = _drawing(db, texts, screen, choice, coloured, reading, selected)

    def on_select() -> None:
        ends = state.HEATMAP.get({})["selected"]
        start, end = ends["start"], ends["end"]
        state.SELECTION.set(None if start < 0 else (screen.position(start), screen.position(end)))

    def on_more() -> None:
        state.LOADED.set((reading.signature, screen.cells.size + position.STEP))

    token_heatmap.heatmap(drawing, state.HEATMAP.name, on_select, on_more)
    _notes(reading, screen.cells.size)
    if picked and selected is None:
        st.info(
            f"The selected token of {text.plain(picked[0].doc_id)} is not in the text shown; "
            "choose its source, or jump to its document."
        )
    _write_address(picked)
    if selected is None:
        st.caption("Click a token for its loss in every model; shift-click for a range.")
    else:
        selection.show(db, texts, screen, selected)
    _downloads(texts, ordered, reading.docs, coloured)


def _reading(
    texts: FitTokens, ordered: list[int], search: str, picked: tuple[Position, Position] | None
) -> Reading:
    """Return the documents loaded: as far as the reader asked, a match or the selection."""
    signature = hash((texts.fit.fit, tuple(ordered), search))
    loaded, wanted = state.LOADED.get((0, 0))
    if loaded != signature:
        wanted = position.FIRST
    at = texts.index(picked[0].doc_id) if picked else None
    n_matches = position.n_matches(texts, ordered, search)
    first = next((number for number, n in enumerate(n_matches) if n), 0)
    needed = 1 + max(first, ordered.index(at) if at in ordered else 0)
    docs = position.fitting(texts, ordered, wanted, needed)
    n_cells = sum(texts.n_cells(i) for i in docs)
    more = ""
    if len(docs) < len(ordered) and n_cells + texts.n_cells(ordered[len(docs)]) <= position.MOST:
        more = f"Load next documents ({len(docs)} of {len(ordered)} shown)"
    return Reading(signature, ordered, docs, search, n_matches, more)


def _notes(reading: Reading, n_cells: int) -> None:
    """Draw captions for matches and documents that are not loaded."""
    if reading.beyond:
        st.caption(
            f"{reading.beyond:,} of {sum(reading.n_matches):,} matches are in documents further "
            "on, which are not loaded yet: "
            + ("read on for them." if reading.more else "jump to a later document for them.")
        )
    if not reading.more and len(reading.docs) < len(reading.ordered):
        st.caption(f"{n_cells:,} tokens are shown, the maximum; jump to a later document for more.")


def _downloads(texts: FitTokens, ordered: list[int], docs: list[int], coloured: Coloured) -> None:
    """Draw buttons that download the text as shown and the tokens of all documents read."""
    name = f"{texts.fit.task}-{coloured.scale.name}".replace(" ", "-").replace("/", "-")

    def table() -> pa.Table:
        return export.table(texts, ordered, coloured)

    made: dict[str, tuple[Callable[[], str | bytes], str]] = {
        "HTML": (
            lambda: export.html(texts, docs, coloured),
            "Downloads the text as shown, as one page.",
        ),
        "CSV": (lambda: export.csv(table()), "Downloads every token of the documents read."),
        "Parquet": (lambda: export.parquet(table()), "Downloads the same table with exact values."),
    }
    with st.container(horizontal=True):
        for kind, (data_of, about) in made.items():
            st.download_button(
                kind, data_of, f"{name}.{kind.lower()}", on_click="ignore", help=about,
                icon=":material/download:",
            )  # fmt: skip


def _range(screen: Screen, picked: tuple[Position, Position] | None) -> tuple[int, int] | None:
    """Return the selected cells of the screen, None if they are not on it."""
    if picked is None:
        return None
    start, end = screen.find(picked[0]), screen.find(picked[1])
    return None if start is None or end is None else (min(start, end), max(start, end))


def _write_address(picked: tuple[Position, Position] | None) -> None:
    """Write the selection into the address."""
    if picked is None:
        st.query_params.pop("token", None)
    else:
        st.query_params["token"] = list(dict.fromkeys(map(str, picked)))


def _drawing(
    db: Database,
    texts: FitTokens,
    screen: Screen,
    choice: ColourChoice,
    coloured: Coloured,
    reading: Reading,
    selected: tuple[int, int] | None,
) -> token_heatmap.Drawing:
    """Return the data of the heatmap."""
    models = _hover_models(db, texts, choice)
    rows: Any = fit_tokens.losses(db, texts.fit.fit, tuple(models)) if models else []
    losses = np.array([texts.cells.sum(row)[screen.cells] for row in rows])
    hatched = None if coloured.hatched is None else coloured.hatched[screen.cells]
    table, version = token_heatmap.pack(
        [texts.cells.text[cell] for cell in screen.cells.tolist()],
        coloured.cells[screen.cells],
        texts.cells.mean(texts.weight)[screen.cells],
        losses,
        coloured.scale,
        hatched,
    )
    headings = [f"{texts.docs[i].doc_id} · {texts.docs[i].source}" for i in screen.docs]
    return token_heatmap.Drawing(
        table=table,
        version=version,
        docs=list(zip(headings, screen.first[:-1].tolist(), strict=True)),
        models=models,
        scale=coloured.scale,
        note=coloured.note,
        matches=screen.matches(reading.search),
        selected=selected,
        focus=state.N_SCROLLS.get(0),
        more=reading.more,
        beyond=reading.beyond,
        place=str(reading.signature),
        label=f"{coloured.scale.name} of the tokens of {len(screen.docs)} documents",
    )


def _hover_models(db: Database, texts: FitTokens, choice: ColourChoice) -> list[str]:
    """Return the models whose losses the tooltip shows: the compared ones, then others."""
    complete = database.complete_models(db, texts.fit.corpus)
    compared = [name for name in (choice.first, choice.second) if name]
    others: Sequence[str] = database.hover_models(db, complete, HOVER_MODELS)
    return list(dict.fromkeys([*compared, *others]))[:HOVER_MODELS]


def coloured_or_weight(db: Database, texts: FitTokens, choice: ColourChoice) -> Coloured:
    """Return the values of a colouring; warn and return the weight where it cannot be had."""
    try:
        return colouring.coloured(db, texts, choice)
    except InputError as error:
        st.warning(f"{text.plain(str(error))}. The weight is shown.")
        return colouring.coloured(db, texts, ColourChoice())
