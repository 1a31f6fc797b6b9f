"""Controls of the Salience page: documents, search and colouring, chosen by hand or by a link."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.queries.fit_tokens import FitTokens
from dashboard.views.salience import position
from dashboard.views.salience.colouring import COLOURINGS, PER, ColourChoice
from dashboard.views.salience.position import Position
from dashboard.widgets import address, sidebar, state, text

LONGEST_SEARCH = 200  # characters


def open_at(source: str, doc_id: str, cell: int) -> dict[str, list[str]]:
    """Select a token, its document and source, before a switch to the page.

    Returns:
        Parameters for the address besides the choices of the side bar.
    """
    state.SOURCES.set([source])
    state.DOCUMENTS.set([doc_id])
    state.SOURCES_FOR.set((state.CORPUS.find(), state.TASK.find()))
    sidebar.rewrite_address()
    pick(Position(doc_id, cell))
    return {"source": [source], "doc": [doc_id]}


def pick(first: Position | None, last: Position | None = None) -> None:
    """Select a token or a range, None for nothing, and scroll the text to it."""
    state.SELECTION.set(None if first is None else (first, last or first))
    state.N_SCROLLS.set(state.N_SCROLLS.get(0) + 1)


def _named(key: str) -> list[str]:
    """Return the address's values of a parameter, without the empty value of an empty choice."""
    return [value for value in st.query_params.get_all(key) if value]


def _selected(texts: FitTokens) -> list[Position]:
    """Return the ends of the selection in the address that the texts have."""
    ends = [position.parse(text) for text in _named("token")]
    return [end for end in ends if end and _has(texts, end)]


def _has(texts: FitTokens, end: Position) -> bool:
    """Return whether the texts have a token at a position."""
    i = texts.index(end.doc_id)
    return i is not None and end.cell < texts.n_cells(i)


def follow(texts: FitTokens, strongest: str) -> None:
    """Move to the strongest source if the task has changed since the last visit.

    Sources chosen by hand go too; a chosen document or token stays if that source has it. The first
    page of a session obeys its link. Another fit of the same task keeps the sources, and has them
    written into the address, since its strongest source may be another.

    Args:
        texts: the texts.
        strongest: the source to move to, from `FitTokens.strongest_source`.
    """
    task, fit = (texts.fit.corpus, texts.fit.task), texts.fit.fit
    before = state.SOURCES_FOR.get(task), state.SOURCES_BY.get(fit)
    state.SOURCES_FOR.set(task)
    state.SOURCES_BY.set(fit)
    if before == (task, fit):
        return
    if before[0] == task:
        state.SOURCES.rewrite()
        return
    there = {doc.doc_id for doc in texts.docs if doc.source == strongest}
    kept = [name for name in state.DOCUMENTS.get([]) if name in there]
    state.SOURCES.set([strongest])
    state.DOCUMENTS.set(kept)
    picked = state.SELECTION.get(None)
    if picked and not all(end.doc_id in there and _has(texts, end) for end in picked):
        pick(None)


def complete_link(texts: FitTokens, preferred: list[str]) -> None:
    """Add the missing source of a link's document or token to the address, in a first run.

    The document of its token is added if it would not be read otherwise.
    """
    keys = (state.SELECTION, state.SOURCES, state.DOCUMENTS)
    if any(key.is_set() for key in keys) or "source" in st.query_params:
        return
    docs = [name for name in _named("doc") if texts.index(name) is not None]
    ends = [] if docs else _selected(texts)[:1]
    ordered = position.order(texts.docs, preferred, [])
    reached = {texts.docs[i].doc_id for i in position.fitting(texts, ordered, 0, len(ordered))}
    far = [end.doc_id for end in ends if end.doc_id not in reached]
    sources = {doc.source for doc in texts.docs if doc.doc_id in {*docs, *far}}
    if far:
        st.query_params["doc"] = far
    if preferred and not sources <= {*preferred}:
        st.query_params["source"] = sorted(sources)
    elif not far:
        return
    st.rerun()  # a control is made by what the address says when a run begins


def _offered(texts: FitTokens, preferred: list[str]) -> set[str]:
    """Return the documents that can be jumped to, by the sources that the link names."""
    sources = {doc.source for doc in texts.docs}
    usual = [] if "source" in st.query_params and not _named("source") else preferred
    read = [name for name in _named("source") if name in sources] or usual
    return {doc.doc_id for doc in texts.docs if not read or doc.source in read}


