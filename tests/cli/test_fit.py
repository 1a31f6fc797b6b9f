import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from csvcore import store
from tests.support.world import ALL_OR_NOTHING, DOCS, SIDES, World, change

pytestmark = pytest.mark.slow

FIT_KEYS = {
    "fit", "task", "method", "alpha", "beta", "gamma", "steps", "seconds", "n_models", "mse",
    "noise_floor", "predictions", "left_out", "notes", "choice",
}  # fmt: skip
PREDICTION_KEYS = {"model", "split", "score", "accuracy", "predicted", "low", "high"}
ROW_KEYS = {
    "task", "method", "test_mse", "test_mae", "r2", "spearman", "pairwise", "noise_floor", "low",
    "high", "difference", "difference_low", "difference_high", "covered", "n_test", "fit",
    "p_value", "notes", "to_stack", "to_stack_low", "to_stack_high", "items_worth",
}  # fmt: skip
METHODS = {
    "stack", "csv", "all-token", "label-token", "label-probability", "source-token",
    "best-source", "rank-token", "loss-compute", "loss-quantiles", "exponential",
    "train-mean", "sibling", "compute", "best-constant",
}  # fmt: skip
Invoke = Callable[..., Result]


def one_document(text: str) -> Any:
    """Standard JSON, which knows no NaN and no Infinity, and nothing else."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


# fit, compare, weights, fits, collect


@pytest.mark.parametrize(
    "method", ["csv", "all-token", "label-token", "source-token", "best-source"]
)
def test_fit_json_is_one_document_with_the_contracts_keys(
    invoke_fit: Invoke, world: World, method: str
) -> None:
    result = invoke_fit("--task", "adding", "--method", method, "--json")
    assert result.exit_code == 0, result.output
    document = one_document(result.stdout)
    assert document.keys() == {"fits"}
    [found] = document["fits"]
    assert found.keys() >= FIT_KEYS
    assert (found["task"], found["method"], found["gamma"]) == ("adding", method, 0.25)
    assert found["n_models"] == {"train": 6, "validation": 2, "test": 3}
    assert found["mse"].keys() == {"train", "validation", "test"}
    assert found["left_out"] == []
    assert {placed["model"] for placed in found["predictions"]} == SIDES.keys()
    for placed in found["predictions"]:
        assert placed.keys() >= PREDICTION_KEYS
        assert placed["split"] == SIDES[placed["model"]]
        assert placed["accuracy"] == world.accuracy(placed["model"], "adding")
        assert placed["low"] <= placed["predicted"] <= placed["high"]


def test_fit_without_a_task_fits_them_all_and_with_several_those(invoke_fit: Invoke) -> None:
    every = json.loads(invoke_fit("--method", "all-token", "--json").stdout)
    assert [found["task"] for found in every["fits"]] == ["adding", "reading"]
    two = json.loads(
        invoke_fit(
            "--method", "all-token", "--task", "reading", "--task", "adding", "--json"
        ).stdout
    )
    assert [found["task"] for found in two["fits"]] == ["reading", "adding"]
    assert two["fits"][0]["fit"] == every["fits"][1]["fit"]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (
            "--steps 4 --seed 9 --members 2 --penalty 0.001 --activation softplus",
            {"algorithm": "fast", "steps": 4, "seed": 9, "members": 2, "penalty": 0.001,
             "activation": "softplus", "mask_first_token": False},
        ),
        (
            "--algorithm paper --steps 4 --seed 9 --learning-rate 0.03 --mask-first-token",
            {"algorithm": "paper", "steps": 4, "seed": 9, "learning_rate": 0.03,
             "mask_first_token": True},
        ),
        (
            "--method label-token --label per-byte --label-spans last",
            {"label": "per-byte", "label_spans": "last"},
        ),
    ],
)  # fmt: skip
def test_the_options_of_fit_reach_the_stored_settings(
    invoke: Invoke, tiny_lm: Path, world_db: Path, options: str, kept: dict[str, Any]
) -> None:
    where = ["--corpus", "words", "--split", "sides", "--task", "adding", "--scorer", tiny_lm]
    [found] = one_document(invoke("fit", *where, *options.split(), "--json").stdout)["fits"]
    with store.connect(world_db, read_only=True) as db:
        config = store.fit(db, found["fit"]).config
    assert config.items() >= kept.items()
    assert config["scorer"] == tiny_lm.name  # no path of this machine travels with a fit


@pytest.mark.parametrize("algorithm", ["fast", "paper"])
def test_steps_bound_both_algorithms(
    invoke: Invoke, tiny_lm: Path, world_db: Path, algorithm: str
) -> None:
    result = invoke(
        "fit", "--corpus", "words", "--split", "sides", "--task", "adding", "--scorer", tiny_lm,
        "--steps", "5", "--algorithm", algorithm, "--penalty", "1e-6", "--json",
    )  # fmt: skip
    [found] = one_document(result.stdout)["fits"]
    with store.connect(world_db, read_only=True) as db:
        assert store.fit(db, found["fit"]).trace[-1].step == 5


def test_the_text_table_has_a_header_and_one_line_a_fit_and_one_a_note(invoke_fit: Invoke) -> None:
    result = invoke_fit("--method", "all-token")
    header, adding, reading, *notes = result.stdout.splitlines()
    assert header.split()[:4] == ["task", "fit", "alpha", "beta"]
    assert adding.startswith("adding ")
    assert adding.endswith(" -")  # no count of items, so no noise floor
    assert reading.startswith("reading ")
    found = one_document(invoke_fit("--method", "all-token", "--json").stdout)["fits"]
    assert notes == [f"{one['task']}: {note}" for one in found for note in one["notes"]]
    notes = invoke_fit("--method", "all-token", "--refit", "train").stdout.splitlines()
    assert "adding: saturated: only 2 of 6 train models stand where the curve rises" in notes


def test_a_fast_fit_says_which_penalty_it_chose(invoke_fit: Invoke) -> None:
    lines = invoke_fit("--task", "adding", "--penalty", "1e-4").stdout.splitlines()
    assert "adding: pulled towards label-token, penalty 1e-04, chosen among 4" in lines
    [reading] = [
        line for line in invoke_fit("--task", "reading").stdout.splitlines() if "pulled" in line
    ]
    assert re.match(
        r"reading: pulled towards all-token(,| and no further,) .*chosen among ", reading
    )
    paper = invoke_fit("--task", "adding", "--algorithm", "paper").stdout
    assert "pulled" not in paper


def test_a_step_has_no_slope_in_the_table(invoke_fit: Invoke, world_db: Path) -> None:
    change(world_db, ALL_OR_NOTHING)
    result = invoke_fit("--method", "all-token", "--task", "reading")
    _, reading, note, *_ = result.stdout.splitlines()
    assert reading.split()[2] == "step"
    assert note.startswith("reading: step-like: no train model stands where the curve rises")


def test_compare_json_is_one_document_with_the_contracts_keys(
    invoke: Invoke, tiny_lm: Path
) -> None:
    result = invoke(
        "compare", "--corpus", "words", "--split", "sides", "--task", "adding",
        "--scorer", tiny_lm, "--steps", "3", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    document = one_document(result.stdout)
    assert document.keys() == {"rows"}
    assert {row["method"] for row in document["rows"]} == METHODS
    for row in document["rows"]:
        assert row.keys() >= ROW_KEYS
        assert row["task"] == "adding"
    errors = [row["test_mse"] for row in document["rows"]]
    assert errors == sorted(errors)


def test_compare_prints_a_table_best_first(invoke: Invoke, tiny_lm: Path) -> None:
    where = ["--corpus", "words", "--split", "sides", "--scorer", tiny_lm, "--steps", "3"]
    result = invoke("compare", *where, "--task", "adding", "--permutations", "4")
    header, *lines = result.stdout.splitlines()
    assert re.split(r"  +", header) == [
        "task", "method", "test MSE", "90 % CI", "difference to the stack (90 % CI)",
        "mean error (points)", "R2", "rank", "pairs", "covered", "floor",
    ]  # fmt: skip
    table = [line for line in lines if line.startswith("adding ")]
    cells = {line.split()[1]: re.split(r"  +", line) for line in table}
    assert cells.keys() == METHODS
    assert all(len(row) == 11 for row in cells.values())
    assert table[0].split()[1] == "label-token"
    assert cells["stack"][4] == "-"  # it is not above itself
    assert cells["best-constant"][7:10] == ["-", "0.50", "-"]
    assert float(cells["all-token"][2]) > 0.1
    rest = [line for line in lines if line.startswith("adding, ")]
    assert len(rest) + len(table) == len(lines)
    [p_value] = [line for line in rest if "permutation p-value" in line]
    assert re.fullmatch(r"adding, csv: permutation p-value \d\.\d{3}", p_value)
    assert any(line.startswith("adding, all-token: extrapolated: 1 of 3") for line in rest)


def test_leave_one_family_out_prints_a_column_a_family_and_the_median(
    invoke: Invoke, tiny_lm: Path
) -> None:
    where = ["--corpus", "words", "--scorer", tiny_lm, "--penalty", "1e-4", "--task", "reading"]
    result = invoke("leave-one-family-out", *where)
    assert result.exit_code == 0, result.output
    header, *lines = result.stdout.splitlines()
    assert re.split(r"  +", header) == [
        "task", "method", "without tame", "without wild", "median", "worst / all-token",
    ]  # fmt: skip
    cells = {line.split()[1]: line.split() for line in lines}
    assert {"csv", "all-token", "train-mean"} <= cells.keys() < METHODS
    assert cells["all-token"][5] == "1.00"
    tame, wild, median = (float(cell) for cell in cells["train-mean"][2:5])
    assert median == pytest.approx((tame + wild) / 2, rel=0.01)
    document = one_document(invoke("leave-one-family-out", *where, "--json").stdout)
    assert document.keys() == {"rows"}
    for row in document["rows"]:
        assert row.keys() >= ROW_KEYS | {"family", "split"}
        assert row["split"] == f"without-{row['family']}"
        assert cells[row["method"]][2 + (row["family"] == "wild")] == f"{row['test_mse']:.2e}"


@pytest.mark.parametrize("command", ["fit", "compare", "leave-one-family-out"])
def test_json_is_standard_even_where_figures_are_not_defined(
    invoke: Invoke, tiny_lm: Path, world_db: Path, command: str
) -> None:
    change(
        world_db,
        ALL_OR_NOTHING,
        "UPDATE accuracies SET accuracy = 0 WHERE model IN ('jay', 'kid', 'owl')",
        "UPDATE splits SET side = 'train' WHERE side = 'validation'",
    )
    where = ["--corpus", "words", "--scorer", tiny_lm, "--penalty", "1e-4", "--task", "reading"]
    split = [] if command == "leave-one-family-out" else ["--split", "sides"]
    result = invoke(command, *where, *split, "--json")
    assert result.exit_code == 0, result.output
    [(kind, rows)] = one_document(result.stdout).items()
    assert kind == ("fits" if command == "fit" else "rows")
    if command == "compare":
        assert {row["r2"] for row in rows} == {None}


def test_weights_are_the_contracts_columns_and_tile_every_document(
    invoke_fit: Invoke, invoke: Invoke, tmp_path: Path
) -> None:
    [found] = json.loads(invoke_fit("--task", "adding", "--json").stdout)["fits"]
    out = tmp_path / "weights.parquet"
    result = invoke("weights", "--fit", found["fit"], "--out", out)
    assert result.exit_code == 0
    assert f"tokens of {len(DOCS)} documents" in result.stdout
    table = pq.read_table(out)
    assert table.column_names == ["doc_id", "token_index", "byte_start", "byte_end", "weight"]
    rows = table.to_pylist()
    assert np.mean([abs(row["weight"]) for row in rows]) == pytest.approx(1.0, rel=1e-5)
    assert list(dict.fromkeys(row["doc_id"] for row in rows)) == [doc.doc_id for doc in DOCS]
    for doc in DOCS:
        own = [row for row in rows if row["doc_id"] == doc.doc_id]
        assert [row["token_index"] for row in own] == list(range(len(own)))
        assert own[0]["byte_start"] == 0
        assert own[-1]["byte_end"] == len(doc.text.encode())
        assert [row["byte_start"] for row in own[1:]] == [row["byte_end"] for row in own[:-1]]


def test_fits_lists_what_is_stored(invoke: Invoke, invoke_fit: Invoke) -> None:
    assert invoke("fits").stdout == "no fits yet; make some with csvcore fit\n"
    [found] = json.loads(invoke_fit("--task", "adding", "--json").stdout)["fits"]
    shown = invoke("fits").stdout
    assert found["fit"] in shown
    assert f"  {found['mse']['train']:.2e} " in shown
