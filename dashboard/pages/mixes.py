import numpy as np
import streamlit as st

from csvcore.analysis.metrics import mean_squared_error
from csvcore.errors import FitError
from csvcore.figures import law as charts
from csvcore.jobs import queue
from csvcore.jobs.specs import MixesJob
from csvcore.scaling import fit_sigmoid_law, sigmoid_law
from dashboard.queries import attribution, comparisons, database
from dashboard.queries import figures as drawn
from dashboard.views import jobs as jobs_view
from dashboard.views import mixes, test_set
from dashboard.widgets import address, figure, sidebar
from dashboard.widgets import text as controls

LARGEST = 3.0  # times that a source can be made to count

st.header("Mixes")
db = database.database()
corpus, split, task = (controls.chosen(key) for key in ("corpus", "split", "task"))
fits = sidebar.fits(db)
fits = fits[(fits["task"] == task) & (fits["method"] == "csv")]
if fits.empty or corpus is None or split is None or task is None:
    controls.next_step("No CSV fit of this task yet", "Start one on the Fit page.")
    st.page_link("dashboard/pages/fit.py", label="Go to Fit", icon=":material/play_circle:")
    st.stop()
test_set.gate(db, corpus, split, fits)
fit = database.fit(db, str(fits.iloc[0]["fit"]))
colours = drawn.colours(db)


def is_on_slider(text: str) -> bool:
    """Whether a slider can have what stands in the address."""
    try:
        return 0 <= float(text) <= LARGEST
    except ValueError:
        return False


@st.fragment
def sliders() -> None:
    parts = attribution.partial_scores(db, fit.fit)
    left, right = st.columns([1, 2])
    with left:
        factors = {
            name: address.keep(
                st.slider,
                name,
                *(0.0, LARGEST, 1.0, 0.1),
                key=f"mix-{name}",
                accepts=is_on_slider,
                help="How many times the tokens of this source count; their weights stay.",
            )
            for name in parts.columns
        }
    score = parts.to_numpy() @ np.array(list(factors.values()))
    table = database.predictions(db, fit.fit).set_index("model").loc[parts.index]
    train = (table["split"] == "train").to_numpy()
    accuracy = table["accuracy"].to_numpy(dtype=np.float64)
    with right:
        if not any(factors.values()):
            st.info("Raise a slider: without any source there is no score.")
            return
        try:
            law = fit_sigmoid_law(score[train], accuracy[train], fit.gamma)
        except FitError as error:
            st.warning(f"No law fits this mix: {controls.plain(str(error))}")
            return
        predicted = sigmoid_law(score, law.alpha, law.beta, fit.gamma)
        changed = set(factors.values()) != {1.0}
        figures = {
            side: mean_squared_error(accuracy[on], predicted[on])
            for side in ("train", "validation", "test")
            if (on := (table["split"] == side).to_numpy()).any()
        }
        with st.container(horizontal=True):
            for side, value in figures.items():
                st.metric(
                    f"{side} MSE",
                    controls.scientific(value),
                    delta=f"{value / fit.mse[side] - 1:+.0%}" if changed else None,
                    delta_color="inverse",
                    help="Beside it the change against the fit as it is.",
                )
        table = table.reset_index().assign(score=score, predicted=predicted)
        figure.figure(
            charts.sigmoid_figure(table.assign(low=predicted, high=predicted), fit, colours, law),
            table.drop(columns=["low", "high"]),
            key="mix-curve",
            name=f"mix-{task}",
            alt=f"Accuracy on {task} against the score of this mix, with the law fitted anew",
        )


st.caption(
    "The weights stay as they were learnt, alpha and beta are fitted anew at once. To learn the "
    "weights anew for every mix, search below."
)
st.html(charts.legend_html(colours))
sliders()

st.subheader("Search", divider="gray")
names = database.corpora(db)["corpus"].tolist()
with st.form("search", border=True):
    columns = st.columns(2)
    mixed = columns[0].multiselect(
        "Corpora", names, default=[corpus], help="Sources of all of them may be mixed."
    )
    budget = columns[1].number_input(
        "Budget, tokens",
        1,
        10_000_000,
        None,
        placeholder="what the smallest source has",
        help="Size of every mix in tokens of the scorer.",
    )
    start = st.form_submit_button(
        "Search", icon=":material/search:", help="Learns new weights for some dozens of mixes."
    )
if start and mixed:
    size = int(budget) if budget else None
    queue.submit_spec(db.path, MixesJob(tuple(mixed), split, task, size))
jobs_view.live(db)
jobs_view.ended_badly(db, "mixes", split=split, task=task)

corpora = tuple(mixed or [corpus])
found = comparisons.mixes(db, corpora, split, task)
if found:
    if comparisons.mixes_are_hidden(db, corpora, split, task):
        test_set.gate_mixes(db, corpora[0], split)
    mixes.found(db, found, corpora)
