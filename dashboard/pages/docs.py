import streamlit as st

from dashboard.queries.guides import guides
from dashboard.widgets import address, state, text

st.header("Docs")
known = guides()
if not known:
    text.next_step(
        "The guides are missing",
        "They come with csvcore; install it again, or take them from docs/ of the repository.",
    )
    st.stop()
name = address.choose(
    st.segmented_control,
    "Guide",
    list(known),
    key=state.GUIDE,
    default=next(iter(known)),
    required=True,
    help="Sets the guide that is shown; all are in docs/ of the repository.",
)
st.markdown(known[str(name)])
