"""The samples of lm-evaluation-harness: the harness's own files, and what its folder may lack."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats import lm_eval, lm_eval_samples
from csvcore.formats.lm_eval_samples import Samples
from csvcore.pipeline import imports
from csvcore.records import Task
from tests.support import evaluated
from tests.support.evaluated import MODELS, stored
from tests.support.world import contents

FIXTURES = Path(__file__).parents[2] / "fixtures" / "lm-eval"
METRICS = ["acc", "exact_match,strict-match"]
CHOICES = [Task("choices", 0.25)]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return evaluated.made(tmp_path / "results.duckdb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One model's folder of the harness, to be changed."""
    return Path(shutil.copytree(FIXTURES / "models__ebb-s", tmp_path / "models__ebb-s"))


def n_items(database: Path) -> dict[tuple[str, str], int]:
    counted: dict[tuple[str, str], int] = {}
    for model, task, _, _ in contents(database)["item_results"]:
        counted[model, task] = counted.get((model, task), 0) + 1
    return counted


def change(file: Path, edit: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Edit the lines of a file of samples in place."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    edit(lines)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def of(folder: Path, task: str, metric: str) -> Samples | None:
    [file] = folder.glob("results*.json")
    [result] = [r for r in lm_eval.read_results(file) if (r.task, r.metric) == (task, metric)]
    return lm_eval_samples.read(result)


def test_samples_beside_the_results_are_imported_with_the_accuracies(database: Path) -> None:
    said = imports.import_accuracies(database, [FIXTURES], "lm-eval", METRICS)
    assert said.startswith("9 accuracies and 420 item results: facts by acc")
    sizes = {"facts": 60, "scenes": 60, "arithmetic": 20}
    assert n_items(database) == {(m, t): n for m in MODELS for t, n in sizes.items()}
    found = stored(database)
    with store.connect(database, read_only=True) as db:
        for (model, task), (accuracy, n) in found.items():
            mean, count = db.execute(
                "SELECT avg(correct), count(*) FROM item_results WHERE model = ? AND task = ?",
                [model, task],
            ).fetchall()[0]
            assert accuracy == pytest.approx(mean, abs=1e-12)
            assert n == count


def test_a_second_import_changes_nothing(database: Path) -> None:
    imports.import_accuracies(database, [FIXTURES], "lm-eval", METRICS)
    before = contents(database)
    said = imports.import_accuracies(database, [FIXTURES], "lm-eval", METRICS)
    assert said.startswith("9 accuracies and 0 item results")
    assert contents(database) == before


def test_a_group_has_the_items_of_its_tasks_and_their_number(database: Path) -> None:
    imports.import_accuracies(
        database, [FIXTURES], "lm-eval", METRICS, {"choices": "choices"}, None, CHOICES
    )
    found = stored(database)
    assert {key: n for key, (_, n) in found.items()} == {(m, "choices"): 120 for m in MODELS}
    items = {row[2] for row in contents(database)["item_results"]}
    assert {"facts/0", "scenes/59"} <= items
    assert len(items) == 120


def test_a_group_without_samples_still_counts_the_items_of_its_tasks(
    database: Path, folder: Path
) -> None:
    for file in folder.glob("samples*"):
        file.unlink()
    said = imports.import_accuracies(
        database, [folder], "lm-eval", METRICS, {"choices": "choices"}, None, CHOICES
    )
    assert "item results" not in said
    assert stored(database)["ebb-s", "choices"][1] == 120  # the standard error says otherwise


def test_groups_in_groups_have_each_task_once() -> None:
    groups = {"all": ["a", "b"], "a": ["x", "y"], "b": ["y", "b"], "c": ["z"]}
    assert list(lm_eval._members("all", groups)) == ["x", "y"]
    assert list(lm_eval._members("x", groups)) == ["x"]


def test_the_filter_of_the_metric_chooses_the_samples(folder: Path) -> None:
    [file] = folder.glob("samples_arithmetic*")
    loose = [json.loads(line) for line in file.read_text().splitlines()]
    for name in ("strict-match", "flexible-extract"):
        samples = of(folder, "arithmetic", f"exact_match,{name}")
        assert samples is not None
        expected = [row["exact_match"] for row in loose if row["filter"] == name]
        assert samples.correct == tuple(expected)
        assert len(expected) == 20


def test_a_mean_of_tasks_has_the_number_of_its_items_and_no_item_results(
    database: Path, folder: Path
) -> None:
    [file] = folder.glob("results*.json")
    raw = json.loads(file.read_text())
    raw["results"]["choices"]["acc,none"] = 0.4
    file.write_text(json.dumps(raw))
    said = imports.import_accuracies(
        database, [folder], "lm-eval", METRICS, {"choices": "choices"}, None, CHOICES
    )
    assert said.endswith("no items of choices: acc is not the mean of its samples")
    assert stored(database) == {("ebb-s", "choices"): (0.4, 120)}
    assert n_items(database) == {}


def test_a_lost_line_or_two_results_of_an_item_are_refused(database: Path, folder: Path) -> None:
    [file] = folder.glob("samples_facts*")
    whole = file.read_text()
    change(file, lambda lines: lines.pop())
    with pytest.raises(InputError, match="is of 60 items, the samples beside it have 59; copy"):
        imports.import_accuracies(database, [folder], "lm-eval", METRICS)
    file.write_text(whole)
    change(file, lambda lines: lines.append(lines[0] | {"acc": 1 - lines[0]["acc"]}))
    with pytest.raises(InputError, match="has item 0 twice with different results"):
        imports.import_accuracies(database, [folder], "lm-eval", METRICS)
    assert contents(database)["accuracies"] == []


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("{", r"samples_facts.* line 61 is not JSON"),
        ("[1]", r"line 61 is no sample of lm-evaluation-harness, it has no doc_id"),
        ('{"doc_id": -1, "acc": 1}', "doc_id"),
        ('{"doc_id": "x", "acc": 1}', "doc_id"),
    ],
)
def test_a_line_that_is_no_sample_is_refused(folder: Path, line: str, refusal: str) -> None:
    [file] = folder.glob("samples_facts*")
    file.write_text(file.read_text() + line)
    with pytest.raises(InputError, match=refusal):
        of(folder, "facts", "acc")


