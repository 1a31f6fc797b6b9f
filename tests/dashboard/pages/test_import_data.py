from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.errors import CsvcoreError, InputError
from csvcore.jobs import queue, uploads
from csvcore.pipeline import jobs
from dashboard.queries import changes, edits
from dashboard.queries.database import Database
from tests.support.world import PACK, change, contents, world_fit, write_csv

App = Callable[[Path], AppTest]


@pytest.fixture
def open_page(app_on: App, idle: list[list[str]]) -> App:
    """Opens the Import page; the tests work off the queue."""

    def open_(database: Path) -> AppTest:
        return run(app_on(database).run().switch_page("dashboard/pages/import_data.py"))

    return open_


def run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception
    assert app.header[0].value == "Import"
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(one for one in app.button if one.label == label).click()
    return run(app)


def choose(app: AppTest, label: str, option: str) -> AppTest:
    next(one for one in app.segmented_control if one.label == label).set_value(option)
    return run(app)


def bring(app: AppTest, content: str, file: Path, **texts: str) -> AppTest:
    """Bring a file as a user does, up to the button."""
    choose(app, "What to import", content)
    for label, value in texts.items():
        next(one for one in app.text_input if one.label == label).set_value(value)
    app.file_uploader[0].upload(file.name, file.read_bytes(), "application/octet-stream")
    return press(run(app), "Show changes")


def work_off(database: Path) -> list[str]:
    """Do what waits in the queue, and tell how each job ended."""
    ends = []
    while (job := queue.claim(database)) is not None:
        try:
            message = jobs.run_job(database, job.kind, job.params, lambda *_: None)
            queue.finish(database, job.job, "done", message)
        except CsvcoreError as error:
            message = str(error)
            queue.finish(database, job.job, "failed", message)
        ends.append(message)
    return ends


def table(app: AppTest) -> list[dict[str, Any]]:
    return [dict(row) for row in app.dataframe[0].value.to_dict("records")]


def waiting(database: Path) -> list[Path]:
    return list(queue.uploads_path(database).iterdir())


def test_from_an_empty_database_to_all_that_a_fit_needs(
    database: Path, open_page: App, world_files: Path, world_db: Path
) -> None:
    app = open_page(database)
    for content, name, texts in (
        ("corpus", "documents.jsonl", {"Name": "words"}),
        ("models", "models.csv", {}),
        ("tasks", "tasks.csv", {}),
        ("accuracies", "accuracies.csv", {}),
        ("split", "splits/sides.csv", {"Name": "sides"}),
        ("losses", str(PACK), {}),
    ):
        before = contents(database)
        bring(app, content, world_files / name, **texts)
        work_off(database)
        run(app)
        assert contents(database) == before, content
        assert {row["effect"] for row in table(app)} == {"added"}
        press(app, "Import")
        work_off(database)
        run(app)
        assert waiting(database) == []
    assert contents(database) == contents(world_db)


def test_old_and_new_values_are_shown_and_discarding_deletes_the_file(
    world_db: Path, open_page: App, tmp_path: Path
) -> None:
    before = contents(world_db)
    app = open_page(world_db)
    bring(app, "models", write_csv(tmp_path / "m.csv", "model,family", [["ant", "wild"]]))
    [kept] = waiting(world_db)
    work_off(world_db)
    run(app)
    assert table(app) == [
        {"what": "model", "name": "ant", "effect": "changed", "before": "family tame",
         "after": "family wild"}
    ]  # fmt: skip
    press(app, "Discard")
    assert not kept.exists()
    assert contents(world_db) == before
    assert "Import" not in [one.label for one in app.button]


def test_accuracies_of_hidden_test_models_are_not_shown(
    world_db: Path, open_page: App, tmp_path: Path
) -> None:
    app = open_page(world_db)
    rows = [[model, "adding", 0.5] for model in ("ant", "owl")]  # a train and a test model
    file = write_csv(tmp_path / "a.csv", "model,task,accuracy", rows)
    choose(app, "What to import", "accuracies")
    next(one for one in app.toggle if one.label == "Replace stored values").set_value(True)
    bring(run(app), "accuracies", file)
    work_off(world_db)
    run(app)
    ant, owl = table(app)
    assert (ant["after"], owl["before"], owl["after"]) == (
        "accuracy 0.5", changes.HIDDEN, changes.HIDDEN,
    )  # fmt: skip


def test_a_refusal_stands_in_the_queue_as_one_sentence_and_the_file_is_gone(
    world_db: Path, open_page: App, tmp_path: Path
) -> None:
    app = open_page(world_db)
    bring(app, "models", write_csv(tmp_path / "m.csv", "model,maker", [["ant", "x"]]))
    [told] = work_off(world_db)
    run(app)
    assert told.startswith("m.csv lacks the column family")
    assert any(told in one.value for one in app.text)
    assert waiting(world_db) == []


