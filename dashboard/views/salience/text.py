"""The text of the Salience page, coloured, and the losses of what is selected in it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st

from csvcore.errors import InputError
from csvcore.figures import law
from dashboard.components import token_heatmap
from dashboard.queries import attribution, database, figures, fit_tokens
from dashboard.queries.database import Database
from dashboard.queries.fit_tokens import Texts
from dashboard.views.salience import colouring as colourings
from dashboard.views.salience import export, position
from dashboard.views.salience.colouring import Asked, Coloured
from dashboard.views.salience.position import Place, Shown
from dashboard.widgets import figure
from dashboard.widgets import text as controls

KEY = "heatmap"
HOVER_MODELS = 6


@st.fragment
def text(
    db: Database, own: Texts, ordered: list[int], find: str, asked: Asked, coloured: Coloured
) -> None:
    """The coloured documents, and below them the losses of what is selected there.

    Args:
        db: the database.
        own: its texts.
        ordered: documents to read, in order.
        find: text searched for, may be empty.
        asked: what colours them.
        coloured: its values.
    """
    signature = hash((own.fit.fit, tuple(ordered), find))
    kept, wanted = st.session_state.get("read-on", (None, 0))
    if kept != signature:
        wanted = position.FIRST
    picked = st.session_state["picked"]
    at = own.index(picked[0].doc_id) if picked else None
    found = position.n_matches(own, ordered, find)
    first = next((number for number, n in enumerate(found) if n), 0)
    needed = 1 + max(first, ordered.index(at) if at in ordered else 0)
    docs = position.shown(own, ordered, wanted, needed)
    beyond = sum(found[len(docs) :])
    screen = Shown(own, docs)
    n_cells = screen.cells.size
    more = ""
    if len(docs) < len(ordered) and n_cells + own.n_cells(ordered[len(docs)]) <= position.MOST:
        more = f"Next documents ({len(docs)} of {len(ordered)} are shown)"

    def on_select() -> None:
        chosen = st.session_state[KEY]["selected"]
        if chosen["start"] < 0:
            st.session_state["picked"] = None
        else:
            ends = screen.place(chosen["start"]), screen.place(chosen["end"])
            st.session_state["picked"] = ends

    def on_more() -> None:
        st.session_state["read-on"] = (signature, n_cells + position.STEP)

    selected = _range(screen, picked)
    token_heatmap.heatmap(
        _drawing(db, own, screen, asked, coloured, find, selected, more, beyond, str(signature)),
        KEY,
        on_select,
        on_more,
    )
    if beyond:
        st.caption(
            f"{beyond:,} of {sum(found):,} matches are in documents further on, which are not "
            "loaded yet: " + ("read on for them." if more else "begin further on for them.")
        )
    if not more and len(docs) < len(ordered):
        st.caption(f"{n_cells:,} tokens are shown, the most at once; begin further on to read on.")
    if picked and selected is None:
        st.info(
            f"The selected token of {controls.plain(picked[0].doc_id)} is not in the text shown; "
            "choose its source, or begin with its document."
        )
    _sync(picked)
    if selected is None:
        st.caption("Click a token for its loss in every model; shift-click for a range.")
    else:
        _panel(db, own, screen, selected)
    _downloads(own, ordered, docs, coloured)


def _downloads(own: Texts, ordered: list[int], docs: list[int], coloured: Coloured) -> None:
    """The text as shown, and the tokens of all documents read, as files."""
    name = f"{own.fit.task}-{coloured.scale.name}".replace(" ", "-").replace("/", "-")

    def table() -> pa.Table:
        return export.table(own, ordered, coloured)

    made: dict[str, tuple[Callable[[], str | bytes], str]] = {
        "HTML": (lambda: export.html(own, docs, coloured), "The text as shown, one file."),
        "CSV": (lambda: export.csv(table()), "Every token of the documents read."),
        "Parquet": (lambda: export.parquet(table()), "The same table, exactly."),
    }
    with st.container(horizontal=True):
        for kind, (data_of, about) in made.items():
            st.download_button(
                kind, data_of, f"{name}.{kind.lower()}", on_click="ignore", help=about,
                icon=":material/download:",
            )  # fmt: skip


def _range(screen: Shown, picked: tuple[Place, Place] | None) -> tuple[int, int] | None:
    """The selection on the screen."""
    if picked is None:
        return None
    start, end = screen.find(picked[0]), screen.find(picked[1])
    return None if start is None or end is None else (min(start, end), max(start, end))


def _sync(picked: tuple[Place, Place] | None) -> None:
    """The selection as part of the address."""
    if picked is None:
        st.query_params.pop("token", None)
    else:
        st.query_params["token"] = list(dict.fromkeys(map(str, picked)))


def _drawing(
    db: Database, own: Texts, screen: Shown, asked: Asked, coloured: Coloured, find: str,
    selected: tuple[int, int] | None, more: str, beyond: int, place: str,
) -> token_heatmap.Drawing:  # fmt: skip
    names = complete_models(db, own)
    usual = [names[i] for i in database.hover_models(db, names, HOVER_MODELS)]
    compared = tuple(dict.fromkeys(name for name in (asked.first, asked.second) if name))
    models = [*compared, *(name for name in usual if name not in compared)][:HOVER_MODELS]
    rows = {
        name: row
        for group in (tuple(usual), compared)
        if group
        for name, row in zip(group, fit_tokens.losses(db, own.fit.fit, group), strict=True)
    }
    losses = np.array([own.cells.sum(rows[name])[screen.cells] for name in models])
    hatched = None if coloured.hatched is None else coloured.hatched[screen.cells]
    table, version = token_heatmap.pack(
        [own.cells.text[cell] for cell in screen.cells.tolist()],
        coloured.cells[screen.cells],
        own.cells.mean(own.weight)[screen.cells],
        losses,
        coloured.scale,
        hatched,
    )
    headings = [f"{own.docs[i].doc_id} · {own.docs[i].source}" for i in screen.docs]
    return token_heatmap.Drawing(
        table=table,
        version=version,
        docs=list(zip(headings, screen.first[:-1].tolist(), strict=True)),
        models=models,
        scale=coloured.scale,
        note=coloured.note,
        matches=screen.matches(find),
        selected=selected,
        focus=st.session_state.get("focus", 0),
        more=more,
        beyond=beyond,
        place=place,
        label=f"{coloured.scale.name} of the tokens of {len(screen.docs)} documents",
    )


def complete_models(db: Database, own: Texts) -> list[str]:
    """Return the models with losses on every document of the fit's corpus."""
    return database.complete_models(db, own.fit.corpus)


