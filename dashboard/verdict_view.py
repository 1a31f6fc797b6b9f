"""The table that says for every task whether CSV beats the nulls, with every method's error."""

import pandas as pd
import streamlit as st

from dashboard import controls, shown

WORDS = {
    "better": "\u2713 surely better",
    "unsure": "\u223c better, not surely",
    "worse": "\u2717 no",
}

FIRST = ("task", "verdict", "csv", "all-token", "ratio", "floor", "nulls", "rival", "side")


def table(verdicts: pd.DataFrame) -> None:
    """Draw `judged.verdicts`: better than every null or not, and the error of every method."""
    known = verdicts.reindex(columns=["side", "verdict", "rival"])
    rows = verdicts.assign(
        verdict=known["verdict"].map(WORDS),
        rival=known["rival"].map(controls.NULL_NAMES),
        side=known["side"].fillna("nothing yet"),
    )
    first = [name for name in FIRST if name in rows.columns]
    beaten = int((known["verdict"] == "better").sum())
    judges = " and ".join(sorted(known["side"].dropna().unique()))
    n_judged = int(known["verdict"].notna().sum())
    if n_judged:
        st.markdown(
            f"On {judges} models, CSV is surely better than every null on "
            f"**{beaten} of {n_judged}** tasks, "
            f"better but perhaps by chance on {int((known['verdict'] == 'unsure').sum())}, "
            f"not better on {int((known['verdict'] == 'worse').sum())}."
        )
    else:
        st.markdown("There is nothing to judge by yet: no fit has validation or test models.")
    shown.table(
        rows[[*first, *(name for name in rows.columns if name not in first)]],
        column_config={
            "verdict": st.column_config.TextColumn(
                "Beats every null",
                help="Nulls predict without any loss of the model. Surely: the 90 % interval of "
                "the difference lies above 0.",
            ),
            "rival": st.column_config.TextColumn(
                "Nearest null", help="The best of the nulls that CSV does not surely beat."
            ),
            "side": st.column_config.TextColumn(
                "Judged on", help="Validation models, until the test set is revealed."
            ),
            "nulls": st.column_config.NumberColumn("Best null, MSE", format="%.1e"),
            "ratio": st.column_config.NumberColumn(
                "All tokens / CSV", format="%.1f x", help="MSE of all-token over that of CSV"
            ),
            "floor": st.column_config.NumberColumn(
                "Noise floor", format="%.1e", help="MSE that binomial noise alone would leave"
            ),
            "fitted": st.column_config.DatetimeColumn("Last fit, UTC", format="YYYY-MM-DD HH:mm"),
        }
        | {
            method: st.column_config.NumberColumn(f"{name}, MSE", format="%.1e")
            for method, name in controls.METHOD_NAMES.items()
        },
    )
    st.caption(
        "Mean squared error of the predicted accuracy. On validation models the errors of methods "
        "that learn are a little too small: their penalty was chosen with the help of them."
    )
