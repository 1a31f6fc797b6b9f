"""The dashboard's page list, shared picks and error display; nothing else."""

from pathlib import Path

import streamlit as st

from csvcore.errors import CsvcoreError
from dashboard.widgets import sidebar, text

# A file: a named icon would be fetched from the internet.
NEED_CORPUS = {"fit", "curves", "salience", "baselines", "mixes", "predict", "forecast"}
FOLDER = Path(__file__).parent / "dashboard"
st.set_page_config(page_title="CSV Lab", page_icon=str(FOLDER / "icon.png"), layout="wide")
st.html(FOLDER / "page.css")
page = st.navigation(
    {
        "Data": [
            st.Page(
                "dashboard/pages/overview.py",
                title="Overview",
                icon=":material/home:",
                default=True,
            ),
            st.Page(
                "dashboard/pages/models.py", title="Models & splits", icon=":material/account_tree:"
            ),
            st.Page("dashboard/pages/collect.py", title="Collect", icon=":material/download:"),
        ],
        "Prediction": [
            st.Page("dashboard/pages/fit.py", title="Fit", icon=":material/play_circle:"),
            st.Page("dashboard/pages/curves.py", title="Curves", icon=":material/show_chart:"),
            st.Page(
                "dashboard/pages/salience.py",
                title="Salience",
                icon=":material/format_ink_highlighter:",
            ),
            st.Page("dashboard/pages/baselines.py", title="Baselines", icon=":material/balance:"),
            st.Page("dashboard/pages/mixes.py", title="Mixes", icon=":material/tune:"),
            st.Page(
                "dashboard/pages/predict.py", title="Predict", icon=":material/online_prediction:"
            ),
            st.Page("dashboard/pages/forecast.py", title="Forecast", icon=":material/update:"),
        ],
        "Background": [
            st.Page("dashboard/pages/paper.py", title="Paper", icon=":material/article:"),
        ],
    }
)
try:
    sidebar.show()
    if page.url_path in NEED_CORPUS and sidebar.choices().corpus is None:
        st.header(page.title)
        text.next_step("No documents yet", "The Overview shows how to load them.")
        text.to_overview()
    else:
        page.run()
except CsvcoreError as error:
    st.warning(text.sentence(str(error)), icon=":material/error:")
