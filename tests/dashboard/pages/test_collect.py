import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from csvcore import lm, store
from csvcore.errors import Cancelled, CollectError
from csvcore.jobs import queue
from csvcore.jobs.specs import CompareJob
from csvcore.pipeline import collect, jobs
from csvcore.pipeline.collect import CollectConfig
from dashboard.queries import database
from dashboard.widgets.text import plain
from tests.support.database_at import at
from tests.support.world import DOCS, contents, copies, save_gpt2, spoil

pytestmark = pytest.mark.slow

HOSTILE = "**bold** <img src=x onerror=alert(1)> [link](x) $x^2$ :red[r] `c` &amp;"
Report = Callable[[int, int, str], None]


@pytest.fixture
def models(tiny_lm: Path, tmp_path: Path) -> Path:
    """A folder of two models, a folder without safetensors, and a file."""
    folder = tmp_path / "models"
    copies(folder, tiny_lm, "ant", "bee")
    empty = Path(copies(folder, tiny_lm, "without-weights")[0])
    (empty / "model.safetensors").rename(empty / "pytorch_model.bin")
    (folder / "notes.txt").write_text("not a folder")
    return folder


@pytest.fixture
def open_page(
    words_db: Path, app_on: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AppTest]:
    """Opens the page with these entries in CSVCORE_MODELS; nobody works off the queue."""
    monkeypatch.setattr(queue, "ensure_worker", lambda path: None)

    def open_(named: Sequence[Path | str] = (), seconds: float = 60) -> AppTest:
        monkeypatch.setenv("CSVCORE_MODELS", os.pathsep.join(map(str, named)))
        app = app_on(words_db, seconds)
        app.query_params["corpus"] = "words"
        return run(app.run().switch_page("dashboard/pages/collect.py"))

    return open_


def run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception
    assert app.header[0].value == "Collect"
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click()
    return run(app)


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def offered(app: AppTest) -> list[str]:
    return list(app.multiselect[0].options)


def work_off(path: Path, report: Report = lambda step, total, message="": None) -> str:
    """What the worker does for the newest job."""
    [job, *_] = queue.recent(path)
    assert job.kind == "collect"
    return jobs.run_job(path, job.kind, job.params, report)


def params_of(*folders: Path | str, dtype: str = "float32") -> dict[str, Any]:
    """What a collect job says."""
    return {"corpus": "words", "models": list(map(str, folders)), "config": {"dtype": dtype}}


# What is offered


@pytest.mark.parametrize("named", [[], [""], ["/no/such/folder"]])
def test_without_model_folders_the_page_says_how_to_name_them(
    open_page: Callable[..., AppTest], named: list[str]
) -> None:
    app = open_page(named)
    [hint] = app.info
    assert "make app MODELS=" in hint.value
    assert "results.duckdb collect MODEL... --corpus words`" in hint.value
    assert not app.multiselect
    assert "Start" not in [button.label for button in app.button]
    assert figures(app) == {
        "Documents": str(len(DOCS)),
        "Models with all losses": "0",
        "Models with missing losses": "0",
    }


