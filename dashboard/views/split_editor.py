"""Editor of a split: presets, single edits and moves of many models."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from csvcore import splits
from csvcore.records import SIDES, ModelCard, Side
from dashboard.queries import access, database, edits
from dashboard.queries.database import Database
from dashboard.widgets import address, sidebar, state, text

OUT = "leave out"
N_FIRST = 4  # checkpoints of the sisters that train by default
BY_SIZE, CLOSED = "By size: largest of each family tests", "Closed source: two sister families"
LEAVE_OUT = "Leave out "
TABLE_2 = "The paper's Table 2"
ALL_STAGES = "all"
STORED = "Stored: "
MOVES = "Moves the ticked models, or else all shown, to this side; nothing is stored before Save."


def start(db: Database, cards: Sequence[ModelCard]) -> tuple[str, str, dict[str, Side]]:
    """Choose a stored split or a preset.

    Returns:
        A key that tells this start from others, a name to save it under, and the split.
    """
    stored = {f"{STORED}{name}": name for name in database.splits(db)}
    families = sorted({card.family for card in cards})
    names = [*stored, BY_SIZE, CLOSED, *(LEAVE_OUT + family for family in families), TABLE_2]
    default = _follow_side_bar(names)
    left, right = st.columns([3, 1])
    choice = address.choose(
        left.selectbox,
        "Base split",
        text.first(names, default),  # an address without the parameter means the first option
        key=state.BASE_SPLIT,
        help="Sets the stored split or preset that the edits below begin with.",
    )
    if choice in stored:
        return choice, stored[choice], database.split(db, stored[choice])
    stages = sorted({card.stage for card in cards if card.stage})
    stage = address.choose(
        right.selectbox,
        "Stage",
        [ALL_STAGES, *stages],
        key=state.STAGE,
        help="Limits the split to models of one stage, such as base or chat.",
    )
    return _preset(choice, stage, cards)


def _follow_side_bar(names: Sequence[str]) -> str:
    """Set the base split to one just saved or just chosen in the side bar; return the latter."""
    current = f"{STORED}{state.SPLIT.find()}"
    saved = state.SAVED_SPLIT.pop("")
    if saved:
        state.BASE_SPLIT.set(f"{STORED}{saved}")
    elif current in names and state.FOLLOWED_SPLIT.get(current) != current:
        state.BASE_SPLIT.set(current)
    state.FOLLOWED_SPLIT.set(current)
    return current


def _preset(
    choice: str, stage: str, cards: Sequence[ModelCard]
) -> tuple[str, str, dict[str, Side]]:
    """Return the key, name and sides of a preset on the models of a stage."""
    chosen = list(cards) if stage == ALL_STAGES else splits.of_stage(cards, stage)
    suffix = "" if stage == ALL_STAGES else f"-{stage}"
    if choice == CLOSED:
        return _closed_source(chosen, suffix)
    if choice == TABLE_2:
        return choice + suffix, f"table-2{suffix}", _table_2(chosen)
    if choice == BY_SIZE:
        return choice + suffix, f"by-size{suffix}", splits.by_size(chosen)
    family = choice.removeprefix(LEAVE_OUT)
    split = splits.leave_one_family_out(chosen, family)
    return choice + suffix, f"without-{family}{suffix}", split


def _closed_source(cards: Sequence[ModelCard], suffix: str) -> tuple[str, str, dict[str, Side]]:
    """Choose the sister families; return key, name and sides."""
    families = sorted({card.family for card in cards})
    first, second = splits.sisters(cards)
    columns = st.columns(3)
    validating = address.choose(
        columns[0].selectbox,
        "Validation sister",
        families,
        index=families.index(first),
        key=state.VALIDATING,
        help="Sets the family whose later checkpoints are the validation models.",
    )
    testing = address.choose(
        columns[1].selectbox,
        "Test sister",
        families,
        index=families.index(second),
        key=state.TESTING,
        help="Sets the family whose later checkpoints are the test models; it should differ from "
        "its sister in little, such as its data.",
    )
    n_first = columns[2].number_input(
        "First checkpoints in train",
        0,
        1000,
        N_FIRST,
        key=state.N_FIRST.name,
        help="Sets how many checkpoints of each sister run are train models.",
    )
    split = splits.closed_source(cards, str(validating), str(testing), int(n_first))
    return f"{CLOSED}{suffix}-{validating}-{testing}-{n_first}", f"closed-source{suffix}", split


def _table_2(cards: Sequence[ModelCard]) -> dict[str, Side]:
    """Return the paper's split on the stored models, and say which are missing."""
    split, missing = splits.table_2(cards)
    if missing:
        st.info(
            text.plain(
                f"{len(split)} of the {len(split) + len(missing)} models of Table 2 are stored. "
                f"Missing: {', '.join(missing)}."
            ),
            icon=":material/playlist_remove:",
        )
    return split


