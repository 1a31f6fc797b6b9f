import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from tqdm import tqdm

from csvcore import cli, store
from csvcore.cli.collect import collected_line, duration
from csvcore.formats import loss_packs
from csvcore.pipeline import imports
from csvcore.pipeline.collect import CollectConfig, Collected
from tests.support.collections import coverage
from tests.support.world import DOCS, contents, copies, spoil, stored_losses

pytestmark = pytest.mark.worker

Invoke = Callable[..., Result]
PROGRAM = "from csvcore.cli import main; main()"
DEADLINE = 240.0  # seconds; a machine that trains beside us takes a minute to load PyTorch


@pytest.fixture
def run(words_db: Path) -> Invoke:
    """`csvcore collect` of these models on the corpus, on the CPU."""

    def collect(*arguments: object, db: Path = words_db) -> Result:
        where = ["--db", db, "collect", "--corpus", "words", "--device", "cpu"]
        return CliRunner().invoke(cli.main, [*map(str, where), *map(str, arguments)])

    return collect


def table(stderr: str) -> dict[str, list[str]]:
    """Cells of the plan's table by model."""
    header, *rows = [re.split(r"\s{2,}", line) for line in stderr.splitlines()]
    assert header == [
        "model", "parameters", "memory", "tokens", "context", "alignment", "state",
    ]  # fmt: skip
    return {row[0]: row[1:] for row in rows if len(row) == len(header)}


# What it prints and stores


def test_results_go_to_standard_output_and_all_else_to_standard_error(
    run: Invoke, tiny_lm: Path, tiny_llama: Path, words_db: Path
) -> None:
    result = run(tiny_lm, tiny_llama)
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    line = r": stored, {} tokens, \d\.\d{{4}} bits per byte, \d+\.\d s, [\d,]+ tokens/s$"
    assert re.fullmatch("tiny-gpt2" + line.format(112), first)
    assert re.fullmatch("tiny-llama" + line.format(r"\d+"), second)
    plans = table(result.stderr)
    assert plans["tiny-gpt2"][2:] == ["112", "64", "exact", "to score"]
    assert plans["tiny-llama"][3:] == ["128", "exact", "to score"]
    assert "tiny-llama: prefix <s> (bos, the tokenizer's own); rows packed" in result.stderr
    assert coverage(words_db) == {"tiny-gpt2": 6, "tiny-llama": 6}


def test_a_stored_model_is_said_to_be_found(run: Invoke, tiny_lm: Path) -> None:
    run(tiny_lm)
    result = run(tiny_lm)
    assert result.exit_code == 0
    assert result.stdout == "tiny-gpt2: its losses are stored already\n"
    assert table(result.stderr)["tiny-gpt2"][-1] == "stored already"


def test_the_losses_are_written_as_a_pack_that_another_database_takes(
    run: Invoke, tiny_lm: Path, tiny_llama: Path, words_db: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copy(words_db, tmp_path / "other.duckdb"))
    run(tiny_lm)  # found, and in the pack all the same
    out = tmp_path / "pack.parquet"
    result = run(tiny_lm, tmp_path / "nowhere", tiny_llama, "--batch-tokens", 100, "--out", out)
    assert result.exit_code == 1  # one is nowhere
    assert f"{out}: 2 models, {2 * len(DOCS)} rows\n" in result.stdout
    pack = loss_packs.read(out)
    assert set(pack.table["model"].to_pylist()) == {"tiny-gpt2", "tiny-llama"}
    assert pack.models["tiny-llama"].prefix_rule == "bos"
    loss_packs.check_documents("pack", pack.table, {d.doc_id: len(d.text.encode()) for d in DOCS})
    with store.connect(words_db, read_only=True) as db:
        cards = store.models(db)
    with store.connect(other) as db:
        store.add_models(db, cards)
    imports.import_losses(other, [out])
    assert stored_losses(other) == stored_losses(words_db)


def test_no_pack_is_written_if_no_model_is_stored(
    run: Invoke, tiny_lm: Path, tmp_path: Path
) -> None:
    run(tiny_lm)  # is not asked for below
    result = run(tmp_path / "nowhere", "--out", tmp_path / "pack.parquet")
    assert result.exit_code == 1
    assert not (tmp_path / "pack.parquet").exists()


