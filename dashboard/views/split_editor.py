"""A split while it is being made: presets to start from, single edits, and moves of many models."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from csvcore import splits
from csvcore.records import SIDES, ModelCard, Side
from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.widgets import address, sidebar, text

OUT = "leave out"
N_FIRST = 4  # checkpoints of the sisters that train, unless told
BY_SIZE, CLOSED = "By size: largest of each family tests", "Closed source: two sister families"
LEAVE_OUT = "Leave out "
TABLE_2 = "The paper's Table 2"
ALL_STAGES = "all"
STORED = "Stored: "
EMPTY_SIDES: dict[Side, str] = {
    "validation": "the paper's loop has nothing to stop by, and the other fits less to choose by",
    "test": "nothing will tell how well a fit predicts",
}
MOVES = "Ticked models, or all that are shown, go to this side; nothing is stored before Save."


def start(db: Database, cards: Sequence[ModelCard]) -> tuple[str, str, dict[str, Side]]:
    """Choose a stored split or a preset.

    Returns:
        A key that tells this start from others, a name to save it under, and the split.
    """
    families = sorted({card.family for card in cards})
    stored = {f"{STORED}{name}": name for name in database.splits(db)}
    names = [*stored, BY_SIZE, CLOSED, *(LEAVE_OUT + family for family in families), TABLE_2]
    begin = f"{STORED}{text.chosen('split')}"
    saved = st.session_state.pop("split just saved", None)
    if saved is not None:
        st.session_state["start"] = f"{STORED}{saved}"
    elif begin in names and st.session_state.get("start follows", begin) != begin:
        st.session_state["start"] = begin  # another split was chosen in the side bar
    st.session_state["start follows"] = begin
    left, right = st.columns([3, 1])
    choice = address.choose(
        left.selectbox,
        "Start from",
        text.first(names, begin),  # what stands first is what an address without it means
        key="start",
        help="A stored split, or one of the usual ways to divide models. Edit it below.",
    )
    if choice in stored:
        return choice, stored[choice], database.split(db, stored[choice])
    stages = sorted({card.stage for card in cards if card.stage})
    stage = address.choose(
        right.selectbox,
        "Models of stage",
        [ALL_STAGES, *stages],
        key="stage",
        help="Base models and chat models answer differently: a split of one stage alone keeps "
        "them apart.",
    )
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
    """Choose the sisters."""
    families = sorted({card.family for card in cards})
    one, other = splits.sisters(cards)
    columns = st.columns(3)
    validating = address.choose(
        columns[0].selectbox,
        "Validating sister",
        families,
        index=families.index(one),
        key="validating",
        help="Its later checkpoints validate.",
    )
    testing = address.choose(
        columns[1].selectbox,
        "Testing sister",
        families,
        index=families.index(other),
        key="testing",
        help="Its later checkpoints test. Sisters differ in little, as in their data alone.",
    )
    n_first = columns[2].number_input(
        "First checkpoints that train",
        0,
        1000,
        N_FIRST,
        key="first",
        help="Of every run of both sisters, besides all models of the other families.",
    )
    split = splits.closed_source(cards, str(validating), str(testing), int(n_first))
    return f"{CLOSED}{suffix}-{validating}-{testing}-{n_first}", f"closed-source{suffix}", split


def _table_2(cards: Sequence[ModelCard]) -> dict[str, Side]:
    """The paper's split as far as it goes, and what is missing."""
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
    """The split with what was edited since; lives as long as the session, by its start's key."""
    kept: dict[str, dict[str, Side]] = st.session_state.setdefault("edited splits", {})
    return kept.setdefault(key, dict(split))


def forget(key: str) -> None:
    """Drop what was edited, so that the start shows as it is."""
    st.session_state.get("edited splits", {}).pop(key, None)
    _remount(key)


def save(db: Database, key: str, name: str, sides: dict[str, Side]) -> None:
    """A name and a button that stores the split; asks again where that would hide fits.

    Args:
        db: the database.
        key: of the start.
        name: what is proposed.
        sides: of the models.

    Raises:
        InputError: it is no split, see `splits.check_split`.
    """
    with st.form("save", border=False):
        wanted = st.text_input(
            "Save as", name,
            help="A name that is taken is replaced; fits made on other sides no longer show.",
        ).strip()  # fmt: skip
        pressed = st.form_submit_button(
            "Save split", icon=":material/save:", help="Stores the sides as the table has them."
        )
    question = (wanted, dict(sides))  # any edit takes it back
    if not pressed and st.session_state.get("split to replace") != question:
        return
    split = splits.check_split(dict(sides), [card.model for card in database.cards(db)])
    is_other = wanted not in database.splits(db) or database.split(db, wanted) != split
    if not 0 < len(wanted) <= text.LONGEST_NAME:
        st.warning(text.name_of("split", wanted))
    elif wanted.startswith(splits.WITHOUT) and is_other and name != wanted:
        st.warning(
            f"Names that begin with {splits.WITHOUT} are those of splits that leave a family out; "
            "choose another."
        )
    elif is_other and (n_fits := _fits_on(db, wanted)):
        st.session_state["split to replace"] = question
        st.warning(
            f"{n_fits} fits were made on {text.plain(wanted)} as it is and would no longer "
            "show. Save under another name, or replace it."
        )
        if st.button(
            f"Replace {text.plain(wanted)}",
            key="replace-split",
            icon=":material/sync_problem:",
            help="The fits stay stored, as stale.",
        ):
            _store(db, key, wanted, split)
    else:
        _store(db, key, wanted, split)


