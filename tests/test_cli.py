import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from helpers import (
    DOCS,
    PACK,
    SIDES,
    World,
    change,
    contents,
    pack_rows,
    write_accuracies,
    write_pack,
)
from tqdm import tqdm

from csvcore import cli, pipeline, store
from csvcore.pipeline import importing
from csvcore.records import Accuracy

FIT_KEYS = {
    "fit", "task", "method", "alpha", "beta", "gamma", "steps", "seconds", "n_models", "mse",
    "noise_floor", "predictions", "left_out", "notes", "choice",
}  # fmt: skip
PREDICTION_KEYS = {"model", "split", "score", "accuracy", "predicted", "low", "high"}
ROW_KEYS = {
    "task", "method", "test_mse", "test_mae", "r2", "spearman", "pairwise", "noise_floor", "low",
    "high", "difference", "difference_low", "difference_high", "covered", "n_test", "fit",
    "p_value", "notes",
}  # fmt: skip
METHODS = {
    "csv", "all-token", "label-token", "source-token", "best-source",
    "train-mean", "sibling", "compute", "best-constant",
}  # fmt: skip
Csvcore = Callable[..., Result]


@pytest.fixture
def fit(csvcore: Csvcore, tiny_lm: Path) -> Csvcore:
    """`csvcore fit` with few steps and the tiny scorer."""

    def run(*arguments: object) -> Result:
        where = ["--corpus", "words", "--split", "sides", "--scorer", tiny_lm, "--steps", "3"]
        return csvcore("fit", *where, *arguments)

    return run


def one_document(text: str) -> Any:
    """Standard JSON, which knows no NaN and no Infinity, and nothing else."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def check_refusal(result: Result, message: str) -> None:
    """Exit status 1, nothing on standard output, one line on standard error."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("csvcore: ")
    assert re.search(message, line), line
    assert "Traceback" not in result.output


# init and import


def test_the_whole_way_from_files_to_a_comparison(
    tmp_path: Path, world_files: Path, tiny_lm: Path, csvcore: Csvcore
) -> None:
    db = tmp_path / "new.duckdb"
    for arguments in (
        ["init"],
        ["import", "corpus", world_files / "documents.jsonl", "--name", "words"],
        ["import", "models", world_files / "models.csv"],
        ["import", "tasks", world_files / "tasks.csv"],
        ["import", "accuracies", world_files / "accuracies.csv"],
        ["import", "split", world_files / "splits" / "sides.csv", "--name", "sides"],
        ["import", "losses", world_files / PACK],
        ["compare", "--corpus", "words", "--split", "sides", "--scorer", tiny_lm, "--steps", "2"],
        ["fits"],
    ):
        result = csvcore(*arguments, db=db)
        assert result.exit_code == 0, result.output
        assert result.stdout.endswith("\n")
        assert result.stderr == ""  # bars are for terminals
    assert "reading-all-token-" in result.stdout


def test_init_twice_is_fine(tmp_path: Path, csvcore: Csvcore) -> None:
    db = tmp_path / "new.duckdb"
    first, second = csvcore("init", db=db), csvcore("init", db=db)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "new.duckdb made; next: csvcore import corpus FILE --name NAME" in first.stdout
    assert "new.duckdb was there" in second.stdout


def test_init_zoo_loads_the_bundled_measurements_once(
    tmp_path: Path, csvcore: Csvcore, world_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "ZOO", world_files)
    db = tmp_path / "new.duckdb"
    assert "the bundled zoo loaded: 11 models" in csvcore("init", "--zoo", db=db).stdout
    before = contents(db)
    assert csvcore("init", "--zoo", db=db).exit_code == 0
    assert contents(db) == before


def test_the_database_is_csvcore_duckdb_in_the_working_directory_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli.main, ["init"]).exit_code == 0
    assert (tmp_path / "csvcore.duckdb").is_file()


# fit, compare, weights, fits, collect


@pytest.mark.parametrize(
    "method", ["csv", "all-token", "label-token", "source-token", "best-source"]
)
def test_fit_json_is_one_document_with_the_contracts_keys(
    fit: Csvcore, world: World, method: str
) -> None:
    result = fit("--task", "adding", "--method", method, "--json")
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


def test_fit_without_a_task_fits_them_all_and_with_several_those(fit: Csvcore) -> None:
    every = json.loads(fit("--method", "all-token", "--json").stdout)
    assert [found["task"] for found in every["fits"]] == ["adding", "reading"]
    two = json.loads(
        fit("--method", "all-token", "--task", "reading", "--task", "adding", "--json").stdout
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
    csvcore: Csvcore, tiny_lm: Path, world_db: Path, options: str, kept: dict[str, Any]
) -> None:
    where = ["--corpus", "words", "--split", "sides", "--task", "adding", "--scorer", tiny_lm]
    [found] = one_document(csvcore("fit", *where, *options.split(), "--json").stdout)["fits"]
    with store.connect(world_db, read_only=True) as db:
        config = store.fit(db, found["fit"]).config
    assert config.items() >= kept.items()
    assert config["scorer"] == tiny_lm.name  # no path of this machine travels with a fit


