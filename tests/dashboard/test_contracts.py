"""Contracts of the dashboard that import-linter cannot state: names used, not modules."""

import ast
from pathlib import Path

DASHBOARD = Path(__file__).parents[2] / "dashboard"
GUARDED = {
    *("fit", "fits", "predictions", "accuracies", "mixes", "control", "timings", "fit_page"),
    *("evidence", "item_results", "item_statistics", "results_by_item"),
}


def test_fits_and_accuracies_are_read_through_test_set_alone() -> None:
    reads = [
        f"{path.name}: store.{node.attr}"
        for path in (DASHBOARD / "queries").glob("*.py")
        if path.name != "test_set.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"store", "report", "reports"}
        and node.attr in GUARDED
    ]
    assert reads == []


def test_only_the_module_of_session_keys_touches_the_session_state() -> None:
    users = [
        path.relative_to(DASHBOARD).as_posix()
        for path in DASHBOARD.rglob("*.py")
        if "st.session_state" in path.read_text(encoding="utf-8")
    ]
    assert users == ["widgets/state.py"]
