"""What a stack is made of: a bar for each score in its mix, and a sentence."""

import pandas as pd
import streamlit as st

from csvcore.analysis.scores import candidate_label, mix_sentence
from csvcore.figures import comparison
from csvcore.records import Fit
from dashboard.widgets import figure, text


def show(fit: Fit) -> None:
    """Draw the mix of a stack; nothing for a fit of another method."""
    if not fit.candidates:
        return
    st.markdown(f"The stack of this task is {text.plain(mix_sentence(fit.candidates))}.")
    table = pd.DataFrame(
        {
            "score": [candidate_label(one.name) for one in fit.candidates],
            "weight": [one.weight for one in fit.candidates],
            "alpha": [one.alpha for one in fit.candidates],
            "beta": [one.beta for one in fit.candidates],
        }
    )
    figure.show(
        comparison.mix_figure(fit.candidates),
        table,
        key="mix-of-scores",
        name=f"stack-{fit.task}",
        alt=f"The weight of every score in the stack of {fit.task}",
    )
    st.caption(
        "Each score has a law of its own. The weights come from how well the laws predict families "
        "or runs that were left out, and the validation models; scores that tell the same share a "
        "weight."
    )