def test_a_name_is_asked_for_before_the_file_is_kept(
    database: Path, open_page: App, world_files: Path
) -> None:
    app = open_page(database)
    file = world_files / "documents.jsonl"
    app.file_uploader[0].upload(file.name, file.read_bytes(), "application/octet-stream")
    run(app)
    button = next(one for one in app.button if one.label == "Show changes")
    assert button.disabled
    assert "Give it a name first." in [one.value for one in app.caption]


def test_a_path_on_this_machine_is_taken_where_the_server_serves_it_alone(
    database: Path, open_page: App, world_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "takes_paths", lambda: True)
    app = open_page(database)
    choose(app, "What to import", "models")
    field = next(one for one in app.text_input if one.label.startswith("Or a path"))
    field.set_value(str(world_files / "models.csv"))
    press(run(app), "Show changes")
    assert work_off(database) == [
        "11 models added; nothing is imported before its list is confirmed"
    ]
    monkeypatch.setattr(changes, "takes_paths", lambda: False)
    run(app)
    assert not [one for one in app.text_input if one.label.startswith("Or a path")]
    db = Database(database, ())
    with pytest.raises(InputError, match="paths are for a browser on the server's machine"):
        edits.upload(db, "m.csv", world_files / "models.csv", "models", {})


@pytest.mark.parametrize(
    ("address", "hosts", "takes"),
    [
        ("127.0.0.1", ["localhost", "127.0.0.1"], True),
        ("127.0.0.1", [], True),
        ("127.0.0.1", ["localhost", "lab.example.org"], False),  # behind a proxy
        ("0.0.0.0", ["localhost"], False),
        (None, ["localhost"], False),
    ],
)
def test_paths_are_for_loopback_alone(
    monkeypatch: pytest.MonkeyPatch, address: str | None, hosts: list[str], takes: bool
) -> None:
    options = {"server.address": address, "server.allowedHosts": hosts}
    monkeypatch.setattr(changes.st, "get_option", options.__getitem__)
    assert changes.takes_paths() is takes


def test_a_removal_lists_what_depends_and_waits_for_a_confirmation(
    world_db: Path, open_page: App
) -> None:
    with store.connect(world_db) as db:
        world_fit(db, "reading-1", "reading")
    before = contents(world_db)
    app = open_page(world_db)
    app.multiselect[0].set_value(["ant"])
    run(app)
    assert contents(world_db) == before
    assert [row["name"] for row in table(app)] == [
        "ant", "ant on adding", "ant on reading", "ant on words", "ant in sides", "reading-1",
    ]  # fmt: skip
    button = next(one for one in app.button if one.label == "Remove")
    assert button.disabled
    next(one for one in app.checkbox if one.label == "Remove all of this").check()
    press(run(app), "Remove")
    assert "ant" not in [row[0] for row in contents(world_db)["models"]]
    assert contents(world_db)["fits"] == []
    [done] = [one.value for one in app.success]
    assert "1 fit removed" in done


@pytest.mark.parametrize(
    ("kind", "name", "table_"),
    [
        ("splits", "sides", "splits"),
        ("fits", "reading-1", "fits"),
        ("corpora", "words", "documents"),
        ("tasks", "adding", "tasks"),
    ],
)
def test_every_kind_can_be_removed(
    world_db: Path, open_page: App, kind: str, name: str, table_: str
) -> None:
    with store.connect(world_db) as db:
        world_fit(db, "reading-1", "reading")
    app = choose(open_page(world_db), "What to remove", kind)
    app.multiselect[0].set_value([name])
    run(app)
    next(one for one in app.checkbox if one.label == "Remove all of this").check()
    press(run(app), "Remove")
    assert not [row for row in contents(world_db)[table_] if name in row]


def test_a_removal_after_a_change_does_nothing_and_says_so(world_db: Path, open_page: App) -> None:
    app = open_page(world_db)
    app.multiselect[0].set_value(["ant"])
    run(app)
    next(one for one in app.checkbox if one.label == "Remove all of this").check()
    run(app)
    change(world_db, "UPDATE models SET family = 'other' WHERE model = 'ant'")
    change(world_db, "DELETE FROM accuracies WHERE model = 'ant' AND task = 'adding'")
    before = contents(world_db)
    press(app, "Remove")
    assert contents(world_db) == before


def test_a_forgotten_file_is_deleted_with_the_next_one(
    world_db: Path, open_page: App, world_files: Path
) -> None:
    app = open_page(world_db)
    bring(app, "models", world_files / "models.csv")
    [job] = queue.recent(world_db)
    queue.cancel(world_db, job.job)
    [old] = waiting(world_db)
    bring(run(app), "tasks", world_files / "tasks.csv")
    assert not old.exists()
    assert len(waiting(world_db)) == 1
    assert uploads.previews(world_db) == []
