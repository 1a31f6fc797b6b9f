import streamlit as st

from dashboard.queries import database, forecast
from dashboard.views import forecast_answer, forecast_target, run_course
from dashboard.widgets import figure, sidebar, text

st.header("Forecast")
st.caption(
    "What a model will score before it is trained, and where a run is heading, from the train and "
    "validation models of the split."
)
db = database.database()
chosen = sidebar.choices()
corpus, split = str(chosen.corpus), chosen.split
task = next((one for one in database.tasks(db) if one.task == chosen.task), None)
if split is None or task is None:
    text.next_step("No split or task yet", "The Overview shows how to load them.")
    st.stop()

trained = forecast.known(db, corpus, split)
families, size = forecast_target.choose(trained, task.task)
found = forecast.outlook(db, corpus, split, families, task.task)
if found is None:
    text.next_step("Not measured", f"No model of these families has {text.plain(task.task)}.")
    st.stop()
rows = forecast.backtest(found, task.task)
table = forecast.answers(found, size)
forecast_answer.headline(rows, float(table["horizon"].iloc[0]))
forecast_answer.answer(found, table, task, size)

st.subheader("All tasks", divider="gray")
figure.show_table(
    table,
    column_config={
        name: st.column_config.NumberColumn(format="%.3f") for name in ("predicted", "low", "high")
    }
    | {"horizon": st.column_config.NumberColumn(format="%.2g")},
)
figure.csv_button(table, "forecast-all-tasks", "Downloads the forecasts of all tasks.")

left, right = st.columns(2)
with left:
    st.subheader("Backtest", divider="gray")
    forecast_answer.backtest(rows, task)
with right:
    st.subheader("What an accuracy takes", divider="gray")
    forecast_answer.iso(db, (corpus, split, families), task)

st.subheader("A run on its way", divider="gray")
run_course.show(corpus, split, families, task)
