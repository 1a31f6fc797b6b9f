"""Laws of the paper's tables as data, and of what is claimed of our own measurements."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from csvcore import paper_claims, store
from csvcore.analysis.metrics import mean_squared_error
from csvcore.figures.paper import OF_LAWS
from csvcore.formats import bundled
from dashboard.queries import paper

TASKS = ["bbh", "ceval", "cmmlu", "gsm8k", "hellaswag", "mmlu"]


def table(name: str) -> pd.DataFrame:
    found = paper.table(name)
    assert found is not None
    return found


def test_cells_of_the_tables_are_as_printed() -> None:
    errors = table("Table 1").set_index("task")
    assert errors.loc["mmlu"].tolist() == [1.45e-3, 2.40e-2, 3.31e-2]
    assert errors.loc["hellaswag"].tolist() == [4.49e-3, 3.15e-3, 3.33e-2]
    first, second = table("Table 3").set_index("model"), table("Table 4").set_index("model")
    assert first.loc["llama-2-70b-hf", "gsm8k"] == 63.53
    assert first.loc["internlm2_5-20b", "mmlu"] == 74.2
    assert second.loc["gemma-2-9b-it", "bbh"] == 75.07
    assert second.loc["Qwen2-1.5B", "mmlu"] == 57.45


def test_the_tables_fit_each_other() -> None:
    results = pd.concat([table("Table 3"), table("Table 4")])
    assert results["model"].is_unique
    assert len(results) == 59  # the text says over 50
    assert list(results.columns[1:]) == TASKS
    assert results[TASKS].notna().all(axis=None)
    assert results[TASKS].stack().between(10, 100).all()  # percent
    assert sorted(table("Table 1")["task"]) == TASKS
    split = table("Table 2")
    assert set(split["split"]) == {"train", "validation", "test"}
    assert set(split["model"].dropna()) <= set(results["model"])
    for printed, rows in split.groupby("printed"):
        n_sizes = str(printed).count(",") + 1
        n_lines = 2 if printed == "Yi-1.5-34B-Chat" else 1
        assert len(rows) == n_sizes * n_lines, printed


def test_where_the_papers_tables_disagree_is_told() -> None:
    split = pd.DataFrame({"printed": ["a", "a", "b-{1, 2}B"], "model": ["a", "a", None]})
    results = pd.DataFrame({"model": ["a", "c"]})
    assert paper.contradictions(split, results) == [
        "Table 2 lists more than once: a.",
        "Table 2 lists without a result: b-{1, 2}B.",
        "Tables 3 and 4 have results of, but Table 2 leaves out: c.",
    ]
    assert paper.contradictions(split[:1], results[:1]) == []


def rows(split: str, task: str, csv: float, every: float, label: float) -> list[dict[str, object]]:
    shared = {"split": split, "task": task, "noise_floor": 0.001, "r2": 0.9}
    return [
        {**shared, "method": method, "test_mse": mse}
        for method, mse in (("csv", csv), ("all-token", every), ("label-token", label))
    ]


PRINTED = pd.DataFrame(
    {"csv": [0.001, 0.003], "all_token": [0.01, 0.002], "label_token": [0.02, 0.03]}
)
SPLITS = pd.DataFrame(
    rows("by-size", "s", 0.001, 0.02, 0.01)
    + rows("by-size", "t", 0.004, 0.002, 0.02)
    + rows("closed-source", "s", 0.0005, 0.1, 0.1)
    + rows("closed-source", "t", 0.002, 0.1, 0.1)
)


def test_a_claim_agrees_where_it_holds_as_often_as_in_the_papers_own_numbers() -> None:
    better, label, small = paper_claims.table_1(SPLITS, PRINTED)
    assert (better.holds, better.of, better.share) == (1, 2, 0.5)
    assert better.verdict == "agrees"
    assert "1 of 2 tasks, 0.5 to 20.0 times" in better.measured
    assert better.printed.endswith("1 of 2 tasks, 0.7 to 10.0 times")
    assert (label.holds, label.share, label.verdict) == (1, 1.0, "in part")
    assert small.printed.startswith("CSV's test MSE is at most 3.0e-03: 2 of 2")
    assert (small.holds, small.verdict) == (1, "in part")


def test_the_figures_are_counted_by_task() -> None:
    parts = {
        "splits": SPLITS,
        "steps": pd.DataFrame(
            {"task": ["s", "s", "t", "t"], "steps": [0, 9, 0, 9], "test_mse": [4.0, 2.0, 3.0, 1.0]}
        ),
        "mixes": pd.DataFrame(
            {
                "task": ["s"] * 3,
                "n_sources": [1, 1, 2],
                "has_own": [True, False, True],
                "test_mse": [1.0, 9.0, 2.0],
            }
        ),
        "highlights": pd.DataFrame({"mean_results": [1.0], "mean_others": [2.0]}),
    }
    zoo = pd.DataFrame(
        {
            "family": ["ebb", "flow", "ebb", "flow", "other"],
            "task": ["s", "s", "t", "t", "t"],
            "n_params": 1,
            "train_tokens": 1,
            "accuracy": [0.2, 0.5, 0.2, 0.25, 1.0],
        }
    )
    found = paper_claims.figures(parts, zoo)
    assert [(one.where, one.holds, one.of, one.verdict) for one in found] == [
        ("Figure 1", 1, 2, "in part"),
        ("Figure 2", 1, 2, "in part"),
        ("Figure 4", 2, 2, "agrees"),
        ("Figure 5", 1, 2, "in part"),
        ("Figure 6", 2, 2, "agrees"),
        ("Figure 8", 1, 1, "agrees"),
        ("Figure 8", 0, 1, "does not agree"),
        ("Figure 9", 0, 1, "does not agree"),
    ]
    assert [one.where for one in paper_claims.figures({}, zoo)] == ["Figure 1"]


@pytest.fixture
def app(app_on: Callable[[Path], AppTest], tmp_path: Path) -> AppTest:
    store.create(tmp_path / "empty.duckdb")
    return app_on(tmp_path / "empty.duckdb").run().switch_page("dashboard/pages/paper.py")


@pytest.mark.parametrize("name", paper.EVIDENCE)
def test_every_piece_of_evidence_is_shown_with_its_verdict(app: AppTest, name: str) -> None:
    app.query_params["evidence"] = name
    app.run()
    assert not app.exception
    assert not app.warning
    assert app.session_state["evidence"] == name
    assert len(app.get("plotly_chart")) == (name not in {"Table 1", "Figure 9"})


def test_every_piece_of_evidence_is_at_hand() -> None:
    assert set(paper.EVIDENCE.values()) <= set(paper.evidence())


@pytest.mark.parametrize("name", OF_LAWS)
def test_a_figures_points_have_the_errors_of_the_table(name: str) -> None:
    """Points and errors were written by the same fits: train, validation and test of a panel."""
    parts = paper.evidence()
    points = parts[name]
    told = parts["steps" if name == "Figure 6" else "splits"]
    for title, rows in points[points["split"] == "test"].groupby("panel"):
        error = mean_squared_error(rows["accuracy"].to_numpy(), rows["predicted"].to_numpy())
        if name == "Figure 6":
            steps = int(str(title).rpartition(" ")[2])
            own = told[(told["task"] == "swaps") & (told["steps"] == steps)]
        else:
            split = "closed-source" if name == "Figure 5" else "by-size"
            method = "all-token" if name == "Figure 2" else "csv"
            own = told[told["split"].eq(split) & told["method"].eq(method) & told["task"].eq(title)]
        assert own["test_mse"].item() == pytest.approx(error, rel=1e-3)


def test_without_the_bundled_tables_the_page_says_so(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bundled, "folder", lambda name: tmp_path / name)
    app.run()
    assert not app.exception
    (told,) = app.info
    assert "install it again" in told.value
