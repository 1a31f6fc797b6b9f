import streamlit as st

from dashboard.queries import database, item_results
from dashboard.views import items, test_set
from dashboard.widgets import sidebar, text

st.header("Items")
db = database.database()
chosen = sidebar.choices()
corpus, split, task = chosen.corpus, chosen.split, chosen.task
if task is None:
    text.next_step("No task yet", "Import tasks and item results on the Import page.")
    text.to_import()
    st.stop()

hidden: frozenset[str] = frozenset()
if corpus and split:
    hidden = test_set.hidden(db, corpus, database.split(db, split), split)
results = item_results.results_by_item(db, task, hidden)
if hidden:
    st.caption(
        f":material/visibility_off: {len(hidden)} test models are hidden until the test set is "
        "revealed, on any page that shows its errors."
    )
if results.shape[1] < items.PAIR:
    text.next_step(
        "No item results to compare",
        "Bring results of at least two models: lm-eval folders with samples, or a Parquet file "
        "with model, task, item, correct.",
    )
    text.to_import()
    st.stop()

items.summary(results)
a, b = items.choose(database.family_of(db), results)
st.subheader("Two models on the same items", divider="gray")
items.test(db, task, hidden, a, b)
st.subheader("Items", divider="gray")
items.drill_down(db, results, a, b)
st.subheader("All models", divider="gray")
items.accuracies(results, task)
