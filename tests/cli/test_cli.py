import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tqdm import tqdm

from csvcore import cli
from csvcore.pipeline import imports
from tests.support.world import PACK, contents

Invoke = Callable[..., Result]


# init and import


@pytest.mark.slow
def test_the_whole_way_from_files_to_a_comparison(
    tmp_path: Path, world_files: Path, tiny_lm: Path, invoke: Invoke
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
        result = invoke(*arguments, db=db)
        assert result.exit_code == 0, result.output
        assert result.stdout.endswith("\n")
        assert result.stderr == ""  # bars are for terminals
    assert "reading-all-token-" in result.stdout


def test_a_folder_that_is_not_there_is_told_before_any_work(tmp_path: Path, invoke: Invoke) -> None:
    made = invoke("init", db=tmp_path / "no" / "x.duckdb")
    assert made.exit_code == 1
    assert f"there is no folder {tmp_path / 'no'} for x.duckdb; make it first" in made.stderr
    invoke("init", db=tmp_path / "x.duckdb")
    out = tmp_path / "no" / "w.parquet"
    refused = invoke("weights", "--fit", "any", "--out", out, db=tmp_path / "x.duckdb")
    assert refused.exit_code == 2
    assert f"there is no folder {out.parent}; make it first" in refused.stderr


def test_init_twice_is_fine(tmp_path: Path, invoke: Invoke) -> None:
    db = tmp_path / "new.duckdb"
    first, second = invoke("init", db=db), invoke("init", db=db)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "new.duckdb made; next: csvcore import corpus FILE --name NAME" in first.stdout
    assert "new.duckdb was there" in second.stdout


def test_init_zoo_loads_the_bundled_measurements_once(
    tmp_path: Path, invoke: Invoke, world_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ZOO", world_files)
    db = tmp_path / "new.duckdb"
    assert "the bundled zoo loaded: 11 models" in invoke("init", "--zoo", db=db).stdout
    before = contents(db)
    assert invoke("init", "--zoo", db=db).exit_code == 0
    assert contents(db) == before


def test_the_database_is_csvcore_duckdb_in_the_working_directory_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli.main, ["init"]).exit_code == 0
    assert (tmp_path / "csvcore.duckdb").is_file()


def test_an_interrupt_is_exit_status_130_and_one_line(
    invoke: Invoke, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Iterator[str]:
        yield "ant"
        raise KeyboardInterrupt

    monkeypatch.setattr("csvcore.pipeline.collect.collect", interrupted)
    result = invoke("collect", tiny_lm, "--corpus", "words")
    assert result.exit_code == 130
    assert result.stderr.endswith("\ncsvcore: interrupted; nothing stored was lost\n")
    assert result.stdout == ""


def test_on_a_terminal_a_bar_moves_and_is_gone_at_the_end(
    invoke_fit: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csvcore.cli.base.tqdm", lambda **more: tqdm(**more | {"disable": False}))
    result = invoke_fit("--task", "adding", "--json")
    assert result.exit_code == 0, result.output
    assert "\r" in result.stderr
    assert "\n" not in result.stderr
    assert result.stderr.rsplit("\r", 2)[-2].strip() == ""
    assert "\r" not in result.stdout


def test_a_bug_keeps_its_traceback(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(imports, "init", bug)
    assert isinstance(invoke("init").exception, ZeroDivisionError)


# The command as it is installed


WITHOUT_TORCH = (
    "import sys\n"
    "from csvcore.cli import main\n"
    "try: main()\n"
    "finally: assert not {'torch', 'transformers'} & set(sys.modules)\n"
)


def lightly(*arguments: object) -> str:
    """What a command prints that must not load PyTorch, which takes seconds."""
    done: Any = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.slow
def test_help_names_every_command_and_loads_no_torch() -> None:
    shown = lightly("--help")
    for name in (
        *("init", "import", "collect", "fit", "compare", "leave-one-family-out", "weights", "fits"),
    ):
        assert re.search(rf"^  {name} ", shown, re.MULTILINE), name


@pytest.mark.slow
def test_what_needs_no_model_loads_no_torch(world_db: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "one.txt").write_text("One.")
    new = ["--db", tmp_path / "new.duckdb"]
    assert "made" in lightly(*new, "init")
    assert "1 documents" in lightly(*new, "import", "corpus", texts, "--name", "mine")
    stored = ["--db", world_db]
    assert "mine" in lightly(*stored, "split", "--name", "mine", "--from", "sides")
    assert "models" in lightly(*stored, "export", "tables", "--out", tmp_path / "tables")
    assert "no fits yet" in lightly(*stored, "fits")


@pytest.mark.slow
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
    invoke: Invoke, tiny_lm: Path, given: tuple[str, ...]
) -> None:
    result = invoke(
        "fit", "--corpus", "words", "--split", "sides", *given,
        "--method", "all-token", "--scorer", tiny_lm, "--json",
    )  # fmt: skip
    assert [fit["task"] for fit in json.loads(result.stdout)["fits"]] == ["adding", "reading"]
