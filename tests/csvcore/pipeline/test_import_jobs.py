import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csvcore import store
from csvcore.errors import Cancelled, CsvcoreError, InputError, StoreError
from csvcore.jobs import queue, uploads
from csvcore.jobs.specs import ExamineJob, ImportJob, to_json
from csvcore.pipeline import jobs
from tests.support.world import DOCS, PACK, change, contents, write_csv

LM_EVAL = Path(__file__).parents[2] / "fixtures" / "lm-eval"


@pytest.fixture(autouse=True)
def _idle(idle: list[list[str]]) -> None:
    """No worker: the tests do its work."""


def bring(database: Path, file: Path, content: str, **settings: Any) -> ExamineJob:
    with file.open("rb") as stream:
        kept = uploads.keep(database, file.name, stream)
    return ExamineJob(content, file.name, str(kept), settings)


def run(database: Path, spec: Any, report: Callable[..., None] = lambda *_: None) -> str:
    return jobs.run_job(database, spec.kind, to_json(spec), report)


def taken(database: Path) -> ImportJob:
    [preview] = uploads.previews(database)
    job = preview.job
    return ImportJob("", job.name, job.file, job.content, job.settings, preview.fingerprint)


def left(database: Path) -> list[Path]:
    folder = queue.uploads_path(database)
    return list(folder.iterdir()) if folder.exists() else []


