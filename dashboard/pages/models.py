import streamlit as st

from csvcore import splits, store
from csvcore.figures import charts
from csvcore.records import SPLITS, Split
from dashboard import controls, data, links, shown

st.header("Models & splits")
source = data.database()
cards = data.cards(source)
if not cards:
    controls.next_step("No models yet", "Bring them in with `csvcore import models FILE`.")
    st.stop()
models = data.models(source)
task = controls.chosen("task")

families = sorted(models["family"].unique())
presets = {"By size: largest of each family tests": "by-size"} | {
    f"Leave out {family}": f"without-{family}" for family in families
}
stored = {f"Stored: {name}": name for name in data.splits(source)}
choice = links.choose(
    st.selectbox,
    "Start from",
    [*stored, *presets],
    key="start",
    help="A stored split or a rule; each model's side can be changed in the table.",
)
if choice in stored:
    split, name = data.split(source, stored[choice]), stored[choice]
elif presets[choice] == "by-size":
    split, name = splits.by_size(cards), "by-size"
else:
    name = presets[choice]
    split = splits.leave_one_family_out(cards, name.removeprefix("without-"))

table = models.assign(split=models["model"].map(split))
columns = ["model", "split", "family", "n_params", "train_tokens", "step"]
scores = [entry.task for entry in data.tasks(source) if entry.task in models]
edited = st.data_editor(
    table[[*columns, *scores]],
    hide_index=True,
    height=380,
    disabled=[column for column in [*columns, *scores] if column != "split"],
    column_config={
        "split": st.column_config.SelectboxColumn("split", options=list(SPLITS)),
        "n_params": st.column_config.NumberColumn("parameters", format="localized"),
        "train_tokens": st.column_config.NumberColumn("training tokens", format="compact"),
    }
    | {task: st.column_config.NumberColumn(format="%.3f") for task in scores},
    key=f"editor-{choice}",
)
sides: dict[str, Split] = dict(zip(edited["model"], edited["split"], strict=True))
sides = {model: side for model, side in sides.items() if side in SPLITS}
with st.container(horizontal=True):
    for side in SPLITS:
        st.metric(side.capitalize(), sum(own == side for own in sides.values()), border=True)
for warning in splits.leaks(cards, sides):
    st.warning(controls.plain(warning), icon=":material/warning:")

with st.form("save", border=False):
    new_name = st.text_input(
        "Save as", name, help="A name that is taken is replaced; its fits are then marked stale."
    )
    if st.form_submit_button(
        "Save split", icon=":material/save:", help="Stores the sides as the table has them."
    ):
        checked = splits.check_split(dict(sides), models["model"])
        if not new_name.strip():
            st.warning("A split needs a name.")
        else:
            with store.connect(source.path) as db:
                store.add_split(db, new_name.strip(), checked)
            st.toast(f"Saved as {controls.plain(new_name.strip())}")
            st.rerun()

if task in models:
    st.subheader("Growth with training", divider="gray")
    colours = charts.family_colours(families)
    shown.figure(
        charts.growth_figure(models, str(task), colours),
        models[["model", "family", "n_params", "train_tokens", "step", str(task)]],
        key="growth",
        name=f"growth-{task}",
        alt=f"Accuracy on {task} over training tokens, one line for each training run",
    )
    st.caption("One line a run, thicker for larger models: the same tokens, other abilities.")
