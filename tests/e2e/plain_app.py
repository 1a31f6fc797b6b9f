"""A page of Streamlit's own widgets with nothing of ours: what axe finds here is not our doing."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

TABLE = pd.DataFrame({"name": ["ant", "bee"], "value": [0.25, 0.75]})


def widgets() -> None:
    """One of each kind the dashboard has."""
    st.header("Plain")
    st.caption("A caption with `code`.")
    st.subheader("Numbers", divider="gray")
    with st.container(horizontal=True):
        st.metric("Models", 2, border=True, help="How many")
        st.metric("Error", "1.0e-3", delta="+5%", delta_color="inverse")
    st.dataframe(TABLE, hide_index=True)
    st.dataframe(TABLE, key="rows", on_select="rerun", selection_mode="single-row")
    st.data_editor(TABLE, disabled=["name"])
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], mode="markers"))
    st.plotly_chart(figure, key="chart", on_select="rerun", alt="Two points")
    with st.form("form"):
        st.pills("Tasks", ["one", "two"], default=["one"], selection_mode="multi")
        st.segmented_control("Method", ["one", "two"], default="one", help="Which")
        st.multiselect("Names", ["one", "two"], default=["one"])
        with st.expander("Settings"):
            st.number_input("Seed", 0, 10, 0)
            st.number_input("Penalty", 0.0, 1.0, None, placeholder="chosen")
            st.selectbox("Kind", ["one", "two"])
            st.toggle("Mask")
        st.text_input("Save as", "name")
        st.form_submit_button("Start", type="primary", icon=":material/play_circle:")
    st.slider("Share", 0.0, 3.0, 1.0, 0.1, help="How much")
    st.file_uploader("File", type="parquet", help="Any")
    st.button("Search", icon=":material/search:", help="Looks")
    st.button("Show", disabled=True)
    st.download_button("Take", data="text", on_click="ignore", icon=":material/download:")
    st.info("Text", title="Title", icon=":material/arrow_forward:")
    st.warning("Text", icon=":material/warning:")
    box = st.status("1: work, running", state="running", expanded=True)
    box.progress(0.5, "half")
    box.button("Cancel")
    st.code("text", language=None)
    st.page_link(PAGES[1], label="Go", icon=":material/play_circle:")


PAGES = [
    st.Page(widgets, title="Plain", icon=":material/home:", default=True),
    st.Page(lambda: st.header("Other"), title="Other", icon=":material/tune:", url_path="other"),
]
st.set_page_config(page_title="Plain", layout="wide")
page = st.navigation({"First": PAGES[:1], "Second": PAGES[1:]})
with st.sidebar:
    st.selectbox("Corpus", ["one", "two"], help="Which")
page.run()
