from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csvcore import store
from csvcore.cli import changes
from csvcore.records import Accuracy
from tests.support.world import contents, world_fit, write_accuracies, write_csv


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that somebody can be asked."""
    monkeypatch.setattr(changes, "asks", lambda: True)


def test_a_removal_lists_and_refuses_where_nobody_can_be_asked(
    invoke: Callable[..., Any], world_db: Path
) -> None:
    before = contents(world_db)
    result = invoke("remove", "models", "ant")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "removed: 1 model",
        "  ant",
        "removed: 2 accuracies",
        "  ant on adding",
        "  ant on reading",
        "removed: 1 set of losses",
        "  ant on words",
        "removed: 1 side in a split",
        "  ant in sides",
    ]
    assert "nothing was changed" in result.stderr
    assert "--yes" in result.stderr
    assert contents(world_db) == before


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_a_removal_that_is_not_wanted_changes_nothing(
    invoke: Callable[..., Any], world_db: Path, terminal: None, answer: str
) -> None:
    before = contents(world_db)
    result = invoke("remove", "split", "sides", input=answer)
    assert result.exit_code == 1
    assert "Do this?" in result.stdout
    assert contents(world_db) == before


def test_a_removal_that_is_wanted_tells_what_went(
    invoke: Callable[..., Any], world_db: Path, terminal: None
) -> None:
    with store.connect(world_db) as db:
        world_fit(db, "reading-1", "reading")
    result = invoke("remove", "split", "sides", input="y\n")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "done: 11 sides in splits removed, 1 fit removed"
    assert contents(world_db)["splits"] == []


@pytest.mark.parametrize(
    ("words", "table"),
    [
        (["models", "ant", "bee"], "models"),
        (["tasks", "adding"], "tasks"),
        (["corpus", "words"], "documents"),
        (["split", "sides"], "splits"),
        (["fits", "reading-1"], "fits"),
        (["accuracies", "--task", "adding", "--model", "ant"], "accuracies"),
        (["losses", "--corpus", "words", "--model", "ant"], "losses"),
    ],
)
def test_every_kind_is_removed_with_yes(
    invoke: Callable[..., Any], world_db: Path, words: list[str], table: str
) -> None:
    with store.connect(world_db) as db:
        world_fit(db, "reading-1", "reading")
    before = contents(world_db)[table]
    result = invoke("remove", *words, "--yes")
    assert result.exit_code == 0, result.output
    assert len(contents(world_db)[table]) < len(before)


def test_accuracies_are_not_removed_all_at_once_by_mistake(invoke: Callable[..., Any]) -> None:
    result = invoke("remove", "accuracies", "--yes")
    assert result.exit_code == 2
    assert "--model or on what with --task" in result.stderr


def test_a_replacement_shows_old_and_new_values(
    invoke: Callable[..., Any], world_db: Path, tmp_path: Path
) -> None:
    file = write_accuracies(tmp_path / "a.csv", [Accuracy("ant", "adding", 0.5, None)])
    result = invoke("replace", "accuracies", file, "--yes")
    assert result.exit_code == 0, result.output
    first, second, last = result.stdout.splitlines()
    assert first == "changed: 1 accuracy"
    assert second.startswith("  ant on adding: accuracy 0.")
    assert second.endswith(" -> accuracy 0.5")
    assert last == "done: 1 accuracy changed"
    again = invoke("replace", "accuracies", file)
    assert again.stdout.splitlines() == ["unchanged: 1", "nothing changes"]
    assert again.exit_code == 0


def test_a_long_list_is_cut_and_counted(
    invoke: Callable[..., Any], world_db: Path, tmp_path: Path
) -> None:
    rows = [[f"m{i:02}", "many"] for i in range(25)]
    file = write_csv(tmp_path / "m.csv", "model,family", rows)
    lines = invoke("replace", "models", file, "--yes").stdout.splitlines()
    assert lines[0] == "added: 25 models"
    assert lines[1] == "  m00: family many"
    assert lines[21] == "  and 5 more"


@pytest.mark.parametrize("what", ["models", "accuracies", "losses", "split"])
def test_a_missing_file_is_one_sentence(
    invoke: Callable[..., Any], tmp_path: Path, what: str
) -> None:
    name = ["--name", "x"] if what == "split" else []
    result = invoke("replace", what, tmp_path / "none.csv", *name, "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith("csvcore: there is no file")
    assert result.stderr.count("\n") == 1