def test_models_with_safetensors_are_offered_wherever_they_are_named(
    open_page: Callable[..., AppTest], models: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    # one folder of models, one model itself, one model twice, one that is not there
    app = open_page([models, tiny_llama, models / "bee", tmp_path / "none", ""])
    assert sorted(offered(app)) == ["ant", "bee", tiny_llama.name]
    assert sorted(app.multiselect[0].value) == sorted(
        str(folder.resolve()) for folder in (models / "ant", models / "bee", tiny_llama)
    )


def test_a_model_that_has_all_its_losses_is_offered_unchosen_and_said_to_be_stored(
    open_page: Callable[..., AppTest], models: Path, words_db: Path
) -> None:
    jobs.run_job(words_db, "collect", params_of(models / "ant"), lambda *_: None)
    app = open_page([models])
    assert offered(app) == ["ant (stored)", "bee"]
    assert app.multiselect[0].value == [str((models / "bee").resolve())]
    assert figures(app)["Models with all losses"] == "1"


def test_two_folders_of_one_name_can_be_told_apart_and_chosen_one_by_one(
    open_page: Callable[..., AppTest], tiny_lm: Path, tmp_path: Path, words_db: Path
) -> None:
    here, there = (Path(copies(tmp_path / at, tiny_lm, "ant")[0]) for at in ("here", "there"))
    app = open_page([here, there])
    app.multiselect[0].set_value([str(there.resolve())])
    press(app, "Start")
    assert queue.recent(words_db)[0].params["models"] == [str(there.resolve())]
    assert len(set(offered(app))) == 2


def test_a_folder_that_cannot_be_read_does_not_take_the_page_down(
    open_page: Callable[..., AppTest], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.iterdir

    def iterdir(self: Path) -> Any:  # tests may run as root, whom no mode bits stop
        if self.name == "locked":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self)

    (models.parent / "locked").mkdir()
    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert offered(open_page([models.parent / "locked", models])) == ["ant", "bee"]


# What Start does


def test_start_queues_one_job_with_what_was_chosen_and_the_same_again_is_the_same_job(
    open_page: Callable[..., AppTest], models: Path, words_db: Path
) -> None:
    app = open_page([models])
    press(app, "Start")
    press(app, "Start")
    [job] = queue.recent(words_db)
    folders = [(models / name).resolve() for name in ("ant", "bee")]
    assert (job.kind, job.status) == ("collect", "queued")
    assert job.params == params_of(*folders)
    assert app.expander[0].label == plain("1: Losses of ant, bee, queued")

    app.multiselect[0].set_value([str(folders[1])])
    app.get("button_group")[0].set_value("bfloat16")
    press(app, "Start")
    newest, _ = queue.recent(words_db)
    assert newest.params == params_of(folders[1], dtype="bfloat16")


def test_nothing_chosen_queues_nothing_and_says_so(
    open_page: Callable[..., AppTest], models: Path, words_db: Path
) -> None:
    app = open_page([models])
    app.multiselect[0].set_value([])
    press(app, "Start")
    assert "at least one model" in app.warning[0].value
    assert queue.recent(words_db) == []


def test_a_waiting_collection_can_be_cancelled_from_the_page(
    open_page: Callable[..., AppTest], models: Path, words_db: Path
) -> None:
    app = press(open_page([models]), "Start")
    press(app, "Cancel")
    [job] = queue.recent(words_db)
    assert job.status == "cancelled"
    assert contents(words_db)["losses"] == []


def test_a_running_job_behind_many_that_ended_does_not_keep_the_page_running(
    open_page: Callable[..., AppTest], models: Path, words_db: Path
) -> None:
    # hours of collecting, and meanwhile eight and more others queued and taken back
    running = queue.submit(words_db, "collect", params_of(models / "ant"))
    assert queue.claim(words_db) is not None
    for seed in range(10):
        queue.cancel(
            words_db, queue.submit_spec(words_db, CompareJob("words", "sides", (f"t{seed}",)))
        )
    try:
        app = open_page([models], seconds=15)
        assert any("running" in status.label for status in app.expander)
    finally:
        queue.finish(words_db, running, "done", "over")  # whatever goes round and round stops


# What the job does


def test_the_job_stores_the_losses_reports_its_progress_and_the_page_shows_how_they_were_made(
    open_page: Callable[..., AppTest], models: Path, words_db: Path, one_by_one: None
) -> None:
    app = press(open_page([models]), "Start")
    seen: list[tuple[int, int, str]] = []
    message = work_off(words_db, lambda step, total, text="": seen.append((step, total, text)))
    assert message == "losses of 2 models on words stored or found"

    looking = [text for _, _, text in seen if text.startswith("looking at")]
    assert looking == ["looking at ant", "looking at bee"]
    scoring_ = [entry for entry in seen if entry[2].startswith("scoring")]
    tokens = sum(len(row.nll) for row in lm.score(lm.load(str(models / "ant")), DOCS))
    steps = [step for step, _, _ in scoring_]
    assert steps == sorted(steps)
    assert len(set(steps)) > len(DOCS)  # after every shard at least
    assert {total for _, total, _ in scoring_} == {2 * tokens}
    assert steps[-1] == 2 * tokens
    assert {text for _, _, text in scoring_} == {"scoring ant", "scoring bee"}

    queue.finish(words_db, queue.recent(words_db)[0].job, "done", message)
    run(app)
    assert figures(app)["Models with all losses"] == "2"
    table = app.dataframe[0].value
    assert table["model"].tolist() == ["ant", "bee"]
    assert table["documents"].tolist() == [len(DOCS)] * 2
    assert set(table["engine"]) == {"transformers"}
    assert set(table["dtype"]) == {"float32"}
    assert set(table["prefix"]) == {"<|endoftext|>"}
    with store.connect(words_db, read_only=True) as db:
        made = store.manifests(db, "words")["ant"]
    assert made is not None
    assert set(table["weights"]) == {made.short_weights}
    assert set(table["context"]) == {"whole"}


def test_the_losses_are_those_of_the_command(models: Path, words_db: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(words_db, tmp_path / "other.duckdb"))
    jobs.run_job(words_db, "collect", params_of(models / "ant"), lambda *_: None)
    config = CollectConfig()
    list(collect.collect(collect.prepare(other, [str(models / "ant")], "words", config)))
    assert contents(words_db)["losses"] == contents(other)["losses"]


def test_the_dtype_reaches_the_model(models: Path, words_db: Path) -> None:
    params = params_of(models / "ant", dtype="bfloat16")
    jobs.run_job(words_db, "collect", params, lambda *_: None)
    with store.connect(words_db, read_only=True) as db:
        made = store.manifests(db, "words")["ant"]
    assert made is not None
    assert made.dtype == "bfloat16"


def test_the_same_job_again_finds_everything_stored(models: Path, words_db: Path) -> None:
    params = params_of(models / "ant", models / "bee")
    jobs.run_job(words_db, "collect", params, lambda *_: None)
    before = contents(words_db)
    seen: list[str] = []
    message = jobs.run_job(words_db, "collect", params, lambda s, t, text="": seen.append(text))
    assert message == "losses of 2 models on words stored or found"
    assert not any(text.startswith("scoring") for text in seen)
    assert contents(words_db) == before


@pytest.mark.parametrize("fault", ["nan", "no-tokenizer", "gone"])
def test_a_bad_model_fails_the_job_with_a_sentence_and_the_others_are_stored(
    open_page: Callable[..., AppTest], models: Path, words_db: Path, fault: str
) -> None:
    app = press(open_page([models]), "Start")
    if fault == "nan":
        spoil(models / "ant")
    elif fault == "no-tokenizer":
        for file in (models / "ant").glob("tokenizer*"):
            file.unlink()
    else:
        shutil.rmtree(models / "ant")
    with pytest.raises(CollectError, match=r"1 of 2 models failed.*stored: .*ant: ") as error:
        work_off(words_db)
    assert "\n" not in str(error.value)
    with store.connect(words_db, read_only=True) as db:
        assert store.coverage(db, "words") == {"bee": len(DOCS)}

    queue.finish(words_db, queue.recent(words_db)[0].job, "failed", str(error.value))
    run(app)
    assert any(str(error.value) in text.value for text in app.text)
    assert figures(app)["Models with all losses"] == "1"


def test_when_every_model_failed_the_sentence_does_not_say_that_others_are_stored(
    models: Path, words_db: Path
) -> None:
    spoil(models / "ant")
    with pytest.raises(CollectError) as error:
        jobs.run_job(words_db, "collect", params_of(models / "ant"), lambda *_: None)
    assert "the others are stored" not in str(error.value)


def test_a_job_that_is_cancelled_leaves_nothing_half_stored_and_the_next_one_goes_on(
    models: Path, words_db: Path, one_by_one: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_gpt2(models / "bee", seed=5)  # not the same losses as ant
    params = params_of(models / "ant", models / "bee")
    begun: list[tuple[str, str]] = []
    real = lm.score

    def watched(model: Any, docs: Any, *more: Any) -> Any:
        begun.extend((model.name, doc.doc_id) for doc in docs)
        return real(model, docs, *more)

    monkeypatch.setattr(lm, "score", watched)

    def stop_in_bee(step: int, total: int, text: str = "") -> None:
        if begun and begun[-1] == ("bee", DOCS[3].doc_id):
            raise Cancelled(f"cancelled at step {step} of {total}")

    with pytest.raises(Cancelled, match=r"cancelled at step \d+ of \d+"):
        jobs.run_job(words_db, "collect", params, stop_in_bee)
    with store.connect(words_db, read_only=True) as db:
        assert store.coverage(db, "words") == {"ant": len(DOCS)}  # whole or not at all

    begun.clear()
    jobs.run_job(words_db, "collect", params, lambda *_: None)
    assert begun == [("bee", doc.doc_id) for doc in DOCS[3:]]
    with store.connect(words_db, read_only=True) as db:
        assert store.coverage(db, "words") == {"ant": len(DOCS), "bee": len(DOCS)}


def test_a_job_can_be_cancelled_before_the_first_model_is_looked_at(
    models: Path, words_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lm, "load", lambda *_: pytest.fail("a model was loaded"))

    def stop(step: int, total: int, text: str = "") -> None:
        raise Cancelled("cancelled")

    before = contents(words_db)
    with pytest.raises(Cancelled):
        jobs.run_job(words_db, "collect", params_of(models / "ant"), stop)
    assert contents(words_db) == before


# Names that are more than names


def test_a_hostile_name_is_shown_as_the_text_it_is(
    open_page: Callable[..., AppTest], tiny_lm: Path, tmp_path: Path, words_db: Path
) -> None:
    copies(tmp_path / "models", tiny_lm, HOSTILE)
    app = press(open_page([tmp_path / "models"]), "Start")
    assert offered(app) == [HOSTILE]  # labels of options are text
    assert app.expander[0].label == plain(f"1: Losses of {HOSTILE}, queued")

    assert work_off(words_db).startswith("losses of 1 models")
    running = queue.claim(words_db)
    assert running is not None
    queue.Reporter(words_db, running.job)(1, 2, f"scoring {HOSTILE}")
    run(app)
    for markdown in [*app.markdown, *app.caption]:
        assert HOSTILE not in markdown.value
        assert not getattr(markdown, "allow_html", False)
    queue.finish(words_db, running.job, "failed", f"{HOSTILE}: it failed")
    run(app)
    assert any(f"{HOSTILE}: it failed" in text.value for text in app.text)
    assert app.dataframe[0].value["model"].tolist() == [HOSTILE]
    assert offered(app) == [f"{HOSTILE} (stored)"]


# What the page reads


def test_the_variable_may_name_folders_relative_to_where_the_app_runs(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models.parent)
    monkeypatch.setenv("CSVCORE_MODELS", "models")
    found = database.model_folders()
    # absolute, as the worker runs elsewhere
    assert found == [(models / name).resolve() for name in ("ant", "bee")]


def test_losses_without_a_manifest_have_a_row_with_empty_cells(world_db: Path) -> None:
    with store.connect(world_db) as db:
        db.execute("UPDATE manifests SET manifest = NULL WHERE model = 'ant'")
    table = database.manifests(at(world_db), "words").set_index("model")
    assert table.loc["ant", "documents"] == len(DOCS)
    assert table.loc["ant", "weights"] == ""
    assert table.loc["ant", ["engine", "dtype", "created"]].isna().all()
    assert table.loc["bee", "weights"] == "made-up"
