"""Accuracies of CSV files, wide and long."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from csvcore import cli
from csvcore.errors import InputError
from csvcore.pipeline import imports
from tests.support import evaluated
from tests.support.evaluated import stored
from tests.support.world import write_csv


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return evaluated.made(tmp_path / "results.duckdb")


def test_a_wide_table_has_a_column_a_task_and_empty_cells_are_no_result(
    database: Path, write: Callable[..., Path]
) -> None:
    wide = write("wide.csv", "model,facts,scenes\nebb-xs,0.5,\nebb-s,0.75,0.25\n")
    assert imports.import_accuracies(database, [wide]) == "3 accuracies"
    assert stored(database) == {
        ("ebb-xs", "facts"): (0.5, None),
        ("ebb-s", "facts"): (0.75, None),
        ("ebb-s", "scenes"): (0.25, None),
    }


def test_long_and_wide_tables_may_come_together_if_they_agree(
    database: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    wide = write("wide.csv", "model,facts\nebb-xs,0.5\n")
    long = write_csv(tmp_path / "long.csv", "model,task,accuracy", [["ebb-xs", "facts", 0.6]])
    with pytest.raises(InputError, match=r"long.csv: ebb-xs on facts stands there twice"):
        imports.import_accuracies(database, [wide, long])


def test_percent_in_a_wide_table_is_refused(database: Path, write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"wide.csv line 2: accuracy 57.3 .* looks like percent"):
        imports.import_accuracies(database, [write("wide.csv", "model,facts\nebb-xs,57.3\n")])


BOARD = "model,family,facts,Average\nebb-xs,ebb,0.5,61.2\n"


def test_of_a_leaderboard_the_named_columns_are_taken_and_the_others_said(
    database: Path, write: Callable[..., Path]
) -> None:
    board = write("board.csv", BOARD)
    place = ["--db", str(database), "import", "accuracies", str(board), "--task", "scenes=facts"]
    done = CliRunner().invoke(cli.main, place)
    assert done.output == "1 accuracies; left aside: family, Average\n"
    assert stored(database) == {("ebb-xs", "scenes"): (0.5, None)}
    refused = CliRunner().invoke(cli.main, [*place, "--metric", "acc"])
    assert "--metric is for result files, not for CSV" in refused.stderr
    refused = CliRunner().invoke(cli.main, [*place, "--task", "facts"])
    assert "--task takes facts 2 times" in refused.stderr


def test_a_column_that_is_no_task_is_refused_with_the_way_out(
    database: Path, write: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=r"'family', 'Average' are not stored as a task; .*--task"):
        imports.import_accuracies(database, [write("board.csv", BOARD)])
    with pytest.raises(InputError, match="no result on fact, but on family, facts, Average"):
        imports.import_accuracies(database, [write("board.csv", BOARD)], tasks={"fact": "facts"})
    assert stored(database) == {}


def test_an_index_column_is_left_aside_with_a_word(
    database: Path, write: Callable[..., Path]
) -> None:
    wide = write("wide.csv", ",model,facts\n0,ebb-xs,0.5\n1,ebb-s,0.25\n")
    said = imports.import_accuracies(database, [wide])
    assert said == "2 accuracies; left aside: a column without a name"


def test_of_a_long_table_the_named_tasks_are_taken(
    database: Path, write: Callable[..., Path]
) -> None:
    long = write("a.csv", "model,task,accuracy\nebb-xs,facts,0.5\nebb-xs,riddles,0.25\n")
    said = imports.import_accuracies(database, [long], tasks={"facts": "scenes"})
    assert said == "1 accuracies; left aside: riddles"
    assert stored(database) == {("ebb-xs", "scenes"): (0.5, None)}


def test_a_wide_table_with_a_task_twice_is_refused(
    database: Path, write: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=r"wide.csv has the column 'facts' twice"):
        imports.import_accuracies(
            database, [write("wide.csv", "model,facts,facts \nebb-xs,0.5,0.6\n")]
        )
