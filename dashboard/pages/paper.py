import pandas as pd
import streamlit as st

from csvcore.figures import law
from csvcore.methods import METHODS, label
from dashboard.queries import paper
from dashboard.widgets import address
from dashboard.widgets import figure as shown
from dashboard.widgets.text import next_step, plain

st.header("Paper")
st.markdown(
    "Ge et al., [arXiv 2506.13216](https://arxiv.org/abs/2506.13216), Capability Salience Vector: "
    "its tables, and the same questions asked of the bundled zoo."
)
tables = {name: found for name in paper.TABLES if (found := paper.table(name)) is not None}
parts = paper.evidence()
if not tables or "zoo" not in parts:
    next_step(
        "The paper's tables and our evidence are not at hand",
        "They come with csvcore; install it again, or take them from data/ of the repository.",
    )
    st.stop()
st.info(
    f"{paper.scale(parts['zoo'])} Nothing here is a measurement of theirs. Errors are those on the "
    "test models of the zoo's own splits, which the other pages hide until you reveal them.",
    title="The zoo is not the paper's models",
    icon=":material/pets:",
)

st.subheader("Does ours agree?", divider="gray")
claims = paper.verdicts(parts, tables["Table 1"])
st.table(
    pd.DataFrame(
        {
            "In the paper": [one.where for one in claims],
            "The paper shows": [plain(one.printed) for one in claims],
            "Ours, counted from data/evidence": [plain(one.measured) for one in claims],
            "Verdict": [one.verdict for one in claims],
        }
    ),
    border="horizontal",
    alt="Every claim of the paper beside what the zoo shows",
)
st.caption("Agrees: ours holds on as large a share of the tasks as the paper's.")
at_hand = [name for name, part in paper.EVIDENCE.items() if part in parts]
if len(at_hand) < len(paper.EVIDENCE):
    st.caption("Some parts are not measured yet; `python benchmarks/evidence` does it.")

look = address.choose(
    st.segmented_control,
    "Ours in full",
    at_hand,
    key="evidence",
    default=at_hand[0],
    help="Named as in the paper; made by python benchmarks/evidence on the zoo.",
)
if look:
    numbers, figure = paper.numbers(look, parts), paper.drawn(look, parts)
    for one in claims:
        if one.where == look:
            st.markdown(
                f"**The paper:** {plain(one.printed)}. **Ours:** {plain(one.measured)}. "
                f"**{one.verdict.capitalize()}.**"
            )
    if look in paper.OF_MODELS:
        st.html(law.legend_html(law.family_colours(numbers["family"].tolist())))
    if figure is not None:
        alt = f"{look} of the paper, drawn from the zoo's measurements"
        shown.figure(figure, numbers, key="evidence-figure", alt=alt, name=f"ours-{look}")
    else:
        form = "%.1e" if look == "Table 1" else "%.2f"
        titles = {name: label(name) for name in METHODS} | {"noise_floor": "Noise floor"}
        shown.table(
            numbers,
            column_config={
                str(name): st.column_config.NumberColumn(titles.get(str(name)), format=form)
                for name in numbers.select_dtypes("float").columns
            },
        )
    if look == "Figure 9":
        st.page_link(
            "dashboard/pages/salience.py",
            label="Every token on Salience",
            icon=":material/format_ink_highlighter:",
            query_params={"corpus": "zoo", "split": "by-size", "task": "arithmetic"},
        )

st.subheader("The paper's tables", divider="gray")
name = address.choose(
    st.segmented_control,
    "Table",
    list(tables),
    key="printed",
    default="Table 1",
    help="Facts as printed; the text itself is not copied.",
)
if name:
    st.caption(paper.TABLES[name])
    shown.table(tables[name])
    shown.csv_button(tables[name], f"paper-{name.lower()}", "The table as printed.")

left, right = st.columns(2)
left.subheader("What was not published", divider="gray")
left.markdown("\n".join(f"- {line}" for line in paper.UNPUBLISHED))
quarrels = paper.quarrels(tables["Table 2"], pd.concat([tables["Table 3"], tables["Table 4"]]))
left.markdown("\n".join(f"- {plain(line)}" for line in quarrels))
right.subheader("Where ours differs", divider="gray")
right.markdown("\n".join(f"- {line}" for line in paper.DIFFERENT))
