"""`csvcore items`: accuracies from items, and two models on the same items."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from csvcore import cli, store
from csvcore.formats.item_results import SCHEMA
from csvcore.records import ModelCard, Task

ANT = [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
BEE = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]


@pytest.fixture
def itemised(database: Path) -> Path:
    rows = [("ant", "quiz", str(i), v) for i, v in enumerate(ANT)]
    rows += [("bee", "quiz", str(i), v) for i, v in enumerate(BEE)]
    rows += [("cow", "quiz", "9", 1)]
    with store.connect(database) as db:
        store.add_models(db, [ModelCard(name, "wild") for name in ("ant", "bee", "cow")])
        store.add_tasks(db, [Task("quiz", 0.25)])
        columns = dict(zip(SCHEMA.names, zip(*rows, strict=True), strict=True))
        store.add_item_results(db, [pa.table({k: list(v) for k, v in columns.items()}, SCHEMA)])
    return database


def run(database: Path, *words: str) -> Result:
    return CliRunner().invoke(cli.main, ["--db", str(database), "items", *words])


def test_accuracies_and_their_item_noise_are_listed_best_first(itemised: Path) -> None:
    found = json.loads(run(itemised, "quiz", "--json").output)
    assert found["paired"] is None
    assert [row["model"] for row in found["models"]] == ["cow", "ant", "bee"]
    ant = found["models"][1]
    assert (ant["n_items"], ant["accuracy"]) == (10, 0.8)
    assert ant["noise"] == pytest.approx((0.8 * 0.2 / 10) ** 0.5)


def test_two_models_are_compared_on_their_common_items(itemised: Path) -> None:
    found = json.loads(run(itemised, "quiz", "ant", "bee", "--json").output)["paired"]
    assert (found["only_a"], found["only_b"], found["n_items"]) == (7, 0, 10)
    assert found["p"] == pytest.approx(2 / 2**7)
    assert found["power"]["at"] == 0.02
    said = run(itemised, "quiz", "ant", "bee", "--difference", "0.5").output
    assert "ant is better than bee: ant minus bee is +70.0 points" in said
    assert "Power for a true difference of 50 points: " in said


def test_what_has_no_items_is_refused(itemised: Path) -> None:
    for words, refusal in (
        (["facts"], "no item results of any model on facts; tasks with item results: quiz"),
        (["quiz", "yak"], "no item results of yak on quiz"),
        (["quiz", "ant", "ant"], "a paired test is of two models, got ant twice"),
        (["quiz", "ant", "cow"], "a paired test needs at least 2 common items, got 1"),
    ):
        result = run(itemised, *words)
        assert result.exit_code == 1
        assert refusal in result.output


def test_the_table_is_written_too(itemised: Path, tmp_path: Path) -> None:
    out = tmp_path / "items.csv"
    assert run(itemised, "quiz", "--table", str(out)).exit_code == 0
    assert out.read_text().splitlines()[0] == '"model","n_items","accuracy","noise"'