@pytest.mark.parametrize("algorithm", ["fast", "paper"])
def test_steps_bound_both_algorithms(
    csvcore: Csvcore, tiny_lm: Path, world_db: Path, algorithm: str
) -> None:
    result = csvcore(
        "fit", "--corpus", "words", "--split", "sides", "--task", "adding", "--scorer", tiny_lm,
        "--steps", "5", "--algorithm", algorithm, "--penalty", "1e-6", "--json",
    )  # fmt: skip
    [found] = one_document(result.stdout)["fits"]
    with store.connect(world_db, read_only=True) as db:
        assert store.fit(db, found["fit"]).trace[-1].step == 5


def test_the_text_table_has_a_header_and_one_line_a_fit_and_one_a_note(fit: Csvcore) -> None:
    result = fit("--method", "all-token")
    header, adding, reading, *notes = result.stdout.splitlines()
    assert header.split()[:4] == ["task", "fit", "alpha", "beta"]
    assert adding.startswith("adding ")
    assert adding.endswith(" -")  # no count of items, so no noise floor
    assert reading.startswith("reading ")
    found = one_document(fit("--method", "all-token", "--json").stdout)["fits"]
    assert notes == [f"{one['task']}: {note}" for one in found for note in one["notes"]]
    assert "adding: saturated: only 2 of 6 train models stand where the curve rises" in notes


def test_a_fast_fit_says_which_penalty_it_chose(fit: Csvcore) -> None:
    lines = fit("--task", "adding", "--penalty", "1e-4").stdout.splitlines()
    assert "adding: pulled towards label-token, penalty 1e-04, chosen among 3" in lines
    [reading] = [line for line in fit("--task", "reading").stdout.splitlines() if "pulled" in line]
    assert re.match(
        r"reading: pulled towards all-token(,| and no further,) .*chosen among ", reading
    )
    paper = fit("--task", "adding", "--algorithm", "paper").stdout
    assert "pulled" not in paper


def test_a_step_has_no_slope_in_the_table(fit: Csvcore, world_db: Path) -> None:
    change(
        world_db,
        "UPDATE accuracies SET accuracy = CASE WHEN accuracy > 0.5 THEN 1 ELSE 0 END"
        " WHERE task = 'reading'",
    )
    result = fit("--method", "all-token", "--task", "reading")
    _, reading, note, *_ = result.stdout.splitlines()
    assert reading.split()[2] == "step"
    assert note.startswith("reading: step-like: no train model stands where the curve rises")


