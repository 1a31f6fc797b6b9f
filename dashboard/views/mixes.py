"""The mixes of a search: the recommended one, its error, and saving it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from csvcore.analysis import mix_search
from csvcore.figures import comparison
from csvcore.records import Mix
from dashboard.queries import access, edits
from dashboard.queries.database import Database
from dashboard.widgets import figure, text


def table(mixes: Sequence[Mix]) -> pd.DataFrame:
    """Return a row per mix, errors as root mean squares in points of accuracy.

    Columns: mix, sources, documents, tokens, error, best, worst (over the groups left out),
    difference, low, high (to the first mix) and the verdict on it, test, test_low, test_high;
    missing where unknown or hidden.
    """
    compared = mix_search.differences(mixes) if mixes else []
    rows = pd.DataFrame(
        [
            {
                "mix": ", ".join(f"{share:.0%} {name}" for name, share in mix.shares.items()),
                "sources": sum(share > 0 for share in mix.shares.values()),
                "documents": len(mix.doc_ids),
                "tokens": mix.n_tokens,
                "error": 100 * mix.error,
                "best": 100 * min(mix.errors, default=np.nan),
                "worst": 100 * max(mix.errors, default=np.nan),
                "difference": _percent(found.difference),
                "low": _percent(found.low),
                "high": _percent(found.high),
                "verdict": found.verdict,
                "test": _points(mix.test_mse),
                "test_low": _points(mix.low),
                "test_high": _points(mix.high),
            }
            for mix, found in zip(mixes, compared, strict=True)
        ]
    )
    rows.loc[:0, ["difference", "low", "high"]] = np.nan
    rows.loc[:0, "verdict"] = "recommended"
    return rows


def _percent(value: float | None) -> float:
    return np.nan if value is None else 100 * value


def _points(mse: float | None) -> float:
    return np.nan if mse is None else 100 * float(np.sqrt(mse))


def _certainty(mixes: Sequence[Mix]) -> str:
    """Return how many other mixes are not distinguishable from the recommended one."""
    others = [one for one in mix_search.differences(mixes)[1:] if one.verdict != "unknown"]
    if not others:
        return "The errors of this search tell no interval; search again."
    alike = mix_search.alike(mixes)
    if not alike:
        return f"All of the {len(others)} others are distinguishable from it."
    return f"Of the {len(others)} others, {alike} are **not distinguishable** from it."


def show(db: Database, mixes: Sequence[Mix], corpora: Sequence[str]) -> None:
    """Draw the mixes, the recommended one first, and a form that saves it."""
    rows, best = table(mixes), mixes[0]
    st.markdown(f"Recommended: **{text.plain(rows['mix'].iloc[0])}**. {_certainty(mixes)}")
    tested = rows["test"].notna().any()
    figure.show(
        comparison.search_figure(rows, best.noise_floor if tested else None),
        rows,
        key="search",
        name=f"mixes-{best.task}",
        alt="Error of each mix with its range, against the number of its sources",
    )
    figure.show_table(
        rows.dropna(axis="columns", how="all"),
        column_config={
            name: st.column_config.NumberColumn(title, format="%.1f")
            for name, title in (
                ("error", "cross-validated RMSE (points)"),
                ("best", "best fold"),
                ("worst", "worst fold"),
                ("difference", "difference to the recommended"),
                ("low", "its 90 % CI, low"),
                ("high", "high"),
                ("test", "test RMSE (points)"),
                ("test_low", "90 % CI, low"),
                ("test_high", "90 % CI, high"),
            )
        },
    )
    st.caption(
        "Ranked by cross-validated RMSE on train and validation models, in points of accuracy; "
        "test models are not used. Differences are paired over the folds; the choice of the "
        "best among many is not accounted for. All mixes have the same budget, but for less than a "
        "document. Bars span the best to the worst fold"
        + (", and the 90 % CI of the test error." if tested else ".")
    )
    st.download_button(
        "Download the documents",
        data="\n".join(best.doc_ids) + "\n",
        file_name=f"mix-{best.task}.txt",
        on_click="ignore",
        icon=":material/download:",
        help="Downloads the ids of the recommended mix's documents, one per line.",
    )
    _save(db, best, corpora)


def _save(db: Database, best: Mix, corpora: Sequence[str]) -> None:
    with st.form("save-mix", border=True):
        left, right = st.columns([2, 1], vertical_alignment="bottom")
        name = left.text_input(
            "Name of the recommended mix as a corpus",
            placeholder=f"mix-{best.task}",
            help="Sets the corpus that the documents and all models' losses on them are copied to.",
        )
        save = right.form_submit_button("Save", icon=":material/save:", help="Stores the corpus.",
            disabled=access.locked(db))  # fmt: skip
    if save and len(name.strip()) > text.LONGEST_NAME:
        st.warning(text.refused_name("corpus", name.strip()))
    elif save:
        said = edits.store_mix(db, corpora, best, name.strip())
        st.success(f"Stored {text.plain(said)}; choose it in the side bar.")
