import streamlit as st

from csvcore import frames
from csvcore.figures import comparison
from csvcore.methods import label
from dashboard.queries import comparisons, database
from dashboard.views import mix_of_scores, predict_form, test_set
from dashboard.widgets import figure, sidebar, text

st.header("Predict")
db = database.database()
chosen = sidebar.choices()
corpus, split, task = chosen.corpus, chosen.split, chosen.task
every = sidebar.fits(db)
fits = every[every["task"] == task].set_index("method")
if fits.empty or corpus is None:
    text.next_step("No fit of this task yet", "Start one on the Fit page.")
    text.to_fit()
    st.stop()

fit = predict_form.choose_fit(db, fits)
test_set.gate(db, corpus, str(split), fits)
if not fit.residuals:
    text.next_step("No intervals", "This fit is of an older version; fit it again.")
    st.stop()
sides = database.split(db, fit.split)
tested = {model for model, side in sides.items() if side == "test"}
models, pack = predict_form.choose_models(db, corpus, tested)
if not models and pack is None:
    text.next_step("Nothing chosen", "Choose a training run or upload a loss pack.")
    st.stop()
tasks = every.sort_values("task")
by_method = [
    name
    for name in tasks.loc[tasks["method"] == fit.method, "fit"]
    if database.fit(db, name).residuals
]
predictions = comparisons.predictions_of(db, tuple(by_method), models, pack)
table = predictions[predictions["fit"] == fit.fit]
figure.show(
    comparison.prediction_figure(table, fit.gamma),
    table,
    key="prediction",
    name=f"prediction-{task}",
    alt=f"Predicted accuracy on {task} with 90 % intervals, and what was observed",
)
st.caption(
    "Bars: 90 % intervals from cross-validation. Crosses: the score is outside the range of the "
    "fitted models, where intervals may be too narrow. Open diamonds: observed."
)
mix_of_scores.show(fit)
figure.show_table(
    table.assign(split=table["model"].map(sides))[
        ["model", "split", "score", "predicted", "low", "high", "extrapolated", "accuracy"]
    ],
    column_config={
        name: st.column_config.NumberColumn(format="%.3f")
        for name in ("predicted", "low", "high", "accuracy")
    }
    | {
        "score": st.column_config.NumberColumn(
            "score",
            format="%.4f",
            help="Nats per character; of the stack minus the log-odds of its prediction.",
        ),
        "split": st.column_config.TextColumn(help="Shows the side of the model, or a dash."),
    },
)

st.subheader("All tasks", divider="gray")
figure.show_table(frames.by_task(predictions))
figure.csv_button(
    predictions, f"predictions-{fit.method}", "Downloads all predictions, a row per model and task."
)
st.caption(
    f"By the newest {label(fit.method)} fit of each task, or the one chosen in the "
    "side bar, with 90 % intervals; ×: the score is outside the range of the fitted models."
)