def test_compare_json_is_one_document_with_the_contracts_keys(
    csvcore: Csvcore, tiny_lm: Path
) -> None:
    result = csvcore(
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


def test_compare_prints_a_table_best_first(csvcore: Csvcore, tiny_lm: Path) -> None:
    where = ["--corpus", "words", "--split", "sides", "--scorer", tiny_lm, "--steps", "3"]
    result = csvcore("compare", *where, "--task", "adding", "--permutations", "4")
    header, *lines = result.stdout.splitlines()
    assert re.split(r"  +", header) == [
        "task", "method", "test MSE", "90 %", "above csv by", "points off", "R2", "rank", "pairs",
        "covered", "floor",
    ]  # fmt: skip
    table = [line for line in lines if line.startswith("adding ")]
    cells = {line.split()[1]: re.split(r"  +", line) for line in table}
    assert cells.keys() == METHODS
    assert all(len(row) == 11 for row in cells.values())
    assert table[0].split()[1] == "label-token"
    assert cells["csv"][4] == "-"  # it is not above itself
    assert cells["best-constant"][7:10] == ["-", "0.50", "-"]
    assert float(cells["all-token"][2]) > 0.1
    rest = [line for line in lines if line.startswith("adding, ")]
    assert len(rest) + len(table) == len(lines)
    [p_value] = [line for line in rest if "permutation p-value" in line]
    assert re.fullmatch(r"adding, csv: permutation p-value \d\.\d{3}", p_value)
    assert any(line.startswith("adding, all-token: saturated: only 2 of 6") for line in rest)


def test_leave_one_family_out_prints_a_column_a_family_and_the_median(
    csvcore: Csvcore, tiny_lm: Path
) -> None:
    where = ["--corpus", "words", "--scorer", tiny_lm, "--penalty", "1e-4", "--task", "reading"]
    result = csvcore("leave-one-family-out", *where)
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
    document = one_document(csvcore("leave-one-family-out", *where, "--json").stdout)
    assert document.keys() == {"rows"}
    for row in document["rows"]:
        assert row.keys() >= ROW_KEYS | {"family", "split"}
        assert row["split"] == f"without-{row['family']}"
        assert cells[row["method"]][2 + (row["family"] == "wild")] == f"{row['test_mse']:.2e}"


@pytest.mark.parametrize("command", ["fit", "compare", "leave-one-family-out"])
def test_json_is_standard_even_where_figures_are_not_defined(
    csvcore: Csvcore, tiny_lm: Path, world_db: Path, command: str
) -> None:
    change(
        world_db,
        "UPDATE accuracies SET accuracy = CASE WHEN accuracy > 0.5 THEN 1 ELSE 0 END"
        " WHERE task = 'reading'",
        "UPDATE accuracies SET accuracy = 0 WHERE model IN ('jay', 'kid', 'owl')",
        "UPDATE splits SET side = 'train' WHERE side = 'validation'",
    )
    where = ["--corpus", "words", "--scorer", tiny_lm, "--penalty", "1e-4", "--task", "reading"]
    split = [] if command == "leave-one-family-out" else ["--split", "sides"]
    result = csvcore(command, *where, *split, "--json")
    assert result.exit_code == 0, result.output
    [(kind, rows)] = one_document(result.stdout).items()
    assert kind == ("fits" if command == "fit" else "rows")
    if command == "compare":
        assert {row["r2"] for row in rows} == {None}


def test_weights_are_the_contracts_columns_and_tile_every_document(
    fit: Csvcore, csvcore: Csvcore, tmp_path: Path
) -> None:
    [found] = json.loads(fit("--task", "adding", "--json").stdout)["fits"]
    out = tmp_path / "weights.parquet"
    result = csvcore("weights", "--fit", found["fit"], "--out", out)
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


def test_fits_lists_what_is_stored(csvcore: Csvcore, fit: Csvcore) -> None:
    assert csvcore("fits").stdout == "no fits yet; make some with csvcore fit\n"
    [found] = json.loads(fit("--task", "adding", "--json").stdout)["fits"]
    assert found["fit"] in csvcore("fits").stdout


# Refusals


@pytest.fixture(scope="module")
def refusing(
    _world_made: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A database that refuses whatever it is told here, and what stands in it."""
    folder = shutil.copytree(_world_made, tmp_path_factory.mktemp("cli") / "db")
    return folder / "world.duckdb", contents(folder / "world.duckdb")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, world: World) -> Path:
    """Files that must be refused."""
    folder = tmp_path_factory.mktemp("files")
    write_accuracies(folder / "percent.csv", [Accuracy("ant", "reading", 57.3)])
    (folder / "notes.txt").write_text("these are my notes\n" * 500)
    rows = pack_rows(world, ["ant"])
    write_pack(folder / "twice.parquet", rows)
    rows[0]["nll"][0] = -1.0
    write_pack(folder / "negative.parquet", rows)
    (folder / "model").mkdir()
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("import accuracies {files}/percent.csv", r"percent\.csv line 2: accuracy 57\.3"),
        ("import accuracies {files}/nowhere.csv", r"there is no file .*nowhere\.csv"),
        ("import losses {files}/twice.parquet", "are stored already"),
        ("import losses {files}/negative.parquet", r"nll of token 0 of sum-1 by ant is -1;"),
        ("import losses {files}/notes.txt", r"notes\.txt is not a Parquet file"),
        ("import corpus {files}/notes.txt --name x", r"notes\.txt line 1 is not JSON"),
        ("import models {files}/notes.txt", r"notes\.txt lacks the column model, family"),
        ("import split {files}/percent.csv --name x", "lacks the column split"),
        ("fit --corpus wrods --split sides", "there is no corpus 'wrods'; stored: words"),
        ("fit --corpus words --split sdies", "there is no split 'sdies'; stored: sides"),
        ("fit --corpus words --split sides --task riding --scorer {lm}", "no task 'riding'"),
        ("fit --corpus words --split sides --scorer {files}/nowhere", "there is no folder"),
        ("fit --corpus words --split sides --scorer {files}/model", r"no \.safetensors"),
        ("compare --corpus words --split sides --task riding --scorer {lm}", "no task 'riding'"),
        (
            "fit --corpus words --split sides --task adding --scorer {lm} --method label-token "
            "--label-spans letter",
            r"no answer spans \(letter\) in the documents of sums",
        ),
        ("leave-one-family-out --corpus wrods", "there is no corpus 'wrods'; stored: words"),
        ("weights --fit nothing --out {files}/w.parquet", "there is no fit 'nothing'"),
        ("collect {lm} --corpus wrods", "there is no corpus 'wrods'"),
        ("collect {lm} --corpus words --dtype int3", "dtype must be one of"),
        ("collect {lm} {lm} --corpus words", "two of the models are called tiny-gpt2"),
        ("collect {lm} --corpus words --context 65", "tiny-gpt2 has a context of 64 tokens"),
        ("--db {files}/notes.txt fits", "cannot be opened as a results database"),
        ("--db {files}/notes.txt init", "cannot be opened as a results database"),
        ("--db {files}/none.duckdb fits", r"there is no database .*; make one with `csvcore"),
    ],
)
def test_a_refusal_is_one_line_and_leaves_the_database_as_it_was(
    refusing: tuple[Path, dict[str, Any]],
    files: Path,
    tiny_lm: Path,
    arguments: str,
    message: str,
) -> None:
    database, before = refusing
    words = [word.format(files=files, lm=tiny_lm) for word in arguments.split()]
    check_refusal(CliRunner().invoke(cli.main, ["--db", str(database), *words]), message)
    assert contents(database) == before
    assert not (files / "w.parquet").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "dance",
        "fit",
        "fit --corpus words",
        "fit --corpus words --split sides --method magic",
        "fit --corpus words --split sides --steps -1",
        "fit --corpus words --split sides --learning-rate 0",
        "fit --corpus words --split sides --penalty 0",
        "fit --corpus words --split sides --members 0",
        "fit --corpus words --split sides --algorithm slow",
        "fit --corpus words --split sides --activation relu",
        "fit --corpus words --split sides --label per-word",
        "fit --corpus words --split sides --label-spans first",
        "compare --corpus words --split sides --dance",
        "compare --corpus words --split sides --permutations -1",
        "leave-one-family-out",
        "leave-one-family-out --corpus words --split sides",
        "import",
        "import dances x.csv",
        "import losses",
        "collect --corpus words",
        "collect some/model --corpus words --batch-tokens 0",
        "collect some/model --corpus words --context 1",
        "collect some/model --corpus words --stride 0",
        "collect some/model --corpus words --gpus -1",
        "collect some/model --corpus words --engine slurm",
        "weights --fit x",
    ],
)
def test_wrong_usage_is_exit_status_2(tmp_path: Path, arguments: str) -> None:
    database = tmp_path / "none.duckdb"
    result = CliRunner().invoke(cli.main, ["--db", str(database), *arguments.split()])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr
    assert not database.exists()


def test_an_interrupt_is_exit_status_130_and_one_line(
    csvcore: Csvcore, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Iterator[str]:
        yield "ant"
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "collect", interrupted)
    result = csvcore("collect", tiny_lm, "--corpus", "words")
    assert result.exit_code == 130
    assert result.stderr.endswith("\ncsvcore: interrupted; nothing stored was lost\n")
    assert result.stdout == ""


def test_on_a_terminal_a_bar_moves_and_is_gone_at_the_end(
    fit: Csvcore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csvcore.cli.base.tqdm", lambda **more: tqdm(**more | {"disable": False}))
    result = fit("--task", "adding", "--json")
    assert result.exit_code == 0, result.output
    assert "\r" in result.stderr
    assert "\n" not in result.stderr
    assert result.stderr.rsplit("\r", 2)[-2].strip() == ""
    assert "\r" not in result.stdout


def test_a_bug_keeps_its_traceback(csvcore: Csvcore, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "init", bug)
    assert isinstance(csvcore("init").exception, ZeroDivisionError)


# The command as it is installed


def test_help_names_every_command_and_loads_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from csvcore.cli import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done: Any = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    for name in (
        *("init", "import", "collect", "fit", "compare", "leave-one-family-out", "weights", "fits"),
    ):
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE), name


def test_the_installed_command_refuses_in_one_line_with_status_1(tmp_path: Path) -> None:
    program = "from csvcore.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--db", str(tmp_path / "none.duckdb"), "fits"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("csvcore: there is no database ")


@pytest.mark.parametrize(
    "given", [("--task", "adding", "reading"), ("--task", "adding", "--task", "reading")]
)
def test_several_tasks_follow_one_flag_or_one_each(
    csvcore: Csvcore, tiny_lm: Path, given: tuple[str, ...]
) -> None:
    result = csvcore(
        "fit", "--corpus", "words", "--split", "sides", *given,
        "--method", "all-token", "--scorer", tiny_lm, "--json",
    )  # fmt: skip
    assert [fit["task"] for fit in json.loads(result.stdout)["fits"]] == ["adding", "reading"]