def sides(key: str, split: dict[str, Side]) -> dict[str, Side]:
    """Return the split with the session's edits, by the key of its base split."""
    return state.EDITED_SPLITS.keep({}).setdefault(key, dict(split))


def forget(key: str) -> None:
    """Drop the edits of a base split."""
    state.EDITED_SPLITS.get({}).pop(key, None)
    _remount(key)


def save(db: Database, key: str, name: str, sides: dict[str, Side]) -> None:
    """Draw a name and a button that stores the split; ask again if that hides fits.

    Args:
        db: the database.
        key: of the base split.
        name: the default name.
        sides: of the models.

    Raises:
        InputError: it is no split, see `splits.check_split`.
    """
    with st.form("save", border=False):
        wanted = st.text_input(
            "Save as", name,
            help="Sets the name; a stored split of this name is replaced, and fits on other "
            "sides no longer "
            "show.",
        ).strip()  # fmt: skip
        pressed = st.form_submit_button(
            "Save split",
            icon=":material/save:",
            help="Stores the sides as in the table.",
            disabled=access.locked(db),
        )
    request = (wanted, dict(sides))  # any edit withdraws it
    if pressed or state.REPLACED_SPLIT.find() == request:
        _check_and_store(db, key, name, request)


def _check_and_store(
    db: Database, key: str, name: str, request: tuple[str, dict[str, Side]]
) -> None:
    """Store a split, unless its name is refused or the replacement is not confirmed yet."""
    wanted, sides = request
    split = splits.check_split(dict(sides), [card.model for card in database.cards(db)])
    is_other = wanted not in database.splits(db) or database.split(db, wanted) != split
    if not 0 < len(wanted) <= text.LONGEST_NAME:
        st.warning(text.refused_name("split", wanted))
    elif wanted.startswith(splits.WITHOUT) and is_other and name != wanted:
        st.warning(
            f"Names that begin with {splits.WITHOUT} are reserved for splits that leave a "
            f"family out; "
            "choose another."
        )
    elif is_other and (n_fits := _fits_on(db, wanted)):
        state.REPLACED_SPLIT.set(request)
        st.warning(
            f"{n_fits} fits were made on {text.plain(wanted)} as it is and would no longer "
            "show. Save under another name, or replace it."
        )
        if st.button(
            f"Replace {text.plain(wanted)}",
            key="replace-split",
            icon=":material/sync_problem:",
            help="Replaces the split; its fits stay stored as stale.",
        ):
            _store(db, key, wanted, split)
    else:
        _store(db, key, wanted, split)


def _fits_on(db: Database, name: str) -> int:
    """Return the number of fits that are not stale."""
    fits = database.fits(db)
    return int(((fits["split"] == name) & ~fits["stale"].astype(bool)).sum())


def _store(db: Database, key: str, name: str, split: dict[str, Side]) -> None:
    edits.save_split(db, name, split)
    forget(key)
    forget(f"{STORED}{name}")
    state.REPLACED_SPLIT.drop()
    state.SAVED_SPLIT.set(name)
    sidebar.choose_next(state.SPLIT, name)
    st.toast(f"Saved as {text.plain(name)}")
    st.rerun()


def _remount(key: str) -> None:
    """Replace the editor by a new one with the current sides."""
    rounds = state.EDITOR_ROUNDS.keep({})
    rounds[key] = rounds.get(key, 0) + 1


def move(split: dict[str, Side], models: Sequence[str], side: str) -> None:
    """Move models to a side, or out of the split; changes the split."""
    for model in models:
        if side in SIDES:
            split[model] = next(name for name in SIDES if name == side)
        else:
            split.pop(model, None)


