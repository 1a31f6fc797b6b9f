import streamlit as st

from csvcore.figures import law
from dashboard.queries import comparisons, database, figures
from dashboard.views import jobs, mix_search, mix_sliders, mixes, test_set
from dashboard.widgets import sidebar, text

st.header("Mixes")
db = database.database()
chosen = sidebar.choices()
corpus, split, task = chosen.corpus, chosen.split, chosen.task
fits = sidebar.fits(db)
fits = fits[(fits["task"] == task) & (fits["method"] == "csv")]
if fits.empty or corpus is None or split is None or task is None:
    text.next_step("No CSV fit of this task yet", "Start one on the Fit page.")
    text.to_fit()
    st.stop()
test_set.gate(db, corpus, split, fits)

st.caption(
    "The weights stay as learnt; alpha and beta are refitted. To learn new weights for every mix, "
    "use Search below."
)
st.html(law.legend_html(figures.colours(db)))
mix_sliders.show(db, database.fit(db, str(fits.iloc[0]["fit"])))

st.subheader("Search", divider="gray")
corpora = mix_search.form(db, corpus, split, task)
jobs.live(db)
jobs.ended_badly(db, "mixes", split=split, task=task)
tried = comparisons.mixes(db, corpora, split, task)
if tried:
    if comparisons.mixes_are_hidden(db, corpora, split, task):
        test_set.gate_mixes(db, corpora[0], split)
    mixes.show(db, tried, corpora)
