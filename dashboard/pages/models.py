import streamlit as st

from csvcore import splits
from csvcore.figures import coverage, law
from csvcore.records import SIDES
from dashboard.queries import coverage as stored
from dashboard.queries import database, figures
from dashboard.views import split_editor, test_set
from dashboard.widgets import figure as shown
from dashboard.widgets import text

TREE_HEIGHT = 520  # pixels beyond which the tree scrolls
DOWNLOADS = 80  # pixels below the tree

st.header("Models & splits")
db = database.database()
cards = database.cards(db)
if not cards:
    text.next_step(
        "No models yet", f"Bring them in with {database.command(db, 'import models FILE')}."
    )
    text.to_overview()
    st.stop()
corpus, task = text.chosen("corpus"), text.chosen("task")

key, name, split = split_editor.start(db, cards)
sides = split_editor.sides(key, split)
unseen = test_set.unseen(db, corpus, sides, name)
models = database.models(db, unseen)
colours = figures.colours(db)
runs = {splits.run_name(card) for card in cards}
above = st.container()  # filled below, once the edits of this run are known
st.subheader("Edit the split", divider="gray")
tasks = [entry.task for entry in database.tasks(db) if entry.task in models]
split_editor.edit(key, models, sides, tasks)
if unseen:
    st.caption(
        f":material/visibility_off: Accuracies of {len(unseen)} test models are hidden until the "
        "test set is revealed, on any page that shows its errors."
    )


with above:
    with st.container(horizontal=True):
        st.metric("Families", len(colours), border=True)
        st.metric("Training runs", len(runs), border=True, help="Family, size and stage")
        st.metric("Models", len(cards), border=True, help="Checkpoints count one by one")
        counts = {side: sum(own == side for own in sides.values()) for side in SIDES}
        for side, count in counts.items():
            st.metric(side.capitalize(), count, border=True, help=f"Models on the {side} side")
    found = [stored.fingerprints(db, corpus), stored.weight_hashes(db, corpus)] if corpus else []
    for empty, loss in split_editor.EMPTY_SIDES.items():
        if not counts[empty]:
            st.warning(f"No model is on the {empty} side: {loss}.", icon=":material/warning:")
    for warning in splits.leaks(cards, sides, found):
        st.warning(text.plain(warning), icon=":material/warning:")

    placed = models.assign(split=models["model"].map(sides))
    figure = coverage.tree_figure(placed, colours)
    st.html(law.legend_html(colours))
    st.caption("Crosses are left out of the split.")
    with st.container(height=min(TREE_HEIGHT, figure.layout.height + DOWNLOADS), border=False):
        shown.figure(
            figure,
            placed[["model", "family", "n_params", "stage", "step", "train_tokens", "split"]],
            key="tree",
            name=f"models-{name}",
            alt="Families, their sizes, and the side of every checkpoint",
        )

split_editor.save(db, key, name, sides)

if task in models:
    st.subheader("Growth with training", divider="gray")
    shown.figure(
        law.growth_figure(models, str(task), colours),
        models[["model", "family", "n_params", "train_tokens", "step", str(task)]],
        key="growth",
        name=f"growth-{task}",
        alt=f"Accuracy on {task} over training tokens, one line for each training run",
    )
    st.caption("One line a run, thicker for larger models: the same tokens, other abilities.")