def test_one_that_fails_is_told_at_the_end_with_status_1_and_the_others_are_stored(
    run: Invoke, three_models: list[str], tmp_path: Path, words_db: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    result = run(three_models[0], nowhere, spoil(three_models[1]), three_models[2])
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["first", "third"]
    end = result.stderr.splitlines()[-3:]
    assert end[0] == f"FAILED {nowhere}: there is no folder {nowhere}"
    assert end[1].startswith("FAILED second: it gives a loss that is not a number")
    assert end[2] == "csvcore: 2 of 4 models failed; the others are done"
    assert coverage(words_db) == {"first": 6, "third": 6}
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{tmp}/nowhere", "FAILED .*nowhere: there is no folder"),
        ("{tmp}/empty", r"FAILED empty.* has no \.safetensors file"),
        ("{lm} --device banana", "FAILED tiny-gpt2 cannot be loaded: .*banana"),
        ("{lm} --prefix bos", "FAILED tiny-gpt2.* has no prefix 'bos' of its own; --prefix"),
    ],
)
def test_a_model_that_cannot_be_scored_is_told_in_one_line(
    run: Invoke, tiny_lm: Path, tmp_path: Path, words_db: Path, arguments: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    before = contents(words_db)
    result = run(*(word.format(tmp=tmp_path, lm=tiny_lm) for word in arguments.split()))
    assert result.exit_code == 1
    assert result.stdout == ""
    failed, last = result.stderr.splitlines()[-2:]
    assert re.match(message, failed)
    assert last == "csvcore: 1 of 1 models failed"
    assert contents(words_db) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--shards nowhere://x", "nowhere://x is not a place for shards"),
        ("--shards {tmp}/results.duckdb", r"results\.duckdb"),
        ("--stride 65", "stride"),
        ("--engine ray --ray nonsense", "there is no Ray cluster at nonsense"),
    ],
)
def test_settings_that_cannot_be_met_are_refused_at_the_end_of_standard_error(
    run: Invoke, tiny_lm: Path, tmp_path: Path, words_db: Path, arguments: str, message: str
) -> None:
    before = contents(words_db)
    result = run(tiny_lm, *arguments.format(tmp=tmp_path).split())
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)  # and no traceback
    assert result.stdout == ""
    assert re.search(message, result.stderr.splitlines()[-1])
    assert contents(words_db) == before


def test_every_option_is_a_setting(
    run: Invoke, monkeypatch: pytest.MonkeyPatch, words_db: Path
) -> None:
    asked: list[Any] = []

    def prepare(*arguments: Any) -> Any:
        asked.append(arguments[:4])
        raise KeyboardInterrupt

    monkeypatch.setattr("csvcore.pipeline.collect.prepare", prepare)
    options = (
        "a/model b/model --device cuda:1 --dtype bfloat16 --batch-tokens 7 --context 5 --stride 2 "
        "--prefix eos --engine ray --ray host:1 --gpus 0.5 --shards s3://x --trust-remote-code"
    )
    assert run(*options.split()).exit_code == 130
    assert run("a/model").exit_code == 130
    wanted = CollectConfig(
        device="cuda:1",
        dtype="bfloat16",
        batch_tokens=7,
        context=5,
        stride=2,
        prefix="eos",
        trust_remote_code=True,
        engine="ray",
        shards="s3://x",
        ray="host:1",
        gpus=0.5,
    )
    assert asked == [
        (words_db, ("a/model", "b/model"), "words", wanted),
        (words_db, ("a/model",), "words", CollectConfig(device="cpu")),
    ]


def test_notes_are_told_before_anything_is_loaded(run: Invoke, tiny_lm: Path) -> None:
    result = run(tiny_lm, "--context", 20)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    note = "note: 2 documents are longer than the common context of 20 tokens and are seen through"
    [at] = [i for i, line in enumerate(lines) if line.startswith(note)]
    [loading] = [i for i, line in enumerate(lines) if line == "tiny-gpt2: loading"]
    assert at < loading


