"""The figure or table of this replication that answers one of the paper's."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from csvcore.figures import law
from csvcore.methods import METHODS
from csvcore.paper_claims import Claim
from dashboard.queries import paper
from dashboard.widgets import figure
from dashboard.widgets.text import plain


def claims_table(claims: Sequence[Claim]) -> None:
    """Draw the claims of the paper beside this replication's results."""
    st.table(
        pd.DataFrame(
            {
                "In the paper": [claim.where for claim in claims],
                "The paper shows": [plain(claim.printed) for claim in claims],
                "This replication, from data/evidence": [plain(claim.measured) for claim in claims],
                "Verdict": [claim.verdict for claim in claims],
            }
        ),
        border="horizontal",
        alt="Every claim of the paper beside the zoo's result",
    )
    st.caption("Agrees: the claim holds on at least as large a share of the tasks as in the paper.")


def show(name: str, parts: dict[str, pd.DataFrame], claims: Sequence[Claim]) -> None:
    """Draw a figure or table with the claims it answers."""
    numbers, chart = paper.numbers(name, parts), paper.figure(name, parts)
    for claim in claims:
        if claim.where == name:
            st.markdown(
                f"**The paper:** {plain(claim.printed)}. **This replication:** "
                f"{plain(claim.measured)}. **{claim.verdict.capitalize()}.**"
            )
    if name in paper.OF_MODELS:
        st.html(law.legend_html(law.family_colours(numbers["family"].tolist())))
    if chart is not None:
        alt = f"{name} of the paper, drawn from the zoo's measurements"
        figure.show(chart, numbers, key="evidence-figure", alt=alt, name=f"ours-{name}")
    else:
        form = "%.1e" if name == "Table 1" else "%.2f"
        titles = {name: method.label for name, method in METHODS.items()} | {
            "noise_floor": "Noise floor"
        }
        figure.show_table(
            numbers,
            column_config={
                str(column): st.column_config.NumberColumn(titles.get(str(column)), format=form)
                for column in numbers.select_dtypes("float").columns
            },
        )
    if name == "Figure 9":
        st.page_link(
            "dashboard/pages/salience.py",
            label="Show all tokens on Salience",
            icon=":material/format_ink_highlighter:",
            query_params={"corpus": "zoo", "split": "by-size", "task": "arithmetic"},
        )
