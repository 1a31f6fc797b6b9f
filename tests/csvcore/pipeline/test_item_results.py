from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats import item_results
from csvcore.pipeline import exports, imports
from csvcore.records import Accuracy
from tests.support.rows import words
from tests.support.world import contents

Rows = Sequence[tuple[Any, ...]]
HALF = [("ant", "reading", i, i % 2) for i in range(4)]


def file(path: Path, rows: Rows, names: str = "model,task,item,correct") -> Path:
    columns = dict(zip(names.split(","), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def known(database: Path) -> Path:
    """A database with the models ant and bee and the tasks reading and adding."""
    with store.connect(database) as db:
        words(db)
    return database


@pytest.fixture
def upload(known: Path, tmp_path: Path) -> Callable[[Rows], str]:
    """Import rows of item results."""
    return lambda rows: imports.import_items(known, file(tmp_path / "items.parquet", rows))


def accuracies(database: Path) -> list[Accuracy]:
    with store.connect(database, read_only=True) as db:
        return sorted(store.accuracies(db), key=lambda one: (one.model, one.task))


def test_an_accuracy_that_is_not_stored_is_the_mean_of_the_items(
    upload: Callable[[Rows], str], known: Path
) -> None:
    thirds = [("bee", "adding", name, value) for name, value in (("x", 1.0), ("y", 1 / 3))]
    assert upload(HALF) == "4 item results; 1 accuracies made from them"
    assert upload(thirds) == "2 item results; 1 accuracies made from them"
    assert accuracies(known) == [
        Accuracy("ant", "reading", 0.5, 4),
        Accuracy("bee", "adding", pytest.approx(2 / 3), 2),
    ]
    assert contents(known)["item_results"][:2] == [
        ("ant", "reading", "0", 0.0),
        ("ant", "reading", "1", 1.0),
    ]


def test_equal_repeats_count_once_in_a_file_and_over_files(
    upload: Callable[[Rows], str], known: Path
) -> None:
    upload([*HALF, HALF[1]])
    before = contents(known)
    assert len(before["item_results"]) == 4
    assert before["accuracies"] == [("ant", "reading", 0.5, 4)]
    assert upload(HALF[:2]) == "0 item results"
    assert contents(known) == before


def test_a_stored_accuracy_may_be_rounded_and_stays(
    upload: Callable[[Rows], str], known: Path
) -> None:
    thirds = [("ant", "reading", i, int(i == 0)) for i in range(3)]
    with store.connect(known) as db:
        store.add_accuracies(db, [Accuracy("ant", "reading", 0.3333, 3)])
    assert upload(thirds) == "3 item results"
    assert accuracies(known) == [Accuracy("ant", "reading", 0.3333, 3)]


def test_a_rounded_accuracy_after_the_items_changes_nothing_and_another_is_refused(
    upload: Callable[[Rows], str], known: Path
) -> None:
    upload([("ant", "reading", i, int(i == 0)) for i in range(3)])
    with store.connect(known) as db:
        store.add_accuracies(db, [Accuracy("ant", "reading", 0.3333)])
    assert accuracies(known) == [Accuracy("ant", "reading", pytest.approx(1 / 3), 3)]
    for other in (Accuracy("ant", "reading", 0.334), Accuracy("ant", "reading", 0.3333, 4)):
        with pytest.raises(InputError, match="is stored as"), store.connect(known) as db:
            store.add_accuracies(db, [other])


@pytest.mark.parametrize(
    ("rows", "refusal"),
    [
        ([*HALF, ("yak", "reading", 1, 1)], "name the model 'yak', which is not stored"),
        ([*HALF, ("ant", "riding", 1, 1)], "name the task 'riding', which is not stored"),
        (
            [*HALF, ("ant", "reading", 1, 0)],
            "item 1 of reading by ant stands there twice with different results, 0 and 1",
        ),
        ([*HALF, ("ant", "reading", 9, 2)], "item 9 of reading by ant has the result 2; give 0"),
        ([*HALF, ("ant", "reading", 9, -1)], "has the result -1; give 0 or 1"),
        ([("bee", "reading", 0, 0.25), ("bee", "reading", 1, float("nan"))], "has the result nan"),
        (
            [("bee", "adding", 0, 1), ("bee", "adding", 1, 1)],
            r"bee on adding has the accuracy 0\.5, the mean of its 2 items is 1; bring",
        ),
        ([("ant", "adding", 0, 0)], "item 0 of adding by ant is stored with the result 1, the"),
        (
            [("ant", "adding", 0, 1), ("ant", "adding", 5, 1)],
            "1 items of ant on adding are stored, the file has 1 others",
        ),
        ([("ant", None, 0, 1)], "items.parquet: the column task must hold text, it holds null"),
        ([*HALF, ("ant", None, 0, 1)], "items.parquet: the column task has an empty cell"),
        ([("ant", "reading", 0.5, 1)], "the column item must hold text or whole numbers, it holds"),
        ([("ant", "reading", 0, "yes")], "the column correct must hold numbers, 0 or 1"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_of_it_is_stored(
    upload: Callable[[Rows], str], known: Path, rows: Rows, refusal: str
) -> None:
    with store.connect(known) as db:
        store.add_accuracies(db, [Accuracy("bee", "adding", 0.5, 2)])
    upload([("ant", "adding", 0, 1)])
    before = contents(known)
    with pytest.raises(InputError, match=refusal):
        upload(rows)
    assert contents(known) == before


def test_a_file_without_the_columns_rows_or_format_is_refused(known: Path, tmp_path: Path) -> None:
    lacking = file(tmp_path / "a.parquet", [("ant", 1)], "model,right")
    with pytest.raises(InputError, match=r"a.parquet lacks the column task, item, correct; item"):
        imports.import_items(known, lacking)
    pq.write_table(item_results.SCHEMA.empty_table(), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b.parquet has no rows; there is nothing to import"):
        imports.import_items(known, tmp_path / "b.parquet")
    (tmp_path / "c.parquet").write_text("model,task")
    with pytest.raises(InputError, match=r"c.parquet is not a Parquet file that can be read"):
        imports.import_items(known, tmp_path / "c.parquet")
    with pytest.raises(InputError, match=r"there is no file .*d.parquet"):
        imports.import_items(known, tmp_path / "d.parquet")


def test_exported_items_can_be_imported_again(
    upload: Callable[[Rows], str], known: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="there are no item results"):
        exports.export_items(known, tmp_path / "out.parquet")
    upload(HALF)
    assert exports.export_items(known, tmp_path / "out.parquet").endswith(": 4 item results")
    other = tmp_path / "other.duckdb"
    store.create(other)
    with store.connect(other) as db:
        words(db)
    imports.import_items(other, tmp_path / "out.parquet")
    assert contents(other)["item_results"] == contents(known)["item_results"]
    assert contents(other)["accuracies"] == contents(known)["accuracies"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_every_part_of_a_file_is_read(values: list[float]) -> None:
    rows = {
        "model": ["m"] * len(values),
        "task": pa.array(["t"] * len(values)).dictionary_encode(),
        "item": range(len(values)),
        "correct": values,
        "note": values,
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(rows), sink, row_group_size=2)
    content = sink.getvalue().to_pybytes()
    parts = list(item_results.decode("x", content))
    assert pa.concat_tables(parts)["correct"].to_pylist() == values
    assert {part.schema for part in parts} == {item_results.SCHEMA}