def test_on_a_terminal_a_bar_moves_below_what_is_told_and_is_gone_at_the_end(
    run: Invoke, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shown(tqdm):  # type: ignore[type-arg]
        def __init__(self, **more: Any) -> None:
            super().__init__(**more | {"disable": False})

    monkeypatch.setattr("csvcore.cli.collect.tqdm", Shown)
    result = run(tiny_lm)
    assert result.exit_code == 0, result.output
    assert "\r" in result.stderr
    assert result.stderr.rsplit("\r", 2)[-2].strip() == ""
    assert "\r" not in result.stdout


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (99.9, "99.9 s"), (100, "2 min"), (5999, "100 min"), (7200, "2.0 h")],
)
def test_durations_are_said_in_seconds_minutes_or_hours(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_model_stored_in_no_time_has_no_speed() -> None:
    line, failed = collected_line(Collected("m", "stored", "", 1234, 1.5, 0.0))
    assert (line, failed) == ("m: stored, 1,234 tokens, 1.5000 bits per byte, 0.0 s", False)


# A dry run


def test_a_dry_run_estimates_and_writes_nothing(
    run: Invoke, tiny_lm: Path, tiny_llama: Path, words_db: Path, tmp_path: Path
) -> None:
    run(tiny_lm)
    before, files = contents(words_db), sorted(tmp_path.rglob("*"))
    place = tmp_path / "elsewhere"
    out = tmp_path / "pack.parquet"
    result = run(tiny_lm, tiny_llama, "--dry-run", "--shards", place, "--out", out)
    assert result.exit_code == 0, result.output
    [line] = result.stdout.splitlines()
    assert re.fullmatch(
        r"tiny-llama: prefix <s> \(bos, .*\); rows packed, head chunked; within .*; "
        r"about \d+\.\d s for the corpus",
        line,
    )
    assert contents(words_db) == before
    assert sorted(tmp_path.rglob("*")) == files


@pytest.mark.parametrize("bad", ["nowhere", "nan", "other weights"])
def test_a_dry_run_with_any_problem_is_status_1(
    run: Invoke, tiny_lm: Path, three_models: list[str], words_db: Path, tmp_path: Path, bad: str
) -> None:
    name = str(tmp_path / "nowhere")
    if bad == "nan":
        name = spoil(three_models[0])
    if bad == "other weights":
        run(three_models[0])
        shutil.rmtree(three_models[0])
        name = str(Path(three_models[1]).rename(three_models[0]))
    before = contents(words_db)
    result = run(name, tiny_lm, "--dry-run")
    assert result.exit_code == 1
    assert result.stdout.startswith("tiny-gpt2: prefix <|endoftext|>")
    *_, failed, last = result.stderr.splitlines()
    said = f"{name}: there is no folder" if bad == "nowhere" else "first: "
    assert failed.startswith(f"FAILED {said}")
    assert last.startswith("csvcore: 1 of 2 models failed")
    assert contents(words_db) == before


# The command as it is installed


def start(*arguments: object, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        stdin=subprocess.PIPE,  # open and silent, as a terminal is
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background
        **more,
    )


def test_ray_is_started_for_one_collection_and_nothing_waits_for_standard_input(
    words_db: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    alone = Path(shutil.copy(words_db, tmp_path / "alone.duckdb"))
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    command = start(
        *("--db", words_db, "collect", tiny_lm, "--corpus", "words", "--device", "cpu"),
        *("--engine", "ray"),
        env=environment,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    try:
        status = command.wait(timeout=DEADLINE)  # its pipes take what little it says
        out, err = command.stdout.read(), command.stderr.read()
    finally:
        command.kill()
        command.communicate()
    assert status == 0, err
    assert re.fullmatch(r"tiny-gpt2: stored, 112 tokens, .*\n", out)
    assert "Traceback" not in err
    assert "Warning" not in err
    CliRunner().invoke(
        cli.main,
        ["--db", str(alone), "collect", str(tiny_lm), "--corpus", "words", "--device", "cpu"],
    )
    assert stored_losses(words_db) == stored_losses(alone)


def test_an_interrupt_from_the_keyboard_ends_all_processes_with_one_line(
    words_db: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    names = copies(tmp_path, tiny_lm, "one", "two")
    command = start(
        *("--db", words_db, "collect", *names, "--corpus", "words", "--device", "cpu,cpu")
    )
    parent = psutil.Process(command.pid)
    found: list[psutil.Process] = []
    deadline = time.monotonic() + DEADLINE
    while len(found) < 2 and command.poll() is None and time.monotonic() < deadline:
        found = [p for p in parent.children() if "spawn_main" in " ".join(p.cmdline())]
        time.sleep(0.05)
    time.sleep(1.0)  # they load PyTorch
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=DEADLINE)
    assert (command.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "csvcore: interrupted; nothing stored was lost"
    assert len(found) == 2
    assert not any(process.is_running() for process in found)


def test_the_repositorys_own_code_is_neither_run_nor_asked_about(
    run: Invoke, tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [folder] = copies(tmp_path, tiny_lm, "own-code")
    file = Path(folder) / "config.json"
    own = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    settings = json.loads(file.read_text()) | {"model_type": "evil", "auto_map": own}
    file.write_text(json.dumps(settings))
    (Path(folder) / "evil.py").write_text("raise SystemExit('its code was run')\n")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    result = run(folder)
    assert result.exit_code == 1
    assert "FAILED own-code brings Python code of its own" in result.stderr
    assert "--trust-remote-code" in result.stderr
