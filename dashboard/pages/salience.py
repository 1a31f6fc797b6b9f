import numpy as np
import pandas as pd
import streamlit as st

from csvcore.figures import charts, highlights
from dashboard import controls, data, tokens

HOVER_MODELS = 6
KEY = "heatmap"

st.header("Salience")
source = data.database()
corpus, split, task = (controls.chosen(key) for key in ("corpus", "split", "task"))
fits = data.newest_fits(source, corpus, split) if corpus and split else data.fits(source).head(0)
fits = fits[(fits["task"] == task) & (fits["method"] == "csv")]
if fits.empty or corpus is None:
    controls.next_step("No CSV fit of this task yet", "Start one on the Fit page.")
    st.page_link("dashboard/pages/fit.py", label="Go to Fit", icon=":material/play_circle:")
    st.stop()
fit = data.fit(source, str(fits.iloc[0]["fit"]))
weights = data.weights(source, fit.fit).set_index("doc_id")
docs = {doc.doc_id: doc for doc in data.documents(source, corpus)}
own = next((entry.sources for entry in data.tasks(source) if entry.task == task), ())

left, right = st.columns(2)
sources = list(dict.fromkeys(doc.source for doc in docs.values()))
preferred = [sources.index(name) for name in sources if name in own]
group = left.selectbox(
    "Source", sources, index=preferred[-1] if preferred else 0, key="source", bind="query-params"
)
names = [doc_id for doc_id, doc in docs.items() if doc.source == group]
doc = docs[right.selectbox("Document", names, key="doc", bind="query-params")]

row = weights.loc[doc.doc_id]
ends = tuple(int(end) for end in row["byte_end"])
cells = highlights.cells(doc.text, ends)
weight = cells.mean(np.asarray(row["weight"], dtype=np.float64))
models, losses = data.token_losses(source, corpus, doc, ends)
by_cell = cells.sum(losses)  # (n_models, n_cells)
hovered = data.hover_models(source, models, HOVER_MODELS)
top = float(np.quantile(np.concatenate(weights["weight"].to_list()), 0.995))
picked = st.session_state.setdefault("picked", {})


def on_select() -> None:
    chosen = st.session_state[KEY]["selected"]
    picked[doc.doc_id] = None if chosen["start"] < 0 else (chosen["start"], chosen["end"])


@st.fragment
def view() -> None:
    selection = picked.get(doc.doc_id)
    packed, version = tokens.pack(cells.text, weight, by_cell[hovered])
    tokens.heatmap(
        packed,
        version,
        [models[i] for i in hovered],
        key=KEY,
        top=top,
        selected=selection,
        on_select=on_select,
        label=f"Weights of the tokens of {doc.doc_id} for {task}",
    )
    if selection is None:
        st.caption("Click a token for its loss in every model; shift-click for a range.")
        return
    start, end = selection
    chosen = by_cell[:, start : end + 1].sum(axis=1)
    table = pd.DataFrame({"model": models, "nll": chosen})
    table["family"] = table["model"].map(data.family_of(source))
    st.subheader(f"Token {start}" if start == end else f"Tokens {start} to {end}")
    st.code("".join(cells.text[start : end + 1]), language=None)
    colours = charts.family_colours(list(data.family_of(source).values()))
    st.plotly_chart(
        charts.loss_bars(table, colours), key="bars", alt="Loss of every model on the selection"
    )
    st.dataframe(table.sort_values("nll"), hide_index=True, height=240)


view()
st.subheader("Where the weight lies", divider="gray")
st.dataframe(data.weight_by_kind(source, corpus, fit.fit), hide_index=True)
st.caption("Mean weight of tokens; 1 is the mean over the whole corpus.")
