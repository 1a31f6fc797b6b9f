"""What the reader of the Salience page chose, or a link: documents, search, colours, tokens."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.queries.fit_tokens import Texts
from dashboard.views.salience import position
from dashboard.views.salience.colouring import COLOURINGS, PER, Asked
from dashboard.views.salience.position import Place
from dashboard.widgets import address, sidebar
from dashboard.widgets import text as controls

LONGEST_SEARCH = 200  # characters
# Of the session's state: what the sources were chosen for, (corpus, task), and by which fit.
READ_FOR, READ_BY = "read for", "read by"


def open_at(source: str, doc_id: str, cell: int) -> dict[str, list[str]]:
    """Make the page begin at a document of a source, with a token selected; then switch to it.

    Returns:
        what the address shall say of it besides the side bar's choices.
    """
    st.session_state["source"] = [source]
    st.session_state["doc"] = [doc_id]
    st.session_state[READ_FOR] = controls.chosen("corpus"), controls.chosen("task")
    sidebar.write_anew()
    pick(Place(doc_id, cell))
    return {"source": [source], "doc": [doc_id]}


def pick(first: Place | None, last: Place | None = None) -> None:
    """Select a token or a range; None selects nothing. The text scrolls there."""
    st.session_state["picked"] = None if first is None else (first, last or first)
    st.session_state["focus"] = st.session_state.get("focus", 0) + 1


def _named(key: str) -> list[str]:
    """What the address says of a key, without the empty word of a choice that was emptied."""
    return [value for value in st.query_params.get_all(key) if value]


def _known(own: Texts) -> list[Place]:
    """The ends of the selection in the address, as far as the texts have them."""
    ends = [position.place(text) for text in _named("token")]
    return [end for end in ends if end and _has(own, end)]


def _has(own: Texts, end: Place) -> bool:
    """Whether the texts have a token at a place."""
    i = own.index(end.doc_id)
    return i is not None and end.cell < own.n_cells(i)


def follow(own: Texts, strongest: str) -> None:
    """Move to the strongest source where another task is shown than at the last visit.

    Sources chosen by hand go too; a chosen document or token stays if that source has it. The first
    page of a session obeys its link. Another fit of the same task keeps the sources, and has them
    written into the address, since its strongest source may be another.

    Args:
        own: the texts.
        strongest: the source to move to, from `Texts.strongest_source`.
    """
    place, fit = (own.fit.corpus, own.fit.task), own.fit.fit
    before = st.session_state.get(READ_FOR, place), st.session_state.get(READ_BY, fit)
    st.session_state[READ_FOR], st.session_state[READ_BY] = place, fit
    if before == (place, fit):
        return
    if before[0] == place:
        if "source" in st.session_state:  # a control writes its value where that is set
            st.session_state["source"] = st.session_state["source"]
        return
    there = {doc.doc_id for doc in own.docs if doc.source == strongest}
    begun = [name for name in st.session_state.get("doc", []) if name in there]
    st.session_state.update({"source": [strongest], "doc": begun})
    picked = st.session_state.get("picked")
    if picked and not all(end.doc_id in there and _has(own, end) for end in picked):
        pick(None)


def begin(own: Texts, preferred: list[str]) -> None:
    """Where the link of a page just opened names no source: that of what it names.

    The document of its token is begun with if it would not be read otherwise.
    """
    if {"picked", "source", "doc"} & set(st.session_state) or "source" in st.query_params:
        return
    docs = [name for name in _named("doc") if own.index(name) is not None]
    known = [] if docs else _known(own)[:1]
    ordered = position.order(own.docs, preferred, [])
    reached = {own.docs[i].doc_id for i in position.shown(own, ordered, 0, len(ordered))}
    far = [end.doc_id for end in known if end.doc_id not in reached]
    found = {doc.source for doc in own.docs if doc.doc_id in {*docs, *far}}
    if far:
        st.query_params["doc"] = far
    if preferred and not found <= {*preferred}:
        st.query_params["source"] = sorted(found)
    elif not far:
        return
    st.rerun()  # a control is made by what the address says when a run begins


def _offered(own: Texts, preferred: list[str]) -> set[str]:
    """The documents that can be begun with, by the sources that the link names."""
    sources = {doc.source for doc in own.docs}
    usual = [] if "source" in st.query_params and not _named("source") else preferred
    read = [name for name in _named("source") if name in sources] or usual
    return {doc.doc_id for doc in own.docs if not read or doc.source in read}


def gone(own: Texts, models: list[str], others: list[str], preferred: list[str]) -> str | None:
    """What the link of a page just opened names that is not there, as a sentence.

    Takes over the selection that it names.
    """
    if "picked" in st.session_state:
        return None
    ends, known = _named("token"), _known(own)
    whole = bool(known) and len(known) == len(ends)
    pick(known[0] if whole else None, known[-1] if whole else None)
    there = {"source": {doc.source for doc in own.docs}, "doc": _offered(own, preferred),
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
    gone = controls.plain(", ".join(missing))
    return f"The link names what is not here: {gone}. The rest is shown without it."


def reading_controls(own: Texts, preferred: list[str]) -> tuple[list[int], list[int], str]:
    """Sources, documents and a search.

    Returns the documents to read in order, those that may be read whatever one begins with, and
    the text searched for.

    Args:
        own: the texts.
        preferred: sources to begin with.
    """
    left, middle, right = st.columns(3)
    sources = list(dict.fromkeys(doc.source for doc in own.docs))
    read = left.multiselect(
        "Sources", sources, default=preferred, key="source", bind="query-params",
        placeholder="all",
        help="Documents of these are read one after another; another task begins with the source "
        "that has the largest share of its weight.",
    )  # fmt: skip
    names = [doc.doc_id for doc in own.docs if not read or doc.source in read]
    chosen = middle.multiselect(
        "Begin with", names, key="doc", bind="query-params", placeholder="the first document",
        help="One document or a list of them; the ones that follow in the corpus come next.",
    )  # fmt: skip
    find = address.write(
        right.text_input, "Search in the texts", key="find", type="search",
        max_chars=LONGEST_SEARCH, placeholder="plain text",
        help="Matches are outlined, capital or small letters alike; M jumps to the next.",
    )  # fmt: skip
    ordered = position.order(own.docs, read, chosen)
    every = position.order(own.docs, read, [])
    if not find:
        return ordered, every, ""
    counts = [len(position.occurrences(doc.text, find)) for doc in own.docs]
    hits = [i for i in ordered if counts[i]]
    here = sum(counts[i] for i in ordered)
    elsewhere = sum(counts) - here
    right.caption(
        f"{here:,} matches in {len(hits):,} of {len(ordered):,} documents"
        + (f"; {elsewhere:,} in documents that are not read here" if elsewhere else "")
    )
    only = address.keep(
        right.toggle, "Only documents with a match", key="only",
        accepts=("true", "false").__contains__, told=lambda on: "on" if on else "off",
        help="Leaves the other documents out of the text below.",
    )  # fmt: skip
    if only and hits:
        return hits, [i for i in every if counts[i]], find
    return ordered, every, find


def colour_controls(models: list[str], usual: list[str], others: dict[str, str]) -> Asked:
    """What the tokens are coloured by.

    Args:
        models: names of models with all losses.
        usual: two of them to compare at first.
        others: fits of other tasks, by task.
    """
    needs = {"loss": models, "loss difference": models, "task difference": others}
    offered = [name for name in COLOURINGS if needs.get(name, True)]
    columns = st.columns([1.2, 1, 1, 0.8])
    by = columns[0].selectbox(
        "Colour by", offered, key="colour", bind="query-params",
        help="Losses are aligned to the scorer's tokens, so models with "
        "different tokenizers can be compared.",
    )  # fmt: skip
    first = second = other = ""
    per = PER[0]
    if by in ("loss", "loss difference"):
        first = _model(columns[1], "Model", models, usual[0], "model_a")
        if by == "loss difference":
            second = _model(columns[2], "Less that of", models, usual[-1], "model_b")
        per = address.choose(
            columns[3].segmented_control, "Nats per", PER, default=per, required=True, key="per",
            help="Per token as the score counts it; per character to compare long with short.",
        )  # fmt: skip
    if by == "task difference":
        other = columns[1].selectbox(
            "Less the weight for", list(others), key="other_task", bind="query-params",
            help="Orange tokens weigh more here, blue ones there.",
        )  # fmt: skip
    return Asked(by, first, second, per or PER[0], others.get(other, ""), other)


def _model(column: DeltaGenerator, label: str, models: list[str], usual: str,
           key: str) -> str:  # fmt: skip
    return column.selectbox(
        label, models, index=models.index(usual), key=key, bind="query-params",
        help="A model with losses on every document.",
    )  # fmt: skip
