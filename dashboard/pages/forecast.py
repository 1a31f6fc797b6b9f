import streamlit as st

from dashboard.queries import database, forecast
from dashboard.views import forecast_answer, forecast_target, run_course
from dashboard.widgets import sidebar, text

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
families = forecast_target.choose_families(trained, task.task)
found = forecast.outlook(db, corpus, split, families, task.task)
if found is None:
    text.next_step("Not measured", f"No model of these families has {text.plain(task.task)}.")
    st.stop()
rows = forecast.backtest(found, task.task)
forecast_answer.show(trained, families, found, rows, task)

left, right = st.columns(2)
with left:
    st.subheader("Backtest", divider="gray")
    forecast_answer.backtest(rows, task)
with right:
    st.subheader("What an accuracy takes", divider="gray")
    forecast_answer.iso(db, (corpus, split, families), task)

st.subheader("A run on its way", divider="gray")
run_course.show(corpus, split, families, task)
