import streamlit as st

from csvcore import frames
from csvcore.figures import comparison, law
from csvcore.methods import label, weighted
from dashboard.queries import comparisons, database
from dashboard.views import test_set
from dashboard.widgets import address, figure, sidebar, text

st.header("Predict")
db = database.database()
corpus, split, task = (text.chosen(key) for key in ("corpus", "split", "task"))
every = sidebar.fits(db)
fits = every[every["task"] == task].set_index("method")
if fits.empty or corpus is None:
    text.next_step("No fit of this task yet", "A forecast needs one; start it on the Fit page.")
    st.page_link("dashboard/pages/fit.py", label="Go to Fit", icon=":material/play_circle:")
    st.stop()

known = [name for name in weighted() if name in fits.index]
method = address.choose(
    st.segmented_control,
    "By",
    known,
    default=known[0],
    format_func=label,
    key="by",
    help="The fit whose weights and law make the forecast.",
)
fit = database.fit(db, str(fits.loc[method or known[0], "fit"]))
test_set.gate(db, corpus, str(split), fits)
if not fit.residuals:
    text.next_step("This fit is of an older version", "Fit it again, then it has intervals.")
    st.stop()

runs = database.complete_runs(db, corpus)
sides = database.split(db, fit.split)
tested = {model for model, side in sides.items() if side == "test"}
first = next((run for run, models in runs.items() if tested & set(models)), next(iter(runs), None))
left, right = st.columns(2)
picked = address.choose(
    left.multiselect,
    "Training runs",
    list(runs),
    default=[first] if first else [],
    format_func=law.short_run,
    key="runs",
    help="Checkpoints of these runs that have losses on every document of the corpus.",
)
upload = right.file_uploader(
    "Loss pack",
    type="parquet",
    max_upload_size=comparisons.UPLOAD_MB,
    help="Losses of your own models on this corpus, from csvcore collect --out; nothing is stored.",
)
models = tuple(model for run in picked or () for model in runs[run])
pack = None if upload is None else (upload.name, upload.getvalue())
if not models and pack is None:
    text.next_step("Nothing chosen", "Pick a training run or drop a loss pack here.")
    st.stop()
tasks = every.sort_values("task")
by_method = [
    name
    for name in tasks.loc[tasks["method"] == fit.method, "fit"]
    if database.fit(db, name).residuals
]
found = comparisons.forecasts_of(db, tuple(by_method), models, pack)
table = found[found["fit"] == fit.fit]
figure.figure(
    comparison.forecast_figure(table, fit.gamma),
    table,
    key="forecast",
    name=f"forecast-{task}",
    alt=f"Predicted accuracy on {task} with 90 % intervals, and what was observed",
)
st.caption(
    "Bars are 90 % intervals from the errors on models left out of the fit; a cross marks a score "
    "outside the range of the train models, where they may be too narrow. Open diamonds: observed."
)
figure.table(
    table.assign(split=table["model"].map(sides))[
        ["model", "split", "score", "predicted", "low", "high", "extrapolated", "accuracy"]
    ],
    column_config={
        name: st.column_config.NumberColumn(format="%.3f")
        for name in ("predicted", "low", "high", "accuracy")
    }
    | {
        "score": st.column_config.NumberColumn("score, nats per character", format="%.4f"),
        "split": st.column_config.TextColumn(help="Side in the split, or a dash if it has none"),
    },
)

st.subheader("On every task", divider="gray")
figure.table(frames.by_task(found))
figure.csv_button(
    found, f"forecasts-{fit.method}", "One row a model and task, with score, interval and flag."
)
st.caption(
    f"By the newest {label(fit.method)} fit of each task, or the one chosen in the "
    "side bar, with the 90 % interval; ×: the score lies outside the range of the train models."
)
