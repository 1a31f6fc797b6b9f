"""Laws of the command behind docs/evidence.md."""

import json
from pathlib import Path
from typing import Any

import measure
import page
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_mixes_begin_with_one_source_and_end_with_all() -> None:
    sources = ["a", "b", "c", "d"]
    found = measure.mixes_of(sources)
    assert found[:4] == [("a",), ("b",), ("c",), ("d",)]
    assert found[-1] == tuple(sources)
    assert len(found) == len(set(found))
    assert {len(mix) for mix in found} == {1, 2, 3, 4}
    assert found == measure.mixes_of(sources)


def row(method: str, mse: float, **more: object) -> dict[str, object]:
    return {
        "split": "by-size",
        "task": "t",
        "method": method,
        "test_mse": mse,
        "noise_floor": 0.001,
        "n_test": 9,
        "covered": 8 / 9,
        "p_value": 0.005 if method == "csv" else None,
    } | more


def test_the_verdict_counts_the_tasks() -> None:
    """By hand: two tasks; the difference of all-token leaves zero out on t, not on u."""
    apart = {"to_stack_low": 0.01, "to_stack_high": 0.02}
    unclear = {"to_stack_low": -0.01, "to_stack_high": 0.02}
    both = {"difference_low": -0.03, "difference_high": -0.01}
    rows = [row("stack", 0.005), row("csv", 0.002), row("compute", 0.001)]
    rows += [row("all-token", 0.02, **apart, **both)]
    rows += [row("stack", 0.06, task="u"), row("csv", 0.02, task="u")]
    rows += [row("all-token", 0.03, task="u", **unclear, **both)]
    made = page.errors(rows, "by-size")
    assert "| t (9) | 5.0e-03 | 2.0e-03 |" in made
    assert "Test models within the 90 % interval: stack 89% of 18, CSV 89% of 18." in made
    assert (
        "CSV: below all-token loss on 2 of 2 tasks, at most a fifth of it on 1, within twice the "
        "noise floor on 1, the least of all methods and trivial baselines that know no test "
        "accuracy on 1."
    ) in made
    assert "stack 0.71 times, significantly worse in 0 and better in 1 of 2 cases" in made
    assert "CSV 0.26 times, significantly worse in 2 and better in 0 of 2 cases" in made


def test_the_tables_of_factors_tell_what_was_found() -> None:
    def found(names: str, **parts: Any) -> dict[str, Any]:
        factors = [
            {"anchor": name, "stability": 0.5, "p_value": 1 / 21}
            | {"sources": [["words", 0.75], ["rest", 0.2]], "kinds": [["answers", 7.25]]}
            for name in names
        ]
        return {"factors": factors} | parts

    def on(task: str, shared: float, share: list[float]) -> dict[str, Any]:
        return {"task": task, "test_shared": shared, "test_separate": 2e-3, "share": share}

    tried = [{"n_factors": n, "cv_error": error} for n, error in ((1, 0.07), (2, 0.05), (2, 0.04))]
    few = [
        {"task": t, "n_known": 5, "shared": s, "separate": 0.1}
        for t, s in (("a", 0.05), ("b", 0.2))
    ]
    chosen = found(
        "ab", tasks=[on("a", 2e-3, [1, 0]), on("b", 2e-3, [0, 1])], tried=tried, few_shot=few
    )
    fewer = found("a", tasks=[on("a", 2e-3, [1]), on("b", 9e-3, [1])])
    rows = [chosen, fewer]
    assert "| points | 7.0 | 4.0 |\n\nChosen: 2 factors for 2 tasks." in page.tried_factors(rows)
    line = "| a | 75% words, 20% rest | answers 7.2 times the mean | 0.50 | 0.048 |"
    assert line in page.factors(rows)
    made = page.task_factors(rows)
    assert "| b | 2.0e-03 | 2.0e-03 | 9.0e-03 | 100% a | 1.0e-01 | 2.00 |" in made
    assert "Median of borrowed / own with 5 known models: 1.25." in made


def test_a_part_that_was_not_measured_stays_as_it_is(tmp_path: Path) -> None:
    text = "<!-- highlights -->\nold\n<!-- /highlights -->\n<!-- steps -->\nkept\n<!-- /steps -->\n"
    doc = tmp_path / "evidence.md"
    doc.write_text(text)
    found = [
        {
            "source": "swaps-worked",
            "n_results": 3,
            "n_others": 7,
            "mean_results": 2.0,
            "mean_others": 0.5,
        }
    ]
    (tmp_path / "highlights.json").write_text(json.dumps(found))
    page.write(doc, tmp_path)
    again = doc.read_text()
    assert "| swaps-worked | 2.00 (3) | 0.50 (7) | 4.0 |" in again
    assert "old" not in again
    assert "kept" in again
    page.write(doc, tmp_path)
    assert doc.read_text() == again


def test_a_page_without_the_marks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evidence.md").write_text("nothing")
    (tmp_path / "highlights.json").write_text("[]")
    with pytest.raises(SystemExit, match="lacks <!-- highlights -->"):
        page.write(tmp_path / "evidence.md", tmp_path)


@pytest.mark.parametrize("name", page.TABLES)
def test_the_page_has_a_place_for_every_table(name: str) -> None:
    text = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert f"<!-- {name} -->\n" in text
    assert f"<!-- /{name} -->" in text
