import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import csvcore
from csvcore.pipeline.forecast import forecast
from tests.support.ladders import planted_accuracy, planted_ladder, store_ladders
from tests.support.world import change

Invoke = Callable[..., Any]
WHERE = ("--corpus", "words", "--split", "small")


@pytest.fixture
def ladders(tmp_path: Path) -> Path:
    database = tmp_path / "ladders.duckdb"
    big = planted_ladder(sizes=(6.4e8,))
    store_ladders(database, big, oak=planted_ladder(0.003), elm=planted_ladder(0.003, seed=1))
    return database


def test_the_command_prints_what_the_function_returns_to_the_last_digit(
    invoke: Invoke, ladders: Path, tmp_path: Path
) -> None:
    table = tmp_path / "forecast.parquet"
    sized = ("--params", "640M", "--tokens", "3.2e9")
    done = invoke("forecast", *WHERE, *sized, "--json", "--table", table, db=ladders)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    found = forecast(ladders, "words", "small", [(640_000_000, 3_200_000_000)])
    (row,) = document["rows"]
    assert row == {**asdict(found.rows[0]), "flags": list(found.rows[0].flags)} | {
        "method": "forecast"
    }
    assert row["model"] is None
    assert document["backtest"] == [asdict(one) for one in found.backtest]
    assert abs(row["predicted"] - planted_accuracy(6.4e8, 3.2e9)) < 0.02  # type: ignore[arg-type]
    assert pq.read_table(table)["predicted"].to_pylist() == [row["predicted"]]
    outlooks = csvcore.open(ladders, split="small").forecast(640_000_000, 3_200_000_000)
    assert outlooks.records == tuple(found.rows)
    assert outlooks.table()["predicted"].tolist() == [row["predicted"]]
    assert len(outlooks.backtest()) == len(outlooks.figure().data[0].y) == len(found.backtest)


def test_neither_losses_nor_accuracies_of_the_models_to_forecast_are_read(
    invoke: Invoke, ladders: Path
) -> None:
    ask = ("forecast", *WHERE, "--model", "big-t5", "--json")
    before = json.loads(invoke(*ask, db=ladders).stdout)
    assert before["rows"][0]["model"] == "big-t5"
    change(
        ladders,
        "DELETE FROM losses WHERE model LIKE 'big%'",
        "DELETE FROM accuracies WHERE model LIKE 'big%'",
    )
    assert json.loads(invoke(*ask, db=ladders).stdout) == before


def test_the_text_has_the_forecast_its_backtest_and_what_an_accuracy_takes(
    invoke: Invoke, ladders: Path
) -> None:
    done = invoke("forecast", *WHERE, "--params", "640M", "--tokens", "3.2B", db=ladders)
    assert "6.4e+08 parameters, 3.2e+09 tokens  reading" in done.stdout
    assert "Backtest: errors in points on models that were held out" in done.stdout
    curve = invoke("forecast", *WHERE, "--accuracy", "0.85", "--family", "oak", db=ladders)
    assert curve.exit_code == 0, curve.output
    assert "90 % interval of tokens" in curve.stdout
    unreachable = invoke("forecast", *WHERE, "--accuracy", "1", db=ladders)
    assert "reading: no size within reach comes to 1." in unreachable.stdout


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--params", "7B"), "--params and --tokens go together, and so"),
        ((), "name a model by --params and --tokens or --model, or --run, or --accuracy"),
        (("--run", "ash", "--tokens", "1T"), "no run is called 'ash'; of "),
        (("--run", "oak", "--tokens", "1T"), "5 runs have 'oak' in their names: oak 10000000"),
        (("--run", "oak 160000000", "--tokens", "1M"), "has seen 3200000000 tokens, more than"),
        (("--params", "many", "--tokens", "1T"), "'many' is no number such as 7000000000, 7e9"),
        (("--params", "0", "--tokens", "1T"), "parameters and tokens are positive, got 0 and 10"),
        (("--model", "none"), "there is no model 'none'"),
        (("--accuracy", "0.5", "--family", "ash"), "is of the family 'ash'; there are elm, oak"),
        (("--accuracy", "0.5", "--task", "x"), "there is no task 'x'; stored: reading"),
    ],
)
def test_what_cannot_be_forecast_is_refused(
    invoke: Invoke, ladders: Path, asked: tuple[str, ...], message: str
) -> None:
    done = invoke("forecast", *WHERE, *asked, db=ladders)
    assert done.exit_code in (1, 2) and done.stdout == ""
    assert message in done.stderr


def test_a_model_without_a_size_is_refused(invoke: Invoke, ladders: Path) -> None:
    change(ladders, "UPDATE models SET n_params = NULL WHERE model = 'big-t5'")
    done = invoke("forecast", *WHERE, "--model", "big-t5", db=ladders)
    assert "n_params or train_tokens of big-t5 is not known; give both in models" in done.stderr


def test_the_course_of_a_run_is_told_for_every_task(invoke: Invoke, ladders: Path) -> None:
    ask = ("forecast", *WHERE, "--run", "oak 160000000", "--tokens", "6.4B")
    (course,) = json.loads(invoke(*ask, "--json", db=ladders).stdout)["courses"]
    assert course["task"] == "reading" and course["tokens"][-1] == pytest.approx(6.4e9)
    assert len(course["known_accuracy"]) == len(course["lag"]) == 6
    text = invoke(*ask, db=ladders).stdout
    assert text.startswith("oak 160000000: 3.2e+09 of 6.4e+09 tokens\n")
    assert f"{course['predicted'][-1]:.3f}" in text
