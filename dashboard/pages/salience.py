import streamlit as st

from dashboard import controls, data, salience_controls, salience_view, sidebar, texts, token_tables

st.header("Salience")
source = data.database()
corpus, split, task = (controls.chosen(key) for key in ("corpus", "split", "task"))
fits = sidebar.fits(source)
by_task = fits[fits["method"] == "csv"].set_index("task")["fit"]
if task not in by_task.index:
    controls.next_step("No CSV fit of this task yet", "Start one on the Fit page.")
    st.page_link("dashboard/pages/fit.py", label="Go to Fit", icon=":material/play_circle:")
    st.stop()
own = texts.texts(source, str(by_task[str(task)]))
others = {str(name): str(fit) for name, fit in by_task.items() if name != task}
models = salience_view.complete_models(source, own)
preferred = [own.strongest_source()]
salience_controls.follow(own, preferred[0])
salience_controls.begin(own, preferred)
missing = salience_controls.gone(own, models, list(others), preferred)
if missing:
    st.warning(missing, icon=":material/link_off:")

ordered, every, find = salience_controls.reading_controls(own, preferred)
usual = [models[i] for i in data.hover_models(source, models, 2)]
asked = salience_controls.colour_controls(models, usual, others)
coloured = salience_view.colouring(source, own, asked)
salience_view.text(source, own, ordered, find, asked, coloured)
token_tables.show_strongest(own, ordered, every, coloured)
token_tables.kinds_and_brush(source, own)
