import streamlit as st

from csvcore.figures import law
from dashboard.queries import database, figures
from dashboard.views import split_editor, split_summary, test_set
from dashboard.widgets import figure, sidebar, text

st.header("Models & splits")
db = database.database()
cards = database.cards(db)
if not cards:
    text.next_step("No models yet", f"Run {database.command(db, 'import models FILE')}.")
    text.to_overview()
    st.stop()
corpus, task = sidebar.choices().corpus, sidebar.choices().task

key, name, split = split_editor.start(db, cards)
sides = split_editor.sides(key, split)
hidden = test_set.hidden(db, corpus, sides, name)
models = database.models(db, hidden)
above = st.container()  # filled below, with the edits of this run
st.subheader("Edit the split", divider="gray")
tasks = [entry.task for entry in database.tasks(db) if entry.task in models]
split_editor.edit(key, models, sides, tasks)
if hidden:
    st.caption(
        f":material/visibility_off: Accuracies of {len(hidden)} test models are hidden until the "
        "test set is revealed, on any page that shows its errors."
    )
with above:
    split_summary.show(db, corpus, name, sides, models)
split_editor.save(db, key, name, sides)

if task in models:
    st.subheader("Growth with training", divider="gray")
    figure.show(
        law.growth_figure(models, str(task), figures.colours(db)),
        models[["model", "family", "n_params", "run", "train_tokens", "step", str(task)]],
        key="growth",
        name=f"growth-{task}",
        alt=f"Accuracy on {task} over training tokens, one line for each training run",
    )
    st.caption("One line per run; thicker = larger.")