@pytest.mark.parametrize("value", [None, "yes", [1, 2], 3.0, float("nan")])
def test_a_metric_without_a_value_for_each_item_gives_no_items(folder: Path, value: Any) -> None:
    [file] = folder.glob("samples_facts*")
    change(file, lambda lines: lines[3].update(acc=value))
    samples = of(folder, "facts", "acc")
    assert samples is not None
    assert samples.why_not == f"{file.name} has no acc of item 3"
    assert samples.items == ()


def test_truth_values_are_results(folder: Path) -> None:
    [file] = folder.glob("samples_facts*")
    before = of(folder, "facts", "acc")
    change(file, lambda lines: [line.update(acc=bool(line["acc"])) for line in lines])
    assert of(folder, "facts", "acc") == before


def test_items_that_differ_between_models_are_told(database: Path, tmp_path: Path) -> None:
    whole = Path(shutil.copytree(FIXTURES, tmp_path / "runs"))
    [file] = (whole / "models__ebb-l").glob("samples_facts*")
    change(file, lambda lines: lines[0].update(doc_hash="other"))
    said = imports.import_accuracies(database, [whole], "lm-eval", METRICS)
    assert said.endswith("; items of facts with the same number differ between models")


def test_a_task_named_like_a_path_finds_no_file(tmp_path: Path) -> None:
    (tmp_path / "samples_x_1.jsonl").write_text("")
    result = lm_eval.Result(
        "m", "t", "acc", 0.5, None, "r", tmp_path / "in" / "results_1.json", ("/../../samples_x",)
    )
    assert lm_eval_samples.read(result) is None
