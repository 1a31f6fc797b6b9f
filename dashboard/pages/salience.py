import streamlit as st

from dashboard.queries import database, fit_tokens
from dashboard.views.salience import coloured_text, controls, strongest_tokens, token_kinds
from dashboard.widgets import address, sidebar, text

st.header("Salience")
db = database.database()
task = sidebar.choices().task
fits = sidebar.fits(db)
by_task = fits[fits["method"] == "csv"].set_index("task")["fit"]
if task not in by_task.index:
    text.next_step("No CSV fit of this task yet", "Start one on the Fit page.")
    text.to_fit()
    st.stop()
texts = fit_tokens.read(db, str(by_task[str(task)]))
others = {str(name): str(fit) for name, fit in by_task.items() if name != task}
models = database.complete_models(db, texts.fit.corpus)
preferred = [texts.strongest_source()]
controls.follow(texts, preferred[0])
controls.complete_link(texts, preferred)
missing = controls.missing_from_link(texts, models, list(others), preferred)
if missing:
    address.tell("tokens", missing)

ordered, every, search = controls.reading_controls(texts, preferred)
choice = controls.colour_controls(models, database.hover_models(db, models, 2), others)
coloured = coloured_text.coloured_or_weight(db, texts, choice)
coloured_text.show(db, texts, ordered, search, choice, coloured)
strongest_tokens.show(texts, ordered, every, coloured)
token_kinds.show(db, texts)
