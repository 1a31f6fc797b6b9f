import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from csvcore.errors import InputError
from csvcore.formats import loss_packs
from csvcore.jobs import queue
from csvcore.pipeline import imports, jobs
from dashboard.widgets import text
from tests.support.world import DOCS, World, contents, pack_rows, write_pack


@pytest.fixture(scope="module")
def _made(_words_made: Path, world_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(shutil.copy(_words_made, tmp_path_factory.mktemp("incoming") / "r.duckdb"))
    imports.import_models(path, world_files / "models.csv")
    return path


@pytest.fixture
def database(_made: Path, tmp_path: Path) -> Path:
    """The made-up world's corpus and cards, without losses."""
    return Path(shutil.copy(_made, tmp_path / "r.duckdb"))


@pytest.fixture
def drop(
    database: Path, app_on: Callable[[Path], AppTest], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], AppTest]:
    """Drops a file on the page; nobody works off the queue."""
    monkeypatch.setenv("CSVCORE_MODELS", "")
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)

    def dropped(file: Path) -> AppTest:
        app = app_on(database)
        app.query_params["corpus"] = "words"
        app.run().switch_page("dashboard/pages/collect.py").run()
        app.file_uploader[0].upload(file.name, file.read_bytes(), "application/octet-stream")
        app.run()
        assert not app.exception
        return app

    return dropped


def button(app: AppTest) -> Any:
    return next(one for one in app.button if one.label == "Import")


def work_off(database: Path) -> str:
    [job, *_] = queue.recent(database)
    return jobs.run_job(database, job.kind, job.params, lambda *_: None)


def test_a_pack_is_shown_then_imported_by_one_job_and_its_file_is_gone(
    drop: Callable[[Path], AppTest], database: Path, tmp_path: Path, world: World
) -> None:
    pack = write_pack(tmp_path / "two <b>.parquet", pack_rows(world, ["ant", "bee"]))
    before = contents(database)
    app = drop(pack)
    table = app.dataframe[0].value
    assert table["model"].tolist() == ["ant", "bee"]
    assert table["new"].tolist() == [len(DOCS)] * 2
    assert table["dtype"].tolist() == ["float32"] * 2
    assert contents(database) == before  # looking imports nothing

    button(app).click().run()
    assert not app.exception
    [job] = queue.recent(database)
    assert (job.kind, job.status, job.params["corpus"]) == ("import", "queued", "words")
    assert app.expander[0].label == text.plain("1: Import of two <b>.parquet, queued")
    assert "Import" not in [one.label for one in app.button]  # the place is empty again

    assert work_off(database) == "12 documents' losses from 1 packs"
    assert not Path(job.params["file"]).exists()
    assert {row[1] for row in contents(database)["losses"]} == {"ant", "bee"}


def test_what_the_import_would_be_refused_for_is_said_before_and_the_button_is_off(
    drop: Callable[[Path], AppTest], database: Path, tmp_path: Path, world: World
) -> None:
    stored = pack_rows(world, ["ant"])[:2]
    imports.import_losses(database, [write_pack(tmp_path / "some.parquet", stored)])
    rows = pack_rows(world, ["ant"])[1:3] + [row | {"model": "y_a_k"} for row in stored]
    pack = write_pack(tmp_path / "bad.parquet", rows)
    app = drop(pack)
    said = [warning.value for warning in app.warning]
    assert said == [
        text.sentence(
            f"y_a_k has no card: `csvcore --db {database} import models FILE`, a CSV of "
            "model,family, comes first."
        ),
    ]
    assert button(app).disabled
    assert app.dataframe[0].value["stored"].tolist() == [2, 0]
    with pytest.raises(InputError):  # and the import says no as well
        imports.import_losses(database, [pack])


def item_file(path: Path, rows: list[tuple[str, str, int, float]]) -> Path:
    names = ("model", "task", "item", "correct")
    pq.write_table(pa.Table.from_pylist([dict(zip(names, r, strict=True)) for r in rows]), path)
    return path


def test_item_results_are_shown_without_accuracies_then_imported(
    drop: Callable[[Path], AppTest], database: Path, tmp_path: Path, world_files: Path
) -> None:
    imports.import_tasks(database, world_files / "tasks.csv")
    rows = [("ant", "adding", i, i % 2) for i in range(4)]
    app = drop(item_file(tmp_path / "items.parquet", rows))
    table = app.dataframe[0].value
    assert table.to_dict("records") == [{"model": "ant", "task": "adding", "items": 4, "new": 4}]
    button(app).click().run()
    assert work_off(database) == "4 item results; 1 accuracies made from them"
    assert contents(database)["accuracies"] == [("ant", "adding", 0.5, 4)]


def test_item_results_that_contradict_an_accuracy_are_refused_without_telling_it(
    drop: Callable[[Path], AppTest], database: Path, tmp_path: Path, world_files: Path
) -> None:
    imports.import_tasks(database, world_files / "tasks.csv")
    imports.import_accuracies(database, [world_files / "accuracies.csv"])
    app = drop(item_file(tmp_path / "items.parquet", [("ant", "adding", 1, 1.0)]))
    [said] = [warning.value for warning in app.warning]
    assert "differs from the stored accuracy by more than 0\\.0001" in said
    assert button(app).disabled
    app = drop(item_file(tmp_path / "other.parquet", [("yak", "adding", 1, 1.0)]))
    assert "yak" in app.warning[0].value
    assert button(app).disabled


@pytest.mark.parametrize("fault", ["text", "corpus", "tiling"])
def test_a_file_that_is_no_pack_of_these_texts_is_refused_and_the_queue_stays(
    drop: Callable[[Path], AppTest], tmp_path: Path, world: World, fault: str
) -> None:
    rows = pack_rows(world, ["ant"])
    if fault == "tiling":
        rows[0]["byte_end"][-1] += 1
    pack = write_pack(tmp_path / "p.parquet", rows, "0" * 64 if fault == "corpus" else None)
    if fault == "text":
        pack.write_text("not Parquet")
    app = drop(pack)
    said = {"text": "not a Parquet file", "corpus": "hash 0000", "tiling": "do not tile"}[fault]
    assert said in app.warning[0].value
    assert "Queue" in [one.value for one in app.subheader]
    assert "Import" not in [one.label for one in app.button]


def test_a_pack_without_a_manifest_goes_to_the_chosen_corpus_and_says_so(
    drop: Callable[[Path], AppTest], database: Path, tmp_path: Path, world: World
) -> None:
    table = pa.Table.from_pylist(pack_rows(world, ["ant"]), schema=loss_packs.SCHEMA)
    pq.write_table(table, tmp_path / "bare.parquet")
    app = drop(tmp_path / "bare.parquet")
    assert any("the pack has no manifest" in caption.value for caption in app.caption)
    button(app).click().run()
    work_off(database)
    assert contents(database)["manifests"] == [("words", "ant", None)]


def test_an_import_that_fails_leaves_the_database_and_no_file_behind(
    database: Path, world: World
) -> None:
    uploads = database.with_name(f"{database.name}.uploads")
    uploads.mkdir()
    pack = write_pack(
        uploads / "p.parquet", [r | {"model": "yak"} for r in pack_rows(world, ["ant"])]
    )
    before = contents(database)
    params = {"corpus": "words", "file": str(pack), "name": "p.parquet"}
    with pytest.raises(InputError, match="'yak', which is not stored"):
        jobs.run_job(database, "import", params, lambda *_: None)
    assert contents(database) == before
    assert not pack.exists()
