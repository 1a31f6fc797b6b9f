import streamlit as st

from dashboard.queries import database, fit_tokens
from dashboard.views.salience import controls, tables
from dashboard.views.salience import text as salience_view
from dashboard.widgets import sidebar, text

st.header("Salience")
db = database.database()
corpus, split, task = (text.chosen(key) for key in ("corpus", "split", "task"))
fits = sidebar.fits(db)
by_task = fits[fits["method"] == "csv"].set_index("task")["fit"]
if task not in by_task.index:
    text.next_step("No CSV fit of this task yet", "Start one on the Fit page.")
    st.page_link("dashboard/pages/fit.py", label="Go to Fit", icon=":material/play_circle:")
    st.stop()
own = fit_tokens.texts(db, str(by_task[str(task)]))
others = {str(name): str(fit) for name, fit in by_task.items() if name != task}
models = salience_view.complete_models(db, own)
preferred = [own.strongest_source()]
controls.follow(own, preferred[0])
controls.begin(own, preferred)
missing = controls.gone(own, models, list(others), preferred)
if missing:
    st.warning(missing, icon=":material/link_off:")

ordered, every, find = controls.reading_controls(own, preferred)
usual = [models[i] for i in database.hover_models(db, models, 2)]
asked = controls.colour_controls(models, usual, others)
coloured = salience_view.colouring(db, own, asked)
salience_view.text(db, own, ordered, find, asked, coloured)
tables.show_strongest(own, ordered, every, coloured)
tables.kinds_and_brush(db, own)
