"""The bundled measurements: loaded as a whole, once, or not at all."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from csvcore import store
from csvcore.errors import InputError
from csvcore.pipeline import imports
from tests.support.world import DOCS, SIDES, World, contents, write_split


def test_init_loads_every_file_of_the_zoo_and_doing_it_again_changes_nothing(
    tmp_path: Path, world: World, world_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ZOO", world_files)
    database = tmp_path / "results.duckdb"
    assert "the bundled zoo loaded: 11 models" in imports.init(database, zoo=True)
    with store.connect(database, read_only=True) as db:
        assert store.coverage(db, "zoo") == dict.fromkeys(SIDES, len(DOCS))
        assert store.split(db, "sides") == SIDES
        assert set(store.accuracies(db)) == set(world.accuracies)
        assert [doc.source for doc in store.documents(db, "zoo-prose")] == ["prose"]
    before = contents(database)
    assert "was there, with the bundled zoo" in imports.init(database, zoo=True)
    assert "was there; next: csvcore import corpus" in imports.init(database)
    assert contents(database) == before


def test_a_zoo_with_one_wrong_file_is_not_loaded_at_all(
    tmp_path: Path, world_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = Path(shutil.copytree(world_files, tmp_path / "zoo"))
    monkeypatch.setattr(imports, "ZOO", zoo)
    write_split(zoo / "splits" / "wrong.csv", {"yak": "train"})
    database = tmp_path / "results.duckdb"
    with pytest.raises(InputError, match="the split names the model 'yak'"):
        imports.init(database, zoo=True)
    assert contents(database)["documents"] == []
    (zoo / "splits" / "wrong.csv").unlink()
    assert "11 models" in imports.init(database, zoo=True)  # nothing is in the way


def test_a_zoo_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ZOO", tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"the bundled zoo is not at .*nowhere"):
        imports.init(tmp_path / "results.duckdb", zoo=True)


def test_the_zoos_item_results_are_loaded_where_it_has_some(
    tmp_path: Path, world: World, world_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = Path(shutil.copytree(world_files, tmp_path / "zoo"))
    monkeypatch.setattr(imports, "ZOO", zoo)
    share = world.accuracy("ant", "adding")
    items = {"model": ["ant"], "task": ["adding"], "item": [7], "correct": [share]}
    pq.write_table(pa.table(items), zoo / "items.parquet")
    imports.init(tmp_path / "results.duckdb", zoo=True)
    assert contents(tmp_path / "results.duckdb")["item_results"] == [("ant", "adding", "7", share)]