def missing_from_link(
    texts: FitTokens, models: list[str], others: list[str], preferred: list[str]
) -> str | None:
    """Return a warning for the invalid parameters of a link, in a first run.

    Also selects the tokens that the link names.
    """
    if state.SELECTION.is_set():
        return None
    ends, selected = _named("token"), _selected(texts)
    whole = bool(selected) and len(selected) == len(ends)
    pick(selected[0] if whole else None, selected[-1] if whole else None)
    there = {"source": {doc.source for doc in texts.docs}, "doc": _offered(texts, preferred),
             "colour": {*COLOURINGS}, "model_a": {*models}, "model_b": {*models},
             "other_task": {*others}}  # fmt: skip
    missing = [
        f"{key} {value!r}"
        for key, names in there.items()
        for value in _named(key)
        if value not in names
    ]
    if ends and not whole:
        missing.append(f"token {' to '.join(ends)!r}")
    if not missing:
        return None
    gone = text.plain(", ".join(missing))
    return f"The link names what is not here: {gone}. The rest is shown without it."


def reading_controls(texts: FitTokens, preferred: list[str]) -> tuple[list[int], list[int], str]:
    """Draw the controls of sources, documents and search.

    Returns:
        The documents to read in order, those of the sources whatever document is jumped to, and
        the text of the search.
    """
    left, middle, right = st.columns(3)
    read = left.multiselect(
        "Sources", texts.sources, default=preferred, key=state.SOURCES.name, bind="query-params",
        placeholder="all",
        help="Limits the text to documents of these sources; a new task opens at the source with "
        "the largest share of its weight.",
    )  # fmt: skip
    names = [doc.doc_id for doc in texts.docs if not read or doc.source in read]
    chosen = middle.multiselect(
        "Jump to document", names, key=state.DOCUMENTS.name, bind="query-params",
        placeholder="the first document",
        help="Puts these documents first; the ones after them in the corpus follow.",
    )  # fmt: skip
    find = address.write(
        right.text_input, "Search in the texts", key=state.SEARCH, type="search",
        max_chars=LONGEST_SEARCH, placeholder="plain text",
        help="Outlines all matches, ignoring case; M jumps to the next.",
    )  # fmt: skip
    ordered = position.order(texts.docs, read, chosen)
    every = position.order(texts.docs, read, [])
    if not find:
        return ordered, every, ""
    counts = position.n_matches(texts, range(len(texts.docs)), find)
    hits = [i for i in ordered if counts[i]]
    if _only_matches(right, counts, ordered) and hits:
        return hits, [i for i in every if counts[i]], find
    return ordered, every, find


def _only_matches(column: DeltaGenerator, counts: list[int], ordered: list[int]) -> bool:
    """Draw the number of matches and a toggle that leaves the other documents out."""
    here = sum(counts[i] for i in ordered)
    elsewhere = sum(counts) - here
    n_docs = sum(counts[i] > 0 for i in ordered)
    column.caption(
        f"{here:,} matches in {n_docs:,} of {len(ordered):,} documents"
        + (f"; {elsewhere:,} in documents outside these sources" if elsewhere else "")
    )
    only = address.keep(
        column.toggle, "Only documents with a match", key=state.ONLY_MATCHES,
        accepts=("true", "false").__contains__, format_value=lambda on: "on" if on else "off",
        help="Leaves the other documents out of the text below.",
    )  # fmt: skip
    return bool(only)


def colour_controls(models: list[str], preset: list[str], others: dict[str, str]) -> ColourChoice:
    """Draw the controls of the colouring and return the choice.

    Args:
        models: names of models with all losses.
        preset: two of them to compare at first.
        others: fits of other tasks, by task.
    """
    needs = {"loss": models, "loss difference": models, "task difference": others}
    offered = [name for name in COLOURINGS if needs.get(name, True)]
    columns = st.columns([1.2, 1, 1, 0.8])
    by = columns[0].selectbox(
        "Colour by", offered, key=state.COLOUR.name, bind="query-params",
        help="Sets the value that colours the tokens; losses are aligned to the scorer's tokens, "
        "so models with different tokenizers can be compared.",
    )  # fmt: skip
    first = second = other = ""
    per = PER[0]
    if by in ("loss", "loss difference"):
        first = _model(columns[1], "Model", models, preset[0], state.MODEL_A)
        if by == "loss difference":
            second = _model(columns[2], "Minus model", models, preset[-1], state.MODEL_B)
        per = address.choose(
            columns[3].segmented_control, "Nats per", PER, default=per, required=True,
            key=state.NATS_PER,
            help="Sets the unit: per token as in the score, or per character to compare tokens of "
            "different length.",
        )  # fmt: skip
    if by == "task difference":
        other = columns[1].selectbox(
            "Minus task", list(others), key=state.OTHER_TASK.name, bind="query-params",
            help="Sets the task to compare with: orange tokens weigh more here, blue ones there.",
        )  # fmt: skip
    return ColourChoice(by, first, second, per or PER[0], others.get(other, ""), other)


def _model(
    column: DeltaGenerator, label: str, models: list[str], preset: str, key: state.Key[str]
) -> str:
    return column.selectbox(
        label, models, index=models.index(preset), key=key.name, bind="query-params",
        help="Sets a model with losses on every document.",
    )  # fmt: skip
