import pandas as pd
import streamlit as st

from csvcore import jobs
from csvcore.figures import findings
from dashboard import controls, data, jobs_view, judged, shown

PERMUTATIONS = 200

st.header("Baselines")
source = data.database()
corpus, split, task = (controls.chosen(key) for key in ("corpus", "split", "task"))
if corpus is None or split is None or task is None:
    controls.next_step("Nothing to compare yet", "This needs a corpus, a split and a task.")
    st.stop()
fits = data.newest_fits(source, corpus, split)
fits = fits[(fits["task"] == task) & fits["mse_test"].notna()]
if fits.empty:
    controls.next_step("No fit of this task yet", "Fit it with every method on the Overview page.")
    st.page_link("dashboard/pages/overview.py", label="Go to Overview", icon=":material/home:")
    st.stop()

table = judged.comparison(source, tuple(fits["fit"]))
csv = table[table["method"] == "csv"]
if not csv.empty:
    rivals = table[~table["method"].isin(["csv", "best-constant"])]
    best = rivals.iloc[0]
    own = csv.iloc[0]
    name = controls.METHOD_NAMES.get(best["method"], controls.NULL_NAMES.get(best["method"], ""))
    if own["test_mse"] >= best["test_mse"]:
        verdict = f"CSV is not the best here: {name} has a smaller error."
    elif best["difference_low"] is not None and best["difference_low"] > 0:
        verdict = f"CSV is better than everything else; the next is {name}, surely worse (90 %)."
    else:
        verdict = f"CSV has the smallest error, but {name} may be as good."
    st.markdown(f"**{controls.plain(verdict)}**")
floor = None if pd.isna(table["noise_floor"].iloc[0]) else float(table["noise_floor"].iloc[0])
shown.figure(
    findings.baselines_figure(table, controls.METHOD_NAMES | controls.NULL_NAMES, floor),
    table,
    key="baselines",
    name=f"baselines-{task}",
    alt=f"Test error of every method and null on {task}, with 90 % intervals and the noise floor",
)
columns = {
    "test_mse": "Test MSE",
    "low": "from",
    "high": "to",
    "difference": "above CSV by",
    "difference_low": "difference from",
    "difference_high": "difference to",
    "test_mae": "Mean error",
    "r2": "R2",
    "spearman": "Rank correlation",
    "pairwise": "Pairs in order",
    "covered": "Within 90 % interval",
}
named = table["method"].map(controls.METHOD_NAMES | controls.NULL_NAMES)
squares = [name for name in columns if name.startswith(("test_mse", "low", "high", "difference"))]
st.dataframe(
    table.assign(method=named)[["method", *columns]].dropna(axis="columns", how="all"),
    hide_index=True,
    column_config={
        name: st.column_config.NumberColumn(title, format="%.1e" if name in squares else "%.3f")
        for name, title in columns.items()
    },
)
st.caption(
    f"{int(table['n_test'].iloc[0])} test models; dotted, the noise floor. Intervals draw whole "
    "training runs with replacement, since checkpoints of one run are not independent; differences "
    "to CSV are paired. The best constant knows the test accuracies: nobody has it, it shows what "
    "a flat guess could reach at most."
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
    st.caption("The control refits CSV with the accuracies shuffled among the train models.")
    if st.button(
        f"Run {PERMUTATIONS} permutations",
        icon=":material/shuffle:",
        help="Queues as many refits of CSV on this task.",
    ):
        params = {
            "corpus": corpus,
            "split": split,
            "tasks": [task],
            "permutations": PERMUTATIONS,
        }
        jobs.submit(source.path, "compare", params)
jobs_view.live(source)

st.subheader("A family left out altogether", divider="gray")
matrix = judged.left_out(source, corpus)
matrix = matrix[matrix["task"] == task]
if matrix.empty:
    st.caption("`csvcore leave-one-family-out` fits every method with each family unseen in turn.")
else:
    wide = matrix.pivot(index="method", columns="family", values="mse_test").astype(float)
    wide.insert(0, "median", wide.median(axis=1))
    wide.index = wide.index.map(controls.METHOD_NAMES)
    st.dataframe(
        wide.sort_values("median"),
        column_config={name: st.column_config.NumberColumn(format="%.1e") for name in wide.columns},
    )
    st.caption("Test MSE on the family that no train or validation model is of.")
