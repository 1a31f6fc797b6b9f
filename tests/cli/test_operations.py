"""Operations: --db and CSVCORE_DB, log lines without a terminal, completion, an array job."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result

from csvcore import cli, store
from csvcore.cli import base
from tests.support.world import copies

ROOT = Path(__file__).parents[2]
Invoke = Callable[..., Result]


@pytest.mark.parametrize(
    "words",
    [
        ["--db", "{db}", "export", "tables", "--out", "{out}"],
        ["export", "tables", "--out", "{out}", "--db", "{db}"],
        ["export", "--db={db}", "tables", "--out", "{out}"],
    ],
)
def test_the_database_may_be_named_anywhere(
    database: Path, tmp_path: Path, words: list[str]
) -> None:
    words = [word.format(db=database, out=tmp_path / "out") for word in words]
    done = CliRunner().invoke(cli.main, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "models.csv").is_file()


def test_the_environment_names_the_database_and_the_command_line_wins(
    database: Path, tmp_path: Path
) -> None:
    run = CliRunner(env={"CSVCORE_DB": str(database)})
    assert run.invoke(cli.main, ["fits"]).exit_code == 0
    missing = run.invoke(cli.main, ["fits", "--db", str(tmp_path / "none.duckdb")])
    assert missing.exit_code == 1
    assert "none.duckdb" in missing.output


def test_the_last_database_counts_and_what_follows_two_dashes_is_left_alone(
    database: Path,
) -> None:
    both = CliRunner().invoke(cli.main, ["--db", "none.duckdb", "fits", "--db", str(database)])
    assert both.exit_code == 0
    after = CliRunner().invoke(cli.main, ["--db", str(database), "init", "--", "--db", "x"])
    assert after.exit_code == 2
    assert "x" in after.output


def test_progress_without_a_terminal_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 100.0
    lines = base.LogLines("tokens", lambda: now)
    for seconds, done in ((1, 500), (40, 20_000), (41, 21_000), (80, 40_000), (200, 100_000)):
        now = 100.0 + seconds
        lines.report(done, 100_000, "yak")
    assert capsys.readouterr().err.splitlines() == [
        "yak: 20,000 of 100,000 tokens, 500 tokens/s, 3 min left",
        "yak: 40,000 of 100,000 tokens, 500 tokens/s, 2 min left",
    ]


@pytest.mark.parametrize(
    ("words", "word", "offered"),
    [
        ([], "comp", ["compare"]),
        (["export"], "fi", ["figures"]),
        (["export", "figures"], "--for", ["--format"]),
        (["export", "figures", "--format"], "p", ["pdf", "png"]),
    ],
)
def test_the_shell_completes_commands_options_and_values(
    words: list[str], word: str, offered: list[str]
) -> None:
    complete = BashComplete(cli.main, {}, "csvcore", "_CSVCORE_COMPLETE")
    assert [item.value for item in complete.get_completions(words, word)] == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_command_prints_a_script_for_each_shell(shell: str) -> None:
    documented = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"_CSVCORE_COMPLETE={shell}_source csvcore" in documented
    if shell == "bash":
        return  # asks the bash that is installed for its version
    program = "from csvcore.cli import main; main(prog_name='csvcore')"
    env = os.environ | {"_CSVCORE_COMPLETE": f"{shell}_source"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert "_CSVCORE_COMPLETE" in done.stdout


def test_by_size_says_what_to_do_without_parameters(
    database: Path, write: Callable[..., Path]
) -> None:
    cards = write("models.csv", "model,family\none,a\ntwo,b\n")
    run: Any = CliRunner(env={"CSVCORE_DB": str(database)})
    assert run.invoke(cli.main, ["import", "models", str(cards)]).exit_code == 0
    done = run.invoke(cli.main, ["split", "--name", "s", "--from", "by-size"])
    assert done.exit_code == 1
    assert "model,family,n_params to `csvcore import models`" in done.output


def test_accuracies_of_an_unknown_task_name_the_option_that_stores_it(
    database: Path, write: Callable[..., Path]
) -> None:
    run: Any = CliRunner(env={"CSVCORE_DB": str(database)})
    run.invoke(cli.main, ["import", "models", str(write("m.csv", "model,family\none,a\n"))])
    file = str(write("a.csv", "model,task,accuracy\none,arc_easy,0.5\n"))
    done = run.invoke(cli.main, ["import", "accuracies", file])
    assert done.exit_code == 1
    assert "--chance arc_easy=LEVEL" in done.output
    again = run.invoke(cli.main, ["import", "accuracies", file, "--chance", "arc_easy=0.25"])
    assert again.exit_code == 0, again.output


@pytest.mark.worker
@pytest.mark.slow
def test_the_array_job_of_the_guide_runs(world_files: Path, tiny_lm: Path, tmp_path: Path) -> None:
    task, last = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/slurm.md").read_text(), re.DOTALL)
    folder = tmp_path / "models"
    models = copies(folder, tiny_lm, "one", "two")
    (tmp_path / "models.txt").write_text("".join(f"{model}\n" for model in models))
    (tmp_path / "models.csv").write_text("model,family,n_params\none,a,1\ntwo,b,2\n")
    corpus = (world_files / "documents.jsonl").read_bytes()
    (tmp_path / "documents.jsonl").write_bytes(corpus)
    program = tmp_path / "bin" / "csvcore"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom csvcore.cli import main\n\nmain()\n")
    program.chmod(0o755)
    env = os.environ | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    for number, script in (("1", task), ("2", task), ("1", task), ("0", last)):  # one requeued
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True,
            env=env | {"SLURM_ARRAY_TASK_ID": number},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    with store.connect(tmp_path / "lab.duckdb", read_only=True) as db:
        assert set(store.coverage(db, "mine")) == {"one", "two"}
