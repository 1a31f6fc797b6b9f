"""The choices of a prediction: method, training runs and an uploaded loss pack."""

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from csvcore.figures import law
from csvcore.methods import label, predicting
from csvcore.records import Fit
from dashboard.queries import access, comparisons, database
from dashboard.queries.database import Database
from dashboard.widgets import address, state

Pack = tuple[str, bytes]


def choose_fit(db: Database, fits: pd.DataFrame) -> Fit:
    """Choose a method and return its fit; fits are indexed by method."""
    methods = [name for name in predicting() if name in fits.index]
    method = address.choose(
        st.segmented_control,
        "Method",
        methods,
        default=methods[0],
        format_func=label,
        key=state.PREDICT_METHOD,
        help="Sets the fit whose weights and law predict.",
    )
    return database.fit(db, str(fits.loc[method or methods[0], "fit"]))


def choose_models(
    db: Database, corpus: str, tested: set[str]
) -> tuple[tuple[str, ...], Pack | None]:
    """Choose training runs and a loss pack; return the models of the runs and the pack.

    The first run with a test model is the default.
    """
    runs = database.complete_runs(db, corpus)
    with_tests = (run for run, models in runs.items() if tested & set(models))
    default = next(with_tests, next(iter(runs), None))
    left, right = st.columns(2)
    chosen = address.choose(
        left.multiselect,
        "Training runs",
        list(runs),
        default=[default] if default else [],
        format_func=law.short_run,
        key=state.PREDICT_RUNS,
        help="Sets the runs whose checkpoints are predicted; all have losses on every document.",
    )
    models = tuple(model for run in chosen or () for model in runs[run])
    return models, _pack(right) if access.may_upload() else None


def _pack(column: DeltaGenerator) -> Pack | None:
    """Draw the uploader and return the name and bytes of a pack, None without one."""
    upload = column.file_uploader(
        "Loss pack",
        type="parquet",
        max_upload_size=comparisons.UPLOAD_MB,
        help="Adds models of your own, from csvcore collect --out on this corpus; nothing is "
        "stored. Larger packs: import them, or csvcore predict --losses.",
    )
    return None if upload is None else (upload.name, upload.getvalue())
