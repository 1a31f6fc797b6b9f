import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from csvcore import cli, store
from csvcore.errors import InputError
from csvcore.formats import csv_tables, evaluations, lm_eval
from csvcore.formats.evaluations import Result
from csvcore.pipeline import imports
from csvcore.records import Accuracy, Task
from tests.support import evaluated
from tests.support.evaluated import MODELS, TASKS, stored
from tests.support.world import contents

FIXTURES = Path(__file__).parents[2] / "fixtures"
LM_EVAL, OPENCOMPASS = FIXTURES / "lm-eval", FIXTURES / "opencompass"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return evaluated.made(tmp_path / "results.duckdb")


@pytest.fixture
def names(write: Callable[..., Path]) -> Path:
    """What OpenCompass calls one of them."""
    return write("names.csv", "name,model\nebb-s-hf,ebb-s\n")


def a_run(results_: dict[str, Any], **more: Any) -> str:
    return json.dumps({"results": results_, "model_name": "ebb-xs", **more})


# lm-evaluation-harness


def test_a_folder_of_the_harness_gives_every_models_accuracy_and_number_of_items(
    database: Path,
) -> None:
    said = imports.import_accuracies(
        database, [LM_EVAL], "lm-eval", ["acc", "exact_match,strict-match"]
    )
    found = stored(database)
    assert found["ebb-xs", "facts"] == (pytest.approx(8 / 60), 60)
    assert found["ebb-s", "arithmetic"] == (0.1, 20)
    assert set(found) == {(model, task) for model in MODELS for task in TASKS}
    assert "facts by acc," in said
    assert "arithmetic by exact_match,strict-match" in said
    assert said.endswith("left aside: choices")  # the group is not a stored task


def test_acc_norm_is_taken_before_acc_unless_told(database: Path) -> None:
    run = evaluations.read([LM_EVAL / "models__ebb-xs"], "lm-eval")
    own = [r for r in run if r.task == "facts"]
    assert {r.metric: r.value for r in own} == {"acc": pytest.approx(8 / 60), "acc_norm": 0.1}
    for metrics, value in ((evaluations.METRICS["lm-eval"], 0.1), (("acc", "acc_norm"), 8 / 60)):
        [entry] = evaluations.chosen(own, {"facts": "quiz"}, metrics).accuracies
        assert entry == Accuracy("models/ebb-xs", "quiz", pytest.approx(value), 60)


def test_the_standard_error_alone_tells_how_many_items_there_were() -> None:
    [file] = (LM_EVAL / "models__ebb-l").glob("*.json")
    raw = json.loads(file.read_text(encoding="utf-8"))
    checked = 0
    for task, size in raw["n-samples"].items():
        for key, value in raw["results"][task].items():
            if "," in key and "_stderr" not in key:
                error = raw["results"][task][key.replace(",", "_stderr,")]
                if 0 < value < 1:
                    assert lm_eval.n_items_of(value, error) == size["effective"]
                    checked += 1
    assert checked >= 3


@pytest.mark.parametrize("error", ["N/A", None, 0.0, float("nan"), True])
def test_a_standard_error_that_tells_nothing_gives_no_number_of_items(error: Any) -> None:
    assert lm_eval.n_items_of(0.5, error) is None


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_all_right_or_all_wrong_gives_no_number_of_items(accuracy: float) -> None:
    assert lm_eval.n_items_of(accuracy, 1e-9) is None


