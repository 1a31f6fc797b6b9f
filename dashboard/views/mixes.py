"""The mixes that a search tried: which is recommended, how sure that is, and saving it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from csvcore.figures import comparison
from csvcore.records import Mix
from dashboard.queries.database import Database
from dashboard.queries.mixes import store_mix
from dashboard.widgets import figure, text


def table(found: Sequence[Mix]) -> pd.DataFrame:
    """One row a mix, errors as root mean squares in points of accuracy.

    Columns: mix, sources, documents, tokens, error, best, worst (over the groups left out), test,
    test_low, test_high; missing where they are not known or hidden.
    """
    return pd.DataFrame(
        [
            {
                "mix": ", ".join(f"{share:.0%} {name}" for name, share in one.shares.items()),
                "sources": sum(share > 0 for share in one.shares.values()),
                "documents": len(one.doc_ids),
                "tokens": one.n_tokens,
                "error": 100 * one.error,
                "best": 100 * min(one.errors, default=np.nan),
                "worst": 100 * max(one.errors, default=np.nan),
                "test": _points(one.test_mse),
                "test_low": _points(one.low),
                "test_high": _points(one.high),
            }
            for one in found
        ]
    )


def _points(mse: float | None) -> float:
    return np.nan if mse is None else 100 * float(np.sqrt(mse))


def found(db: Database, mixes: Sequence[Mix], corpora: Sequence[str]) -> None:
    """What was tried, the recommended one first, and a way to keep that."""
    rows, best = table(mixes), mixes[0]
    st.markdown(f"Recommended: **{text.plain(rows['mix'].iloc[0])}**")
    tested = rows["test"].notna().any()
    figure.figure(
        comparison.search_figure(rows, best.noise_floor if tested else None),
        rows,
        key="search",
        name=f"mixes-{best.task}",
        alt="Error of every mix, with how far it may reach, against the number of its sources",
    )
    figure.table(
        rows.dropna(axis="columns", how="all"),
        column_config={
            name: st.column_config.NumberColumn(title, format="%.1f")
            for name, title in (
                ("error", "points off when left out"),
                ("best", "best group"),
                ("worst", "worst group"),
                ("test", "points off on test"),
                ("test_low", "from"),
                ("test_high", "to"),
            )
        },
    )
    st.caption(
        "Mixes are ranked by the error on models left out inside train and validation, in points "
        "of accuracy; the test models have no part in it. Bars reach from the best to the worst "
        "group left out" + (", and over the 90 % interval of the test error." if tested else ".")
    )
    st.download_button(
        "Documents of the recommended mix",
        data="\n".join(best.doc_ids) + "\n",
        file_name=f"mix-{best.task}.txt",
        on_click="ignore",
        icon=":material/download:",
        help="Their ids, one a line.",
    )
    _save(db, best, corpora)


def _save(db: Database, best: Mix, corpora: Sequence[str]) -> None:
    with st.form("save-mix", border=True):
        left, right = st.columns([2, 1], vertical_alignment="bottom")
        name = left.text_input(
            "Save the recommended mix as a corpus",
            placeholder=f"mix-{best.task}",
            help="The documents and every model's losses on them are copied; it can then be chosen "
            "in the side bar like any other corpus.",
        )
        save = right.form_submit_button(
            "Save", icon=":material/save:", help="Stores the corpus at once."
        )
    if save and len(name.strip()) > text.LONGEST_NAME:
        st.warning(text.name_of("corpus", name.strip()))
    elif save:
        said = store_mix(db, corpora, best, name.strip())
        st.success(f"Stored {text.plain(said)}; choose it in the side bar.")
