import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from csvcore import cli
from csvcore.records import Accuracy
from tests.support.world import World, contents, pack_rows, write_accuracies, write_pack


def check_refusal(result: Result, message: str) -> None:
    """Exit status 1, nothing on standard output, one line on standard error."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("csvcore: ")
    assert re.search(message, line), line
    assert "Traceback" not in result.output


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
    rows[0]["nll"][0] += 1.0
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
        ("import losses {files}/twice.parquet", "other losses of ant on .* are stored already"),
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