def test_files_of_older_versions_have_no_filters_and_no_sizes(write: Callable[..., Path]) -> None:
    row = {"acc": 0.5, "acc_stderr": (0.25 / 99) ** 0.5, "ppl": 17.0}
    config = {"model_args": "pretrained=org/pythia,revision=step1000,dtype=float16"}
    file = write("results.json", json.dumps({"results": {"arc": row}, "config": config}))
    found = evaluations.chosen(evaluations.read([file], "lm-eval"), {"arc": "arc"}, ["acc"])
    assert found.accuracies == [Accuracy("org/pythia@step1000", "arc", 0.5, 100)]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("pretrained=org/ebb-xs,revision=main", "org/ebb-xs"),
        ("pretrained=org/ebb-xs,peft=me/lora", "org/ebb-xs@me/lora"),
        ("pretrained=org/ebb-xs,delta=me/ebb-s", "org/ebb-xs@me/ebb-s"),
        ({"pretrained": "org/ebb-xs", "subfolder": "a", "revision": "s1"}, "org/ebb-xs@s1@a"),
    ],
)
def test_what_a_model_was_loaded_with_is_part_of_its_name(
    write: Callable[..., Path], given: Any, name: str
) -> None:
    raw = {"results": {"facts": {"acc": 0.5}}, "config": {"model_args": given}}
    [found] = evaluations.read([write("results.json", json.dumps(raw))], "lm-eval")
    assert found.model == name
    is_stored = name == "org/ebb-xs"
    if not is_stored:
        with pytest.raises(InputError, match=f"the model '{name}', which is not stored"):
            evaluations.matched(entries(name), {}, MODELS)


def test_a_metric_may_be_said_for_one_task_alone(
    database: Path, write: Callable[..., Path]
) -> None:
    two = {"exact_match,strict": 0.25, "exact_match,flexible": 0.5}
    file = write("results_1.json", a_run({"facts": {"acc,none": 0.75}, "arithmetic": two}))
    place = ["--db", str(database), "import", "accuracies", str(file), "--format", "lm-eval"]
    refused = CliRunner().invoke(cli.main, place)
    assert "results_1.json, arithmetic has exact_match,strict and" in refused.stderr
    assert "say which with --metric arithmetic=exact_match,strict, or the other" in refused.stderr
    done = CliRunner().invoke(cli.main, [*place, "--metric", "arithmetic=exact_match,strict"])
    assert "facts by acc, arithmetic by exact_match,strict" in done.output
    assert stored(database) == {
        ("ebb-xs", "facts"): (0.75, None),
        ("ebb-xs", "arithmetic"): (0.25, None),
    }


@pytest.mark.parametrize(
    ("word", "refusal"),
    [
        ("fact=acc", "--metric names the task 'fact', which is not one to import; those are arith"),
        ("facts=", "a metric is given as METRIC or TASK=METRIC, got 'facts='"),
        ("facts=f1", "none of f1; choose one with --metric, as --metric facts=acc"),
    ],
)
def test_a_metric_that_cannot_be_taken_is_refused(
    database: Path, write: Callable[..., Path], word: str, refusal: str
) -> None:
    file = write("results_1.json", a_run({"facts": {"acc,none": 0.75}}))
    with pytest.raises(InputError, match=refusal):
        imports.import_accuracies(database, [file], "lm-eval", [word])


def test_a_bad_file_in_a_tree_is_named_with_its_folder(database: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "runs" / folder).mkdir(parents=True)
        (tmp_path / "runs" / folder / "results_1.json").write_text(a_run({}), encoding="utf-8")
    (tmp_path / "runs" / "b" / "results_1.json").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"runs.b.results_1\.json is not UTF-8 text"):
        imports.import_accuracies(database, [tmp_path / "runs"], "lm-eval")
    (tmp_path / "runs" / "b" / "results_1.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=r"runs.b.results_1\.json is not a result file"):
        imports.import_accuracies(database, [tmp_path / "runs"], "lm-eval")


def test_two_filters_of_one_metric_are_refused_until_one_is_named(database: Path) -> None:
    with pytest.raises(
        InputError, match="strict-match and exact_match,flexible-extract; say which with --metric"
    ):
        imports.import_accuracies(database, [LM_EVAL], "lm-eval")
    assert stored(database) == {}


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        ("[]", "is not a result file of lm-evaluation-harness"),
        ("{", r"\.json is not JSON: "),
        ("[]", "is not a result file of lm-evaluation-harness"),
        ('{"results": {}}', "is not a result file of lm-evaluation-harness"),
        (a_run({"facts": {"ppl,none": 12.0}}), "facts has ppl, none of acc_norm, acc"),
        (a_run({"facts": {"acc,none": 91.7}}), "facts by acc: accuracy 91.7 is above 1"),
        (a_run({"facts": {"acc,none": float("nan")}}), "facts by acc: accuracy must be finite"),
        (a_run({"riddles": {"acc,none": 0.5}}), "results on riddles, .*--chance TASK=LEVEL"),
    ],
)
def test_result_files_that_do_not_say_it_are_refused(
    database: Path, write: Callable[..., Path], content: str, refusal: str
) -> None:
    before = contents(database)
    with pytest.raises(InputError, match=refusal):
        imports.import_accuracies(database, [write("results_1.json", content)], "lm-eval")
    assert contents(database) == before


