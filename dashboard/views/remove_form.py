"""Removal of stored things: what depends on them is listed before the button works."""

from collections.abc import Callable

import streamlit as st

from dashboard.queries import changes, database, edits
from dashboard.queries.database import Database
from dashboard.widgets import boundary, figure, state, text

LABELS = {
    "models": "Models",
    "splits": "Splits",
    "fits": "Fits",
    "corpora": "Corpora",
    "tasks": "Tasks",
}
SHOWN = 1000  # rows of the list; the sentence above counts all


def form(db: Database) -> None:
    """Draw the choice of things, what goes with them, and the button that removes all of it."""
    if done := state.REMOVED.find():
        st.success(text.plain(done), icon=":material/delete:")
    kind = st.segmented_control(
        "What to remove",
        list(LABELS),
        default="models",
        required=True,
        format_func=LABELS.__getitem__,
        key="remove-what",
        help="Sets the kind of thing; accuracies and losses: `csvcore remove`.",
    )
    names, label = _options(db, kind)
    number = state.N_REMOVED.get(0)
    chosen = st.multiselect(
        LABELS[kind],
        names,
        format_func=label,
        key=f"remove-{kind}-{number}",
        help="Sets what to remove; all that depends on it is listed below.",
    )
    if not chosen:
        return
    planned = changes.removal(db, kind, tuple(chosen))
    rows = [(row.what, row.name, row.effect, row.before, row.after) for row in planned.rows]
    told = changes.in_words(planned.counts())
    st.warning(text.plain(f"Removes for good: {told}."), icon=":material/warning:")
    table = changes.changes_table(rows[:SHOWN], ())
    figure.show_table(table[["what", "name", "effect"]], key=f"goes-{number}")
    sure = st.checkbox(
        "Remove all of this",
        key=f"sure-{kind}-{number}-{planned.fingerprint[:8]}",
        help="Makes the button work; another choice takes it back.",
    )
    st.button(
        "Remove",
        icon=":material/delete_forever:",
        disabled=not sure,
        on_click=_remove,
        args=(db, kind, tuple(chosen), planned.fingerprint),
        help="Removes what is listed, at once and for good.",
    )


def _options(db: Database, kind: str) -> tuple[list[str], Callable[[str], str]]:
    """Return the names of a kind, and what to show for each."""
    if kind == "fits":
        fits = database.fits(db).set_index("fit")
        shown = {
            str(name): f"{row['task']}, {row['method']}, {row['corpus']}, {row['split']}, "
            f"{row['created'].strftime('%Y-%m-%d %H:%M')} ({name})"
            for name, row in fits.iterrows()
        }
        return list(shown), lambda name: text.plain(shown[name])
    match kind:
        case "models":
            names = [card.model for card in database.cards(db)]
        case "splits":
            names = database.splits(db)
        case "corpora":
            names = database.corpora(db)["corpus"].tolist()
        case _:
            names = [task.task for task in database.tasks(db)]
    return names, text.plain


@boundary.shown()
def _remove(db: Database, kind: str, names: tuple[str, ...], expected: str) -> None:
    done = edits.remove(db, kind, names, expected)
    state.REMOVED.set(f"Done: {changes.in_words(done.counts())}.")
    state.N_REMOVED.set(state.N_REMOVED.get(0) + 1)