def selection_losses(db: Database, own: Texts, cells: np.ndarray) -> pd.DataFrame:
    """Every model's nll on some cells, lowest first. Columns: model, family, nll (nats)."""
    ranges = [(own.cells.token_start[i], own.cells.token_end[i]) for i in cells.tolist()]
    chosen = np.concatenate([np.arange(start, end) for start, end in ranges])
    inside = attribution.inside(db, own.fit.fit)
    names = [one.model for one in inside.fit.predictions]
    nll = [inside.nll[:, chosen].sum(axis=1, dtype=np.float64)]
    others = tuple(name for name in complete_models(db, own) if name not in set(names))
    if others:  # collected, but without an accuracy on the task
        rows = fit_tokens.losses(db, own.fit.fit, others)
        nll.append(rows[:, chosen].sum(axis=1, dtype=np.float64))
    table = pd.DataFrame({"model": [*names, *others], "nll": np.concatenate(nll)})
    table["family"] = table["model"].map(database.family_of(db))
    return table[["model", "family", "nll"]].sort_values("nll")


def _panel(db: Database, own: Texts, screen: Shown, selected: tuple[int, int]) -> None:
    start, end = selected
    first, last = screen.place(start), screen.place(end)
    if start == end:
        title = f"Token {first.cell}"
    elif first.doc_id == last.doc_id:
        title = f"Tokens {first.cell} to {last.cell}"
    else:
        title = f"Token {first.cell} to token {last.cell} of {controls.plain(last.doc_id)}"
    st.subheader(title)
    st.caption(f"Of {controls.plain(first.doc_id)}")
    cells = screen.cells[start : end + 1]
    st.code(
        token_heatmap.short("".join(own.cells.text[cell] for cell in cells.tolist())), language=None
    )
    table = selection_losses(db, own, cells)
    colours = figures.colours(db)
    figure.figure(
        law.loss_bars(table, colours),
        table,
        key="bars",
        name=f"losses-{first}-{last}",
        alt="Loss of every model on the selection",
    )
    figure.table(
        table, height=240,
        column_config={"nll": st.column_config.NumberColumn("nll, nats", format="%.3f")},
    )  # fmt: skip


def colouring(db: Database, own: Texts, asked: Asked) -> Coloured:
    """What was asked for; the weight, with a sentence why, where that cannot be had."""
    try:
        return colourings.coloured(db, own, asked)
    except InputError as error:
        st.warning(f"{controls.plain(str(error))}. The weight is shown.")
        return colourings.coloured(db, own, Asked())