def _fits_on(db: Database, name: str) -> int:
    """How many fits show as long as the split stays."""
    fits = database.fits(db)
    return int(((fits["split"] == name) & ~fits["stale"].astype(bool)).sum())


def _store(db: Database, key: str, name: str, split: dict[str, Side]) -> None:
    database.save_split(db, name, split)
    forget(key)
    forget(f"{STORED}{name}")
    st.session_state.pop("split to replace", None)
    st.session_state["split just saved"] = name
    sidebar.choose_next("split", name)
    st.toast(f"Saved as {text.plain(name)}")
    st.rerun()


def _remount(key: str) -> None:
    """A new editor, which shows what was moved without it; the old one's own edits are dropped."""
    rounds = st.session_state.setdefault("editor rounds", {})
    rounds[key] = rounds.get(key, 0) + 1


def place(split: dict[str, Side], models: Sequence[str], side: str) -> None:
    """Move models to a side, or out of the split, in place."""
    for model in models:
        if side in SIDES:
            split[model] = next(one for one in SIDES if one == side)
        else:
            split.pop(model, None)


def edit(key: str, table: pd.DataFrame, split: dict[str, Side], tasks: Sequence[str]) -> None:
    """Filter the models, change single cells, tick rows, and move what is ticked or shown.

    Args:
        key: of the start.
        table: model, family, n_params, stage, step, train_tokens and a column a task.
        split: changed in place.
        tasks: columns of accuracies.
    """
    shown = _filtered(table, split)
    rounds = st.session_state.get("editor rounds", {}).get(key, 0)
    editor = f"editor-{key}-{rounds}-{hash(tuple(shown['model']))}"
    # What the editor began with: its own edits must not come back to it as new data. One that
    # was away while another page was shown begins anew.
    begun = st.session_state.setdefault("editor began", {})
    if begun.get("editor") != editor or editor not in st.session_state:
        begun |= {"editor": editor, "sides": dict(split)}
    columns = ["model", "split", "family", "n_params", "stage", "step", "train_tokens"]
    edited = st.data_editor(
        shown.assign(split=shown["model"].map(begun["sides"]), tick=False)[
            ["tick", *columns, *tasks]
        ],
        hide_index=True,
        placeholder="\u2013",
        height=380,
        disabled=[name for name in [*columns, *tasks] if name != "split"],
        column_config={
            "tick": st.column_config.CheckboxColumn(
                "move", help="Tick models to move them together"
            ),
            "split": st.column_config.SelectboxColumn(
                "split", options=list(SIDES), help="Click twice to choose a side"
            ),
            "n_params": st.column_config.NumberColumn("parameters", format="localized"),
            "train_tokens": st.column_config.NumberColumn("training tokens", format="compact"),
        }
        | {task: st.column_config.NumberColumn(format="%.3f") for task in tasks},
        key=editor,
    )
    for model, side in zip(edited["model"], edited["split"], strict=True):
        place(split, [model], side if side in SIDES else OUT)
    ticked = edited.loc[edited["tick"], "model"].tolist()
    chosen = ticked or edited["model"].tolist()
    what = f"the {len(chosen)} ticked" if ticked else f"all {len(chosen)} shown"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Move {what} to", width="content")
        for side in (*SIDES, OUT):
            if st.button(side.capitalize(), key=f"move-{side}", disabled=not chosen, help=MOVES):
                place(split, chosen, side)
                _remount(key)
                st.rerun()
        if st.button(
            "Undo all edits",
            key="undo",
            type="tertiary",
            icon=":material/undo:",
            help="Back to the split this began with.",
        ):
            forget(key)
            st.rerun()


def _filtered(table: pd.DataFrame, split: dict[str, Side]) -> pd.DataFrame:
    """The models that the filters let through."""
    columns = st.columns([2, 2, 2, 3])
    families = columns[0].multiselect(
        "Families", sorted(table["family"].unique()), key="only families", help="None: all of them"
    )
    sizes = columns[1].multiselect(
        "Parameters",
        sorted(table["n_params"].dropna().unique()),
        format_func=lambda count: f"{count:,.0f}",
        key="only sizes",
        help="None: all sizes",
    )
    on = columns[2].multiselect(
        "Side", [*SIDES, OUT], key="only sides", help="None: models of every side"
    )
    steps = sorted(table["step"].dropna().astype(int).unique().tolist())
    kept: Any = pd.Series(True, index=table.index)
    if len(steps) > 1:
        low, high = columns[3].select_slider(
            "Steps", steps, (steps[0], steps[-1]), key="only steps", help="Of the checkpoints"
        )
        if (low, high) != (steps[0], steps[-1]):
            kept &= table["step"].between(low, high)
    if families:
        kept &= table["family"].isin(families)
    if sizes:
        kept &= table["n_params"].isin(sizes)
    if on:
        kept &= table["model"].map(split).fillna(OUT).isin(on)
    found: pd.DataFrame = table[kept]
    return found