def zipped(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


@pytest.fixture
def files(world_files: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """A file of each content with its settings, in the order in which they can be imported."""
    return {
        "corpus": (world_files / "documents.jsonl", {"name": "words"}),
        "models": (world_files / "models.csv", {}),
        "tasks": (world_files / "tasks.csv", {}),
        "accuracies": (world_files / "accuracies.csv", {}),
        "split": (world_files / "splits" / "sides.csv", {"name": "sides"}),
        "losses": (world_files / PACK, {}),
    }


def test_every_content_is_shown_then_imported_as_the_command_does_and_nothing_is_left(
    database: Path, world_db: Path, files: dict[str, tuple[Path, dict[str, Any]]]
) -> None:
    for content, (file, settings) in files.items():
        before = contents(database)
        run(database, bring(database, file, content, **settings))
        assert contents(database) == before, content
        job = taken(database)
        message = run(database, job)
        assert "added" in message
        assert left(database) == [], content
    assert contents(database) == contents(world_db)


def test_the_preview_names_old_and_new_values(world_db: Path, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "m.csv", "model,family", [["ant", "wild"], ["yak", "new"]])
    message = run(world_db, bring(world_db, file, "models"))
    assert message == (
        "1 model changed, 1 model added; nothing is imported before its list is confirmed"
    )
    [preview] = uploads.previews(world_db)
    assert preview.rows == [
        ("model", "ant", "changed", "family tame", "family wild"),
        ("model", "yak", "added", "", "family new"),
    ]
    assert preview.counts == [("changed", "model", 1), ("added", "model", 1)]


def test_a_folder_of_lm_eval_comes_as_a_zip(database: Path, tmp_path: Path) -> None:
    names = [["ebb-xs", "ebb"], ["ebb-l", "ebb"]]
    run(database, bring(database, write_csv(tmp_path / "m.csv", "model,family", names), "models"))
    run(database, taken(database))
    folder = tmp_path / "results"
    for name in ("models__ebb-xs", "models__ebb-l"):
        shutil.copytree(LM_EVAL / name, folder / name)
    file = zipped(tmp_path / "results.zip", folder)
    settings = {"form": "lm-eval", "tasks": ["facts"], "chances": ["facts=0.25"]}
    run(database, bring(database, file, "accuracies", **settings))
    message = run(database, taken(database))
    assert message.startswith("2 accuracies and 120 item results: facts by acc")
    assert {row[:2] for row in contents(database)["accuracies"]} == {
        ("ebb-xs", "facts"),
        ("ebb-l", "facts"),
    }
    assert left(database) == []


def test_a_corpus_of_texts_comes_as_a_zip(database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "prose").mkdir(parents=True)
    (folder / "prose" / "a.txt").write_text("Rain.")
    file = zipped(tmp_path / "texts.zip", folder)
    run(database, bring(database, file, "corpus", name="mine"))
    assert run(database, taken(database)).startswith("corpus mine: 1 documents, 1 sources")


@pytest.mark.parametrize(
    ("name", "content", "text", "message"),
    [
        ("m.csv", "models", "model\nant\n", "m.csv lacks the column family"),
        ("a.csv", "accuracies", "model,task,accuracy\nyeti,adding,0.5\n", "the model 'yeti'"),
        ("p.parquet", "losses", "no", "p.parquet"),
        ("d.jsonl", "corpus", "{", "d.jsonl line 1 is not JSON"),
        ("s.csv", "split", "model,split\nant,train\n", "at least 3 train models"),
        ("x.csv", "secrets", "", "a job imports corpus, models"),
    ],
)
def test_a_refused_file_is_one_sentence_without_its_path_and_nothing_is_left(
    world_db: Path, tmp_path: Path, name: str, content: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    before = contents(world_db)
    job = bring(world_db, tmp_path / name, content, name="x")
    with pytest.raises(CsvcoreError) as caught:
        run(world_db, job)
    assert message in str(caught.value)
    assert "uploads" not in str(caught.value)
    assert contents(world_db) == before
    assert left(world_db) == []


def test_an_import_of_another_list_than_was_confirmed_does_nothing(
    world_db: Path, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "m.csv", "model,family", [["ant", "wild"]])
    run(world_db, bring(world_db, file, "models"))
    job = taken(world_db)
    change(world_db, "UPDATE models SET family = 'other' WHERE model = 'ant'")
    before = contents(world_db)
    with pytest.raises(StoreError, match="has changed since the list of changes was made"):
        run(world_db, job)
    assert contents(world_db) == before
    [preview] = uploads.previews(world_db)  # the list is made anew, of the same upload
    assert preview.rows == [("model", "ant", "changed", "family other", "family wild")]
    run(world_db, taken(world_db))
    assert left(world_db) == []


def test_an_upload_waits_where_its_import_may_succeed_later(
    world_db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_csv(tmp_path / "m.csv", "model,family", [["ant", "wild"]])
    run(world_db, bring(world_db, file, "models"))
    job = taken(world_db)

    def busy(*_: Any) -> None:
        raise StoreError("in use")

    with monkeypatch.context() as patch:
        patch.setattr(store, "perform", busy)
        with pytest.raises(StoreError, match="in use"):
            run(world_db, job)
    assert run(world_db, taken(world_db)).endswith("1 model changed")
    assert left(world_db) == []


def test_a_refusal_names_no_stored_accuracy(world_db: Path, tmp_path: Path) -> None:
    """The queue is for all to see, and the accuracy may be of a hidden test model."""
    file = write_csv(tmp_path / "a.csv", "model,task,accuracy", [["owl", "adding", 0.123]])
    with pytest.raises(InputError) as caught:
        run(world_db, bring(world_db, file, "accuracies"))
    assert str(caught.value).startswith("owl on adding is stored with another accuracy;")
    with store.connect(world_db, read_only=True) as db:
        for entry in store.accuracies(db):
            assert f"{entry.accuracy:g}" not in str(caught.value)


def test_a_cancelled_look_leaves_nothing(world_db: Path, world_files: Path) -> None:
    def stop(*_: Any) -> None:
        raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        run(world_db, bring(world_db, world_files / "models.csv", "models"), stop)
    assert left(world_db) == []


def test_a_job_imports_no_other_file_and_deletes_none(world_db: Path, world_files: Path) -> None:
    file = world_files / "models.csv"
    for path in (file, queue.uploads_path(world_db) / "x" / ".." / ".." / ".." / file.name):
        for job in (ExamineJob("models", "m", str(path)), ImportJob("", "m", str(path), "models")):
            with pytest.raises(InputError, match="a job imports files of"):
                run(world_db, job)
    assert file.exists()


def test_replacing_is_a_setting(world_db: Path, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", "model,task,accuracy", [["ant", "adding", 0.5]])
    with pytest.raises(InputError, match="is stored with another accuracy"):
        run(world_db, bring(world_db, file, "accuracies"))
    run(world_db, bring(world_db, file, "accuracies", replace=True))
    assert "1 accuracy changed" in run(world_db, taken(world_db))


def test_a_look_at_what_is_stored_says_so(world_db: Path, world_files: Path) -> None:
    message = run(world_db, bring(world_db, world_files / PACK, "losses", corpus="words"))
    assert message.startswith("11 unchanged;")
    assert len(DOCS) * 11 == len(contents(world_db)["losses"])


def test_a_preview_holds_text_alone(world_db: Path, world_files: Path) -> None:
    job = bring(world_db, world_files / "models.csv", "models")
    run(world_db, job)
    json.loads((Path(job.file).parent / uploads.PREVIEW).read_text())
