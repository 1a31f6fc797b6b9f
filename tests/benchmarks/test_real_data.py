"""Laws of the summary of `python benchmarks/real_data.py`, and of the sets that it stores."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import real_data
from public_data import measure, sources, summary
from public_data.summary import ALL, FAMILIES, SMALL_TO_LARGE, Case, Summary

from csvcore import store
from csvcore.fitting.config import FitConfig
from csvcore.formats.bundled import ZOO
from csvcore.pipeline.compare import compare

PUBLIC = Path(__file__).parents[3] / "shared" / "data"
RUNS = tuple((f"run {i}",) for i in range(6))


def case(mse: Mapping[str, float], **changes: object) -> Case:
    """A case of six runs, each with the same squared error."""
    squared = {method: np.full(len(RUNS), value) for method, value in mse.items()}
    made = Case("stories", "without-opt", "opt", "t", RUNS, mse, squared, {})
    return replace(made, **changes)  # type: ignore[arg-type]


def of(method: str, rows: list[Summary]) -> Summary:
    return next(row for row in rows if row.method == method)


def test_a_summary_worked_by_hand() -> None:
    cases = [
        case({"csv": 0.01, "all-token": 0.04, "best-source": 0.02, "new": 0.08}),
        case({"csv": 0.08, "all-token": 0.01, "best-source": 0.03}),
    ]
    rows = summary.summarise(cases)
    csv = of("csv", rows)
    assert csv.ratio == pytest.approx((0.01 / 0.02 * 0.08 / 0.01) ** 0.5)
    assert (csv.n_cases, csv.wins, csv.worse, csv.better, csv.judged) == (2, 1, 1, 1, 2)
    assert csv.ratio_to_csv == pytest.approx(1)
    plain = of("all-token", rows)
    assert plain.ratio == pytest.approx((0.04 / 0.02) ** 0.5)
    assert plain.ratio_to_csv == pytest.approx((0.04 / 0.01 * 0.01 / 0.08) ** 0.5)
    assert (plain.wins, plain.worse, plain.better) == (0, 1, 0)
    new = of("new", rows)
    assert (new.n_cases, new.ratio, new.ratio_to_csv) == (1, pytest.approx(4), pytest.approx(8))
    assert [row.ratio for row in rows] == sorted(row.ratio for row in rows)


def test_the_yardstick_is_never_beaten_by_its_own_methods() -> None:
    rng = np.random.default_rng(0)
    methods = ("csv", *summary.YARDSTICK)
    cases = [case(dict(zip(methods, rng.random(5).tolist(), strict=True))) for _ in range(20)]
    for row in summary.summarise(cases):
        if row.method in summary.YARDSTICK:
            assert row.ratio >= 1
            assert row.wins == row.better == 0


def test_a_perfect_prediction_does_not_decide_the_mean() -> None:
    rows = summary.summarise([case({"csv": 0.0, "all-token": 0.01})])
    assert of("csv", rows).ratio == pytest.approx(summary.FLOOR / 0.01)
    both = summary.summarise([case({"csv": 0.0, "all-token": 0.0})])
    assert of("csv", both).ratio == 1
    assert of("csv", both).wins == 0


def test_a_planted_difference_is_significant_and_noise_is_not() -> None:
    noise = np.array([0.004, -0.004, 0.003, -0.003, 0.002, -0.002])
    base = np.full(6, 0.02)
    squared = {
        "all-token": base,
        "planted": base + 0.01 + noise,
        "same": base + noise,
        "csv": base - 0.01 + noise,
    }
    mse = {method: float(values.mean()) for method, values in squared.items()}
    rows = summary.summarise([case(mse, squared=squared)])
    assert [(of(name, rows).worse, of(name, rows).better) for name in squared] == [
        (0, 0),
        (1, 0),
        (0, 0),
        (0, 1),
    ]


def test_checkpoints_of_one_run_are_not_judged() -> None:
    one_run = case({"csv": 0.09, "all-token": 0.01}, runs=(("run",),) * 6)
    unknown = case({"csv": 0.09, "all-token": 0.01}, squared={})
    row = of("csv", summary.summarise([one_run, unknown]))
    assert (row.n_cases, row.judged, row.worse) == (2, 0, 0)
    assert summary.standings(one_run)[0].low is None
    assert "0 of 0" in summary.table([row])


def test_the_interval_resamples_runs_not_checkpoints() -> None:
    rng = np.random.default_rng(1)
    of_run = np.repeat(rng.normal(0.004, 0.01, 3), 20)
    squared = {"all-token": np.full(60, 0.05), "csv": 0.05 + of_run}
    mse = {method: float(values.mean()) for method, values in squared.items()}
    widths = []
    for names in (np.arange(60), np.repeat(np.arange(3), 20)):
        runs = tuple((str(name),) for name in names)
        found = summary.standings(case(mse, squared=squared, runs=runs))
        standing = next(each for each in found if each.method != each.yardstick)
        assert standing.low is not None
        assert standing.high is not None
        widths.append(standing.high - standing.low)
    assert widths[1] > 2 * widths[0]


def test_coverage_counts_every_model_alike() -> None:
    small = case({"all-token": 0.1}, runs=RUNS[:2], squared={}, covered={"all-token": 0.5})
    large = case({"all-token": 0.1}, covered={"all-token": 1.0})
    assert summary.coverage([small, large], "all-token") == (7 / 8, 8)
    assert summary.coverage([small, large], "compute") == (None, 0)


def test_a_case_without_any_simple_method_has_no_standing() -> None:
    assert summary.standings(case({"csv": 0.1, "compute": 0.2})) == []


def test_scopes_are_splits_sets_kinds_of_splits_and_all() -> None:
    mse = {"csv": 0.1, "all-token": 0.2}
    cases = [
        case(mse),
        case(mse, family="gpt2", split="without-gpt2"),
        case(mse, set="zoo", split="by-size", family=None),
        case(mse, set="zoo", split="closed-source", family=None),
    ]
    rows = [row for row in summary.every_scope(cases) if row.method == "csv"]
    assert [(row.set, row.split, row.n_cases) for row in rows] == [
        ("stories", FAMILIES, 2),
        ("stories", ALL, 2),
        ("zoo", "by-size", 1),
        ("zoo", "closed-source", 1),
        ("zoo", ALL, 2),
        (ALL, SMALL_TO_LARGE, 1),
        (ALL, FAMILIES, 2),
        (ALL, ALL, 4),
    ]
    told = summary.text(cases)
    assert "zoo, by-size" in told
    assert "stories, families" not in told
    assert "all sets, all splits" in told
    assert "all sets" not in summary.text(cases[:2])


def test_results_are_written_as_json(tmp_path: Path) -> None:
    made = case({"csv": 0.1, "all-token": 0.2}, covered={"csv": 1.0})
    result = measure.SetResult("stories", 20, 485, "", 1.25, [{"task": "t"}], [], [made])
    real_data.write_json(tmp_path / "found.json", real_data.circumstances(), [result])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["sets"] == [{"set": "stories", "n_models": 20, "n_documents": 485, "seconds": 1.2}]
    assert found["rows"] == [{"task": "t"}]
    assert found["summary"][0]["ratio"] == pytest.approx(0.5)
    assert found["circumstances"].startswith("csvcore at ")


@pytest.mark.slow
def test_squared_errors_in_the_database_have_the_means_of_the_table(tmp_path: Path) -> None:
    database = tmp_path / "zoo.duckdb"
    plan = sources.store_set("zoo", PUBLIC, ZOO, database)
    assert plan.splits == ("by-size", "closed-source")
    config = replace(plan.config, members=1)
    rows = compare(database, sources.CORPUS, "by-size", ["facts"], config)
    found = measure.read_case(database, ("zoo", "by-size", None), rows)
    assert set(found.squared) == {row.method for row in rows}
    for row in rows:
        assert found.squared[row.method].mean() == pytest.approx(row.mse)
    assert found.group == "by-size"
    assert len(set(found.runs)) > 1
    with pytest.raises(ValueError, match="the table has a test MSE of 9"):
        measure.read_case(database, ("zoo", "by-size", None), [replace(rows[0], mse=9.0)])


@pytest.mark.slow
def test_natural_stories_are_fitted_on_their_own_words(tmp_path: Path) -> None:
    if not (PUBLIC / "natural_stories").is_dir():
        pytest.skip("the public measurements are not beside the repository")
    database = tmp_path / "stories.duckdb"
    plan = sources.store_set("stories", PUBLIC, ZOO, database)
    assert (plan.splits, plan.families, plan.config) == ((), True, FitConfig(own_units=True))
    with store.connect(database, read_only=True) as db:
        assert len(store.complete_models(db, sources.CORPUS)) == 20
        assert len(store.documents(db, sources.CORPUS)) == 485
