"""The dashboard's page list, shared picks and error display; nothing else."""

import streamlit as st

from csvcore.errors import CsvcoreError
from dashboard import controls

st.set_page_config(page_title="CSV Lab", layout="wide")
page = st.navigation(
    {
        "Data": [
            st.Page("dashboard/pages/overview.py", icon=":material/home:", default=True),
            st.Page(
                "dashboard/pages/models.py", title="Models & splits", icon=":material/account_tree:"
            ),
        ],
        "Prediction": [
            st.Page("dashboard/pages/fit.py", icon=":material/play_circle:"),
            st.Page("dashboard/pages/curves.py", icon=":material/show_chart:"),
            st.Page("dashboard/pages/salience.py", icon=":material/format_ink_highlighter:"),
        ],
    }
)
try:
    controls.sidebar()
    page.run()
except CsvcoreError as error:
    st.warning(str(error), icon=":material/error:")
