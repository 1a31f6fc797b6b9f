"""--table: the rows a command prints, as a file for other tools."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import Result

pytestmark = pytest.mark.slow

Invoke = Callable[..., Result]
COMMANDS = {
    "compare": "--split sides --task adding --steps 2",
    "leave-one-family-out": "--task reading --penalty 1e-4",
}


def rows_of(csvcore: Invoke, out: Path, *command: str) -> Any:
    """The JSON document of a command that wrote a table too."""
    done = csvcore(*command, "--json", "--table", str(out))
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_table_has_the_rows_of_the_json_document(
    invoke: Invoke, tiny_lm: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "rows.parquet"
    command = [name, "--corpus", "words", "--scorer", str(tiny_lm), *COMMANDS[name].split()]
    rows = rows_of(invoke, out, *command)["rows"]
    assert rows == json.loads(json.dumps(pq.read_table(out).to_pylist()))
    rows_of(invoke, tmp_path / "rows.csv", *command)
    frame = pd.read_csv(tmp_path / "rows.csv")
    assert list(frame.columns) == list(rows[0])
    mse = pd.Series([row["test_mse"] for row in rows], dtype=float, name="test_mse")
    pd.testing.assert_series_equal(frame["test_mse"].astype(float), mse)
    assert [json.loads(cell) for cell in frame["notes"]] == [row["notes"] for row in rows]


def test_a_table_of_mixes_has_a_column_a_source(
    invoke: Invoke, tiny_lm: Path, tmp_path: Path
) -> None:
    where = ["mixes", "--corpus", "words", "--split", "sides", "--task", "adding"]
    rows = rows_of(invoke, tmp_path / "m.csv", *where, "--scorer", str(tiny_lm))["mixes"]
    frame = pd.read_csv(tmp_path / "m.csv")
    for source in ("sums", "notes"):
        assert frame[f"share {source}"].tolist() == [row["shares"].get(source, 0) for row in rows]
    assert [json.loads(cell) for cell in frame["doc_ids"]] == [row["doc_ids"] for row in rows]


def test_predictions_of_several_fits_are_one_table_that_names_fit_and_task(
    invoke: Invoke, tiny_lm: Path, tmp_path: Path
) -> None:
    where = ["--corpus", "words", "--split", "sides"]
    made = invoke(
        "fit", *where, "--method", "all-token", "--scorer", str(tiny_lm), "--json",
        "--task", "reading", "adding",
    )  # fmt: skip
    task_of = {fit["fit"]: fit["task"] for fit in json.loads(made.stdout)["fits"]}
    out = tmp_path / "new.csv"
    command = ["predict", *where, "--method", "all-token", "--model", "owl", "jay"]
    found = rows_of(invoke, out, *command)["fits"]
    frame = pd.read_csv(out)
    assert dict(zip(frame["fit"], frame["task"], strict=True)) == task_of
    told = [(one["fit"], row["model"], row["low"]) for one in found for row in one["predictions"]]
    own = frame[["fit", "model", "low"]].itertuples(index=False, name=None)
    assert [tuple(row) for row in own] == [(*row[:2], pytest.approx(row[2])) for row in told]


def test_a_table_that_is_neither_csv_nor_parquet_is_refused_before_the_work(
    invoke: Invoke, tmp_path: Path
) -> None:
    done = invoke(
        "compare", "--corpus", "nowhere", "--split", "none", "--table", str(tmp_path / "a.xlsx")
    )
    assert done.exit_code == 2
    assert "a.xlsx ends neither in .csv nor in .parquet" in done.stderr