def edit(key: str, table: pd.DataFrame, split: dict[str, Side], tasks: Sequence[str]) -> None:
    """Draw filters, an editor of single sides, and buttons that move many models.

    Args:
        key: of the base split.
        table: model, family, n_params, stage, run, step, train_tokens and a column per task.
        split: changed in place.
        tasks: columns of accuracies.
    """
    shown = _filtered(table, split)
    number = state.EDITOR_ROUNDS.get({}).get(key, 0)
    edited = _editor(f"editor-{key}-{number}-{hash(tuple(shown['model']))}", shown, split, tasks)
    for model, side in zip(edited["model"], edited["split"], strict=True):
        move(split, [model], side if side in SIDES else OUT)
    _moves(key, edited, split)


def _editor(
    editor: str, shown: pd.DataFrame, split: dict[str, Side], tasks: Sequence[str]
) -> pd.DataFrame:
    """Draw the table; return it as edited."""
    # The editor's own edits must not come back to it as new data, so it keeps its first sides. One
    # that was not drawn in the last run begins again.
    base = state.EDITOR_BASE.find()
    if base is None or base[0] != editor or not state.Key[object](editor).is_set():
        base = editor, dict(split)
        state.EDITOR_BASE.set(base)
    named = ["run"] if shown["run"].notna().any() else []
    columns = ["model", "split", "family", "n_params", "stage", *named, "step", "train_tokens"]
    edited: pd.DataFrame = st.data_editor(
        shown.assign(split=shown["model"].map(base[1]), tick=False)[["tick", *columns, *tasks]],
        hide_index=True,
        placeholder="\u2013",
        height=380,
        disabled=[name for name in [*columns, *tasks] if name != "split"],
        column_config={
            "tick": st.column_config.CheckboxColumn(
                "move", help="Ticks models for a move together"
            ),
            "split": st.column_config.SelectboxColumn(
                "split", options=list(SIDES), help="Sets the side of a model; click twice"
            ),
            "n_params": st.column_config.NumberColumn("parameters", format="localized"),
            "train_tokens": st.column_config.NumberColumn("training tokens", format="compact"),
        }
        | {task: st.column_config.NumberColumn(format="%.3f") for task in tasks},
        key=editor,
    )
    return edited


def _moves(key: str, edited: pd.DataFrame, split: dict[str, Side]) -> None:
    """Draw the buttons that move the ticked or shown models and that undo all edits."""
    ticked = edited.loc[edited["tick"], "model"].tolist()
    chosen = ticked or edited["model"].tolist()
    what = f"the {len(chosen)} ticked" if ticked else f"all {len(chosen)} shown"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Move {what} to", width="content")
        for side in (*SIDES, OUT):
            if st.button(side.capitalize(), key=f"move-{side}", disabled=not chosen, help=MOVES):
                move(split, chosen, side)
                _remount(key)
                st.rerun()
        if st.button(
            "Undo all edits",
            key="undo",
            type="tertiary",
            icon=":material/undo:",
            help="Restores the base split.",
        ):
            forget(key)
            st.rerun()


def _filtered(table: pd.DataFrame, split: dict[str, Side]) -> pd.DataFrame:
    """Draw the filters; return the rows of the models that pass."""
    columns = st.columns([2, 2, 2, 3])
    families = columns[0].multiselect(
        "Families",
        sorted(table["family"].unique()),
        key=state.ONLY_FAMILIES.name,
        help="Limits the table to these families; empty: all.",
    )
    sizes = columns[1].multiselect(
        "Parameters",
        sorted(table["n_params"].dropna().unique()),
        format_func=lambda count: f"{count:,.0f}",
        key=state.ONLY_SIZES.name,
        help="Limits the table to models of these sizes; empty: all.",
    )
    on = columns[2].multiselect(
        "Split",
        [*SIDES, OUT],
        key=state.ONLY_SIDES.name,
        help="Limits the table to models of these sides; empty: all.",
    )
    steps = sorted(table["step"].dropna().astype(int).unique().tolist())
    kept: Any = pd.Series(True, index=table.index)
    if len(steps) > 1:
        low, high = columns[3].select_slider(
            "Steps",
            steps,
            (steps[0], steps[-1]),
            key=state.ONLY_STEPS.name,
            help="Limits the table to checkpoints of these steps.",
        )
        if (low, high) != (steps[0], steps[-1]):
            kept &= table["step"].between(low, high)
    if families:
        kept &= table["family"].isin(families)
    if sizes:
        kept &= table["n_params"].isin(sizes)
    if on:
        kept &= table["model"].map(split).fillna(OUT).isin(on)
    rows: pd.DataFrame = table[kept]
    return rows