def test_a_folder_without_results_is_refused(database: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no results\*\.json in "):
        imports.import_accuracies(database, [tmp_path], "lm-eval")


def test_two_runs_of_a_model_that_differ_are_refused(
    database: Path, write: Callable[..., Path]
) -> None:
    one, two = (
        write(f"results_{i}.json", a_run({"facts": {"acc,none": 0.5 + i / 10}})) for i in (0, 1)
    )
    with pytest.raises(InputError, match="ebb-xs on facts stands there twice"):
        imports.import_accuracies(database, [one, two], "lm-eval")


# OpenCompass


def test_a_summary_of_opencompass_is_percent(database: Path, names: Path) -> None:
    said = imports.import_accuracies(database, [OPENCOMPASS], "opencompass", names=names)
    found = stored(database)
    assert found["ebb-xs", "facts"] == (pytest.approx(0.9167), None)
    assert found["ebb-s", "arithmetic"] == (pytest.approx(0.25), None)
    assert ("ebb-l", "scenes") not in found  # a dash is no result, and never 0
    assert len(found) == 8
    assert "arithmetic by score" in said
    assert said.endswith("left aside: choices")


def test_a_task_of_another_name_is_taken_where_it_is_named(database: Path, names: Path) -> None:
    tasks = {"choices": "facts"}
    imports.import_accuracies(
        database, [OPENCOMPASS], "opencompass", ["naive_average"], tasks, names
    )
    assert stored(database) == {
        ("ebb-xs", "facts"): (pytest.approx(0.7667), None),
        ("ebb-s", "facts"): (0.75, None),
    }


def test_a_task_that_was_asked_for_and_is_not_there_is_refused(database: Path, names: Path) -> None:
    with pytest.raises(InputError, match="no result on riddles, but on arithmetic, choices, facts"):
        imports.import_accuracies(
            database, [OPENCOMPASS], "opencompass", (), {"riddles": "facts"}, names
        )


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        ("model,facts\nebb-xs,0.5\n", "must begin with dataset,version,metric,mode"),
        ("dataset,version,metric,mode,ebb-xs\nfacts,a,accuracy,gen,0.9\n", "look like fractions"),
        ("dataset,version,metric,mode,ebb-xs\nfacts,a,accuracy,gen\n", "does not have 5 fields"),
        ("dataset,version,metric,mode,ebb-xs\nfacts,a,accuracy,gen,x\n", "must be a number"),
        ("dataset,version,metric,mode,ebb-xs\nfacts,a,score,gen,250\n", "accuracy 2.5 is above 1"),
    ],
)
def test_summaries_that_do_not_say_it_are_refused(
    database: Path, write: Callable[..., Path], content: str, refusal: str
) -> None:
    with pytest.raises(InputError, match=refusal):
        imports.import_accuracies(database, [write("s.csv", content)], "opencompass")
    assert stored(database) == {}


# Names


def entries(*models: str) -> list[Accuracy]:
    return [Accuracy(model, "facts", 0.5) for model in models]


