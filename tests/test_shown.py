"""Laws of what can be taken away from a page: figures, their tables, links."""

import io
import re

import pandas as pd
import plotly.graph_objects as go
from hypothesis import given
from hypothesis import strategies as st

from dashboard import shown

BAD = "<img src=x onerror=alert(1)>"


def test_a_figures_page_loads_nothing_and_runs_nothing_of_its_data() -> None:
    figure = go.Figure(go.Scatter(x=[1], y=[2], text=[BAD]))
    figure.update_layout(title=BAD)
    before = figure.to_json()
    made = shown.page(figure, f"Accuracy {BAD}")
    outside = re.sub(r"<script[^>]*>.*?</script>", "", made, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=|url\(|@import", outside.replace("src=x", ""))
    assert BAD not in made
    assert made.count("Plotly.newPlot") == 1
    assert figure.to_json() == before  # the page's own keeps its theme


@given(st.text(max_size=120))
def test_a_file_name_is_harmless_whatever_the_task_is_called(name: str) -> None:
    found = shown.file_name(name)
    assert found
    assert len(found) <= 80
    assert not re.search(r"[^\w.-]", found)
    assert not found.startswith(".")


def test_the_table_comes_back_from_its_csv_and_formulas_are_text() -> None:
    table = pd.DataFrame(
        {"model": ["a,b", '=HYPERLINK("x")', "@sum"], "=score": [-1.5, float("nan"), 2.0]}
    )
    again = pd.read_csv(io.BytesIO(shown.csv(table)))
    assert again["model"].tolist() == ["a,b", '\'=HYPERLINK("x")', "'@sum"]
    assert again["'=score"].tolist()[::2] == [-1.5, 2.0]
    assert table.columns.tolist() == ["model", "=score"]
