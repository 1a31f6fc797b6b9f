"""The Streamlit dashboard: pages read the results database and draw; they compute nothing heavy."""
