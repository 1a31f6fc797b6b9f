"""The dashboard's page list, shared picks and error display; nothing else."""

from pathlib import Path

import streamlit as st

from dashboard.components.top_bar import NAME, top_bar
from dashboard.widgets import address, boundary, login, saved_views, sidebar, text

# A file: a named icon would be fetched from the internet.
NEED_CORPUS = {
    *("fit", "curves", "salience", "baselines", "mixes", "predict", "forecast", "capabilities")
}
FOLDER = Path(__file__).parent / "dashboard"
SIDEBAR_WIDTH = 260  # pixels
# All are shown at once: a page that is hidden behind another click is not found.
PAGES = {
    "Data": [
        ("overview", "Overview", "home"),
        ("models", "Models & splits", "account_tree"),
        ("import_data", "Import", "upload_file"),
        ("collect", "Collect", "download"),
    ],
    "Prediction": [
        ("fit", "Fit", "play_circle"),
        ("curves", "Curves", "show_chart"),
        ("salience", "Salience", "format_ink_highlighter"),
        ("baselines", "Baselines", "balance"),
        ("predict", "Predict", "online_prediction"),
        ("forecast", "Forecast", "update"),
        ("mixes", "Mixes", "tune"),
        ("items", "Items", "checklist"),
        ("compare_fits", "Compare fits", "compare_arrows"),
        ("capabilities", "Capabilities", "hub"),
    ],
    "Background": [("paper", "Paper", "article"), ("docs", "Docs", "menu_book")],
}
st.set_page_config(layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
page = st.navigation(
    {
        section: [
            st.Page(
                f"dashboard/pages/{stem}.py",
                title=title,
                icon=f":material/{icon}:",
                default=stem == "overview",
            )
            for stem, title, icon in pages
        ]
        for section, pages in PAGES.items()
    },
    expanded=True,
)
st.set_page_config(page_title=f"{page.title} \u2013 {NAME}", page_icon=str(FOLDER / "icon.png"))
st.html(FOLDER / "page.css")
bar = st.container()
choices: dict[str, str] = {}
login.gate()
address.start()
with boundary.shown():
    try:
        choices = sidebar.show()
        saved_views.show(choices, page.url_path)
    finally:  # without a database, too
        with bar:
            top_bar(choices, page.url_path)
    if page.url_path in NEED_CORPUS and sidebar.choices().corpus is None:
        st.header(page.title)
        text.next_step("No documents yet", "The Overview shows how to load them.")
        text.to_overview()
    else:
        page.run()
