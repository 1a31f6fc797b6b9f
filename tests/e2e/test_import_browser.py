import json
import re
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from playwright.sync_api import Page, expect

from csvcore import store
from csvcore.jobs import queue
from tests.e2e.browsing import drawn
from tests.support.world import DOCS, PACK, SIDES, World

PATIENCE = 240_000  # ms; the worker is nice, and a machine that trains beside it takes a minute


def lm_eval_zip(path: Path, world: World) -> Path:
    """The made-up accuracies as a zip of lm-evaluation-harness folders, with samples beside."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for model in SIDES:
            results = {
                task: {"acc,none": world.accuracy(model, task)} for task in ("reading", "adding")
            }
            raw = {"results": results, "config": {"model_args": f"pretrained=me/{model}"}}
            archive.writestr(f"results/me__{model}/results_2026.json", json.dumps(raw))
            archive.writestr(f"results/me__{model}/samples_2026.jsonl", "{}\n" * 1000)
    return path


def pick(page: Page, option: str) -> None:
    """Press an option of a row of choices."""
    page.get_by_test_id("stButtonGroup").get_by_text(option, exact=True).first.click()
    drawn(page)


def bring(page: Page, kind: str, file: Path, more: Callable[[], None] = lambda: None) -> None:
    """Bring a file of a kind, look at its changes and import it."""
    pick(page, kind)
    more()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(file)
    expect(page.get_by_test_id("stFileChip")).to_be_visible(timeout=PATIENCE)
    drawn(page)
    show = page.get_by_role("button", name="Show changes")
    expect(show).to_be_enabled(timeout=PATIENCE)
    show.click()
    confirm = page.get_by_role("button", name="Import", exact=True)
    expect(confirm).to_be_enabled(timeout=PATIENCE)
    confirm.click()
    job = page.get_by_test_id("stExpander").filter(
        has_text=re.compile(rf"Import of {re.escape(file.stem)}.*, done")
    )
    expect(job.first).to_be_visible(timeout=PATIENCE)
    expect(confirm).to_have_count(0, timeout=PATIENCE)
    drawn(page)


def write(page: Page, label: str, value: str) -> None:
    """Fill a field, and leave it so that the page takes it."""
    field = page.get_by_role("textbox", name=label, exact=True)
    field.fill(value)
    field.press("Enter")
    drawn(page)


def test_a_new_user_goes_from_own_files_to_a_fit_without_a_command_line(
    visit: Callable[..., Page],
    serve: Callable[..., AbstractContextManager[str]],
    world: World,
    world_files: Path,
    tmp_path: Path,
) -> None:
    database = tmp_path / "mine.duckdb"
    assert store.create(database)
    results = lm_eval_zip(tmp_path / "results.zip", world)
    with serve(database, OMP_NUM_THREADS="1") as address:
        page = visit("/", address)
        page.get_by_role("link", name="Go to Import").click()
        expect(page.get_by_role("heading", name="Import", exact=True)).to_be_visible()
        drawn(page)
        bring(page, "Corpus", world_files / "documents.jsonl", lambda: write(page, "Name", "words"))
        bring(page, "Models", world_files / "models.csv")
        bring(page, "Tasks", world_files / "tasks.csv")
        bring(page, "Accuracies", results, lambda: pick(page, "lm-eval results"))
        bring(page, "Loss pack", world_files / PACK)
        split = world_files / "splits" / "sides.csv"
        bring(page, "Split", split, lambda: write(page, "Name", "sides"))
        with store.connect(database, read_only=True) as db:
            assert store.splits(db) == ["sides"]
            assert len(store.models(db)) == len(SIDES)
            assert len(store.accuracies(db)) == 2 * len(SIDES)
            assert store.coverage(db, "words") == dict.fromkeys(SIDES, len(DOCS))
        assert list(queue.uploads_path(database).iterdir()) == []  # nothing is left over

        page.get_by_test_id("stSidebarNav").get_by_role("link", name="Fit", exact=True).click()
        page.get_by_role("button", name="Start", exact=True).click()
        job = page.get_by_test_id("stExpander").filter(has_text=re.compile("reading.*, done"))
        expect(job.first).to_be_visible(timeout=PATIENCE)
    with store.connect(database, read_only=True) as db:
        assert set(store.fits(db)["task"]) == {"reading", "adding"}
