import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from csvcore import store
from csvcore.errors import InputError
from csvcore.pipeline.predictability import predictability
from tests.support.world import SIDES, change

Invoke = Callable[..., Any]
WHERE = ("--corpus", "words", "--split", "sides")


def test_the_command_prints_one_json_document(invoke: Invoke) -> None:
    done = invoke("tasks", *WHERE, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    tasks = {task["task"]: task for task in record["tasks"]}
    assert tasks.keys() == {"adding", "reading"}
    assert tasks["reading"]["n_models"] == sum(side != "test" for side in SIDES.values())
    assert tasks["reading"]["seed_noise"] is None
    assert tasks["adding"]["item_noise"] is None  # no n_items
    for task in tasks.values():
        assert task["verdict"] in ("predictable", "barely", "not from these losses")
        assert task["reason"].endswith(".")
    assert [row["source"] for row in record["sources"]] == ["sums", "notes"]


def test_the_text_has_a_reason_for_every_task(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("tasks", *WHERE, "--table", tmp_path / "tasks.parquet")
    assert done.exit_code == 0, done.output
    for task in ("adding", "reading"):
        assert f"\n{task}: " in done.stdout
    assert "Mean loss of each source, nats per character." in done.stdout
    assert pq.read_table(tmp_path / "tasks.parquet")["task"].to_pylist() == ["adding", "reading"]


def test_accuracies_of_test_models_make_no_difference(invoke: Invoke, world_db: Path) -> None:

    def told() -> Any:
        done = invoke("tasks", *WHERE, "--json")
        return json.loads(done.stdout, parse_float=lambda text: round(float(text), 9))

    before = told()
    change(
        world_db,
        "UPDATE accuracies SET accuracy = 0 WHERE model IN "
        "(SELECT model FROM splits WHERE split = 'sides' AND side = 'test')",
    )
    assert told() == before
    change(world_db, "UPDATE accuracies SET accuracy = 0 WHERE model = 'ant'")
    assert told() != before


def test_an_unknown_corpus_split_or_no_task_is_refused(invoke: Invoke, world_db: Path) -> None:
    done = invoke("tasks", "--corpus", "wrods")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "there is no corpus 'wrods'" in done.stderr
    assert "there is no split 'x'" in invoke("tasks", "--corpus", "words", "--split", "x").stderr
    with store.connect(world_db) as db:
        db.execute("DELETE FROM tasks")
    with pytest.raises(InputError, match="there are no tasks; csvcore import tasks FILE"):
        predictability(world_db, "words")