def test_models_are_known_by_their_own_name_or_the_last_part_of_it_or_as_told() -> None:
    given = entries("ebb-xs", "runs/ebb-s/", "org/ebb-l", "x", "not-wanted")
    told = {"x": "ebb-m", "not-wanted": "-"}
    found = evaluations.matched(given, told, {*MODELS, "ebb-m"})
    assert [entry.model for entry in found] == ["ebb-xs", "ebb-s", "ebb-l", "ebb-m"]


def test_models_of_no_stored_name_are_all_listed() -> None:
    with pytest.raises(InputError, match=r"2 models that are not stored: 'b', 'c' \(as 'z'\);.*-"):
        evaluations.matched(entries("a", "b", "c"), {"c": "z"}, {"a"})


def test_two_names_that_become_one_model_must_agree() -> None:
    two = [Accuracy("a", "facts", 0.5), Accuracy("x/a", "facts", 0.6)]
    with pytest.raises(InputError, match="x/a as a: a on facts stands there twice"):
        evaluations.matched(two, {}, {"a"})
    assert len(evaluations.matched([two[0], Accuracy("x/a", "facts", 0.5)], {}, {"a"})) == 1


def test_a_names_file_must_not_contradict_itself(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="'x' is both 'a' and 'b'"):
        evaluations.read_names(write("names.csv", "name,model\nx,a\nx,b\n"))


def test_unmatched_models_of_a_summary_import_nothing(database: Path) -> None:
    with pytest.raises(InputError, match=r"the model 'ebb-s-hf', which is not stored.*--names"):
        imports.import_accuracies(database, [OPENCOMPASS], "opencompass")
    assert stored(database) == {}


def test_no_metric_at_all_names_what_there_is() -> None:
    one = Result("m", "facts", "f1", 0.5, None, "here")
    with pytest.raises(InputError, match="here has f1, none of acc; choose one with --metric"):
        evaluations.chosen([one], {"facts": "facts"}, ["acc"])


# Tasks that come along with their accuracies


def test_a_new_task_is_stored_with_its_chance_level(
    database: Path, write: Callable[..., Path]
) -> None:
    file = write("results_1.json", a_run({"riddles": {"acc,none": 0.5}}))
    place = ["--db", str(database), "import", "accuracies", str(file), "--format", "lm-eval"]
    done = CliRunner().invoke(cli.main, [*place, "--chance", "riddles=0.25"])
    assert done.exit_code == 0, done.output
    with store.connect(database, read_only=True) as db:
        before = store.tasks(db)
    assert Task("riddles", 0.25) in before
    assert stored(database)["ebb-xs", "riddles"][0] == 0.5
    again = CliRunner().invoke(cli.main, [*place, "--chance", "riddles=0.25"])
    assert again.exit_code == 0, again.output
    other = CliRunner().invoke(cli.main, [*place, "--chance", "riddles=0.5"])
    assert other.exit_code == 1
    assert "riddles is stored with the chance level 0.25, not 0.5" in other.stderr
    with store.connect(database, read_only=True) as db:
        assert store.tasks(db) == before


@pytest.mark.parametrize(
    ("word", "refusal"),
    [
        ("riddles", "a chance level is given as TASK=LEVEL, got 'riddles'"),
        ("riddles=1", r"riddles: chance is a fraction in \[0, 1\), got 1"),
        ("riddles=much", "riddles: chance must be a number, got 'much'"),
    ],
)
def test_a_chance_level_that_is_none_is_refused(word: str, refusal: str) -> None:
    with pytest.raises(InputError, match=refusal):
        csv_tables.chance_levels([word])


def test_a_refused_import_leaves_no_new_task(database: Path, write: Callable[..., Path]) -> None:
    before = contents(database)
    file = write("results_1.json", a_run({"riddles": {"acc,none": 0.5}}, model_name="nobody"))
    with pytest.raises(InputError, match="'nobody', which is not stored"):
        imports.import_accuracies(database, [file], "lm-eval", new_tasks=[Task("riddles", 0.25)])
    assert contents(database) == before
