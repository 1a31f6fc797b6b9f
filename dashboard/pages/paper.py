import pandas as pd
import streamlit as st

from dashboard.queries import paper
from dashboard.views import evidence
from dashboard.widgets import address, figure, state
from dashboard.widgets.text import next_step, plain

st.header("Paper")
st.markdown(
    "Ge et al., [arXiv 2506.13216](https://arxiv.org/abs/2506.13216), Capability Salience Vector: "
    "its tables, and a replication on the bundled zoo."
)
tables = {name: table for name in paper.TABLES if (table := paper.table(name)) is not None}
parts = paper.evidence()
if not tables or "zoo" not in parts:
    next_step(
        "The paper's tables and the evidence are missing",
        "They come with csvcore; install it again, or take them from data/ of the repository.",
    )
    st.stop()
st.info(
    f"{paper.scale(parts['zoo'])} Nothing here is a measurement of theirs. Errors are those on the "
    "test models of the zoo's own splits, which the other pages hide until you reveal them.",
    title="The zoo is not the paper's models",
    icon=":material/pets:",
)

st.subheader("Paper vs this replication", divider="gray")
claims = paper.verdicts(parts, tables["Table 1"])
evidence.claims_table(claims)
available = [name for name, part in paper.EVIDENCE.items() if part in parts]
if len(available) < len(paper.EVIDENCE):
    st.caption("Some parts are not measured yet; run `python benchmarks/evidence`.")

look = address.choose(
    st.segmented_control,
    "Evidence",
    available,
    key=state.EVIDENCE,
    default=available[0],
    help="Sets the figure or table of the paper whose replication is shown.",
)
if look:
    evidence.show(look, parts, claims)

st.subheader("The paper's tables", divider="gray")
name = address.choose(
    st.segmented_control,
    "Table",
    list(tables),
    key=state.PRINTED_TABLE,
    default="Table 1",
    help="Sets the table of the paper that is shown.",
)
if name:
    st.caption(paper.TABLES[name])
    figure.show_table(tables[name])
    figure.csv_button(tables[name], f"paper-{name.lower()}", "Downloads the table as printed.")

left, right = st.columns(2)
left.subheader("Not published", divider="gray")
left.markdown("\n".join(f"- {line}" for line in paper.UNPUBLISHED))
contradictions = paper.contradictions(
    tables["Table 2"], pd.concat([tables["Table 3"], tables["Table 4"]])
)
left.markdown("\n".join(f"- {plain(line)}" for line in contradictions))
right.subheader("Differences in this replication", divider="gray")
right.markdown("\n".join(f"- {line}" for line in paper.DIFFERENT))
