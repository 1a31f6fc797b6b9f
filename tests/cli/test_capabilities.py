import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_the_command_prints_one_document_or_tables(
    invoke: Callable[..., Any], tiny_lm: Path
) -> None:
    where = ["--corpus", "words", "--split", "sides", "--scorer", tiny_lm]
    quick = ["--permutations", "0", "--few-shot", "3", "--draws", "1"]
    result = invoke("capabilities", *where, *quick, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert {"factors", "tasks", "profiles", "tried", "few_shot", "judges"} <= record.keys()
    assert all(len(row["loading"]) == len(record["factors"]) for row in record["tasks"])
    assert {"sources", "kinds", "types", "stability", "shown"} <= record["factors"][0].keys()
    result = invoke("capabilities", *where, *quick, "--factors", "1")
    assert result.exit_code == 0, result.output
    assert "F1" in result.stdout and "3 train models known" in result.stdout
    assert " times the mean" in result.stdout


def test_too_many_factors_are_refused(invoke: Callable[..., Any], tiny_lm: Path) -> None:
    where = ["--corpus", "words", "--split", "sides", "--scorer", tiny_lm]
    result = invoke("capabilities", *where, "--factors", "3", "--few-shot", "0")
    assert result.exit_code == 1
    assert "give 1 to 2 factors" in result.stderr
