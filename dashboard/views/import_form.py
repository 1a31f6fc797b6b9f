"""The form of the Import page: what a file is, where it is, and how to read it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.queries import changes, database, edits
from dashboard.queries.database import Database
from dashboard.widgets import boundary, state, text

LARGEST_MB = 2_000  # of an upload; server.maxUploadSize is the same
BY_MANIFEST = "by its manifest"
FORMATS = {"csv": "CSV", "lm-eval": "lm-eval results", "opencompass": "OpenCompass"}


@dataclass(frozen=True, slots=True)
class Content:
    """One kind of file: its label, the endings of its files, what it holds, and its settings."""

    label: str
    endings: tuple[str, ...]
    about: str
    settings: Callable[[Database], dict[str, Any]] = lambda db: {}


def _name(db: Database) -> dict[str, Any]:
    name = st.text_input("Name", key="import-name", help="Sets the name to store it by.").strip()
    return {"name": name}


def _replace(db: Database) -> dict[str, Any]:
    wanted = st.toggle(
        "Replace stored values",
        key="import-replace",
        help="Lets the file win where another value is stored; off, such a file is refused, and "
        "cards are only filled up.",
    )
    return {"replace": True} if wanted else {}


def _accuracies(db: Database) -> dict[str, Any]:
    form = st.segmented_control(
        "Format",
        list(FORMATS),
        default="csv",
        required=True,
        format_func=FORMATS.__getitem__,
        key="import-format",
        help="Sets the format; results of several models come as a zip of their folders.",
    )
    fields = {
        "chances": ("New tasks", "TASK=LEVEL, e.g. arc_easy=0.25: stores the task, with its "
                    "chance level, first."),
        "tasks": ("Tasks", "STORED or STORED=THEIRS; empty: all of a CSV, all stored in results."),
        "metrics": ("Metrics", "METRIC or TASK=METRIC, preferred first; for results alone."),
    }  # fmt: skip
    settings: dict[str, Any] = {"form": form}
    columns = st.columns(len(fields))
    for column, (key, (label, about)) in zip(columns, fields.items(), strict=True):
        words = column.text_input(label, key=f"import-{key}", help=f"{about} Separate by spaces.")
        if words.split() and not (key == "metrics" and form == "csv"):
            settings[key] = words.split()
    return settings | _replace(db)


def _pack(db: Database) -> dict[str, Any]:
    names = database.corpora(db)["corpus"].tolist()
    chosen = st.selectbox(
        "Corpus",
        [BY_MANIFEST, *names],
        format_func=text.plain,
        key="import-corpus",
        help="Sets the corpus of a pack without a manifest; the hash in a manifest finds it.",
    )
    return ({} if chosen == BY_MANIFEST else {"corpus": chosen}) | _replace(db)


CONTENTS = {
    "corpus": Content(
        "Corpus", ("jsonl", "csv", "parquet", "zip"),
        "Documents with columns doc_id, source, text; a zip has .txt files, whose folder is the "
        "source.", _name,
    ),
    "models": Content("Models", ("csv",), "Model cards: columns model, family and more.", _replace),
    "tasks": Content("Tasks", ("csv",), "Columns task, chance, title, sources."),
    "accuracies": Content(
        "Accuracies", ("csv", "json", "zip"),
        "Columns model, task, accuracy, n_items; or results of lm-evaluation-harness or "
        "OpenCompass.", _accuracies,
    ),
    "split": Content("Split", ("csv",), "Columns model, split (train, validation, test).", _name),
    "losses": Content("Loss pack", ("parquet",), "Losses of any number of models.", _pack),
    "items": Content("Item results", ("parquet",), "Columns model, task, item, correct."),
}  # fmt: skip


def form(db: Database) -> None:
    """Draw the choice of a kind, its settings, the uploader and the button that looks at it."""
    what = st.segmented_control(
        "What to import",
        list(CONTENTS),
        default="corpus",
        required=True,
        format_func=lambda key: CONTENTS[key].label,
        key="import-what",
        help="Sets what the file holds; corpus, models and tasks come before what names them.",
    )
    chosen = CONTENTS[what]
    st.caption(chosen.about)
    settings = chosen.settings(db)
    number = state.N_UPLOADS.get(0)  # a new, empty uploader once a file is kept
    upload = st.file_uploader(
        chosen.label,
        type=list(chosen.endings),
        key=f"upload-{what}-{number}",
        max_upload_size=LARGEST_MB,
        help="Keeps the file beside the database until it is imported or discarded.",
    )
    path = ""
    if changes.takes_paths():
        path = st.text_input(
            "Or a path on this machine",
            key=f"upload-path-{number}",
            help="Names a file of any size, which is copied without a detour through the browser.",
        ).strip()
    missing = "name" in settings and not settings["name"]
    st.button(
        "Show changes",
        type="primary",
        icon=":material/difference:",
        disabled=missing or not (upload or path),
        on_click=_upload,
        args=(db, upload, path, what, settings),
        help="Adds a look at the file to the queue; nothing is imported yet.",
    )
    if missing and (upload or path):
        st.caption("Give it a name first.")


@boundary.shown()
def _upload(db: Database, upload: Any, path: str, what: str, settings: dict[str, Any]) -> None:
    name, source = (upload.name, upload) if upload else (Path(path).name, Path(path))
    edits.upload(db, name, source, what, settings)
    state.N_UPLOADS.set(state.N_UPLOADS.get(0) + 1)
