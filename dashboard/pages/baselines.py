import pandas as pd
import streamlit as st

from csvcore.analysis.comparison import verdict_sentence
from csvcore.figures import comparison
from csvcore.jobs import queue
from csvcore.jobs.specs import CompareJob, LeaveOutJob
from csvcore.methods import label
from dashboard.queries import comparisons, database
from dashboard.views import jobs as jobs_view
from dashboard.views import test_set
from dashboard.widgets import figure, sidebar, text

PERMUTATIONS = 200
CHOSEN_BY_VALIDATION = (
    " Methods that learn chose their penalty with the help of these models, so their errors here "
    "are a little too small."
)

st.header("Baselines")
db = database.database()
corpus, split, task = (text.chosen(key) for key in ("corpus", "split", "task"))
if corpus is None or split is None or task is None:
    text.next_step("Nothing to compare yet", "This needs a corpus, a split and a task.")
    st.stop()
fits = sidebar.fits(db)
fits = fits[fits["task"] == task]
if fits.empty:
    text.next_step("No fit of this task yet", "Fit it with every method on the Overview page.")
    text.to_overview()
    st.stop()

test_set.gate(db, corpus, split, fits)
found = comparisons.judgement(db, tuple(fits["fit"]))
if found.side is None:
    text.next_step(
        "Nothing to judge by yet",
        "The split has no validation models: reveal its test set, or give it models to judge by.",
    )
    st.page_link(
        "dashboard/pages/models.py", label="Go to Models & splits", icon=":material/account_tree:"
    )
    st.stop()
table = comparisons.comparison(db, tuple(fits["fit"]))
csv = table[table["method"] == "csv"]
if found.verdict:
    st.markdown(f"**{text.plain(verdict_sentence(found.verdict))}**")
floor = None if pd.isna(table["noise_floor"].iloc[0]) else float(table["noise_floor"].iloc[0])
figure.figure(
    comparison.baselines_figure(table, floor, found.side),
    table,
    key="baselines",
    name=f"baselines-{task}",
    alt=f"{found.side} error of every method and trivial baseline on {task}, with 90 % intervals "
    "and the noise floor",
)
columns = {
    "mse": f"{found.side} MSE",
    "low": "from",
    "high": "to",
    "r2": "R2",
    "spearman": "Rank",
    "pairwise": "Pairs in order",
    "covered": "Within 90 %",
    "mae": "Mean error",
    "difference": "above CSV by",
    "difference_low": "difference from",
    "difference_high": "difference to",
    "left_out": "left out in turn, MSE",
}
named = table["method"].map(label)
squares = ("mse", "left_out", "low", "high", "difference", "difference_low", "difference_high")
figure.table(
    table.assign(method=named)[["method", *columns]].dropna(axis="columns", how="all"),
    column_config={
        name: st.column_config.NumberColumn(title, format="%.1e" if name in squares else "%.3f")
        for name, title in columns.items()
    },
)
st.caption(
    f"{int(table['n_models'].iloc[0])} {found.side} models; dotted, the noise floor. Intervals "
    "draw whole training runs with replacement, since checkpoints of one run are not independent; "
    "differences to CSV are paired. The best constant knows these accuracies: nobody has it, it "
    "shows what a flat guess could reach at most."
    + (CHOSEN_BY_VALIDATION if found.side == "validation" else "")
)

st.subheader("Could chance do this?", divider="gray")
p_value = csv["p_value"].iloc[0] if not csv.empty else None
if p_value is not None and not pd.isna(p_value):
    st.metric(
        "Permutation p-value",
        f"{p_value:.3f}",
        help="Share of refits with accuracies shuffled among the train models that left them as "
        "small an error, the real one counted in.",
    )
elif not csv.empty:
    st.caption(
        "The control refits CSV at its usual settings, with the accuracies shuffled among the "
        "train models; its p-value is shown with the fit at these settings."
    )
    params = {"corpus": corpus, "split": split, "tasks": [task], "permutations": PERMUTATIONS}
    if st.button(
        f"Run {PERMUTATIONS} permutations",
        icon=":material/shuffle:",
        help="Queues as many refits of CSV on this task.",
        disabled=jobs_view.waits(db, "compare", **params),
    ):
        queue.submit_spec(db.path, CompareJob(corpus, split, (task,), PERMUTATIONS))
        st.rerun()
jobs_view.live(db)
jobs_view.ended_badly(db, "compare", corpus=corpus, split=split, tasks=[task])

st.subheader("A family left out altogether", divider="gray")
matrix = comparisons.left_out(db, corpus)
matrix = matrix[matrix["task"] == task]
apart = {"corpus": corpus, "tasks": [task]}
jobs_view.ended_badly(db, "leave-out", **apart)
if jobs_view.waits(db, "leave-out", **apart):
    st.caption("The families are being left out; the errors show here when the job has ended.")
elif matrix.empty:
    n_families = len(set(database.family_of(db).values()))
    st.caption("Every method is fitted as often as there are families, each unseen in turn.")
    if st.button(
        f"Leave out each of {n_families} families",
        icon=":material/group_remove:",
        help="Queues these fits on this task; `csvcore leave-one-family-out` does the same.",
        disabled=n_families < 2,
    ):
        queue.submit_spec(db.path, LeaveOutJob(corpus, (task,)))
        st.rerun()
else:
    test_set.gate_families(db, corpus, matrix)
    wide = matrix.pivot(index="method", columns="family", values="mse_test").astype(float)
    if wide.notna().any(axis=None):
        wide.insert(0, "median", wide.median(axis=1))
        wide.index = wide.index.map(label)
        st.dataframe(
            wide.sort_values("median"),
            placeholder="\u2013",
            column_config={
                name: st.column_config.NumberColumn(format="%.1e") for name in wide.columns
            },
        )
        st.caption("Test MSE on the family that no train or validation model is of.")
