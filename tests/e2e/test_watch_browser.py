import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from csvcore import store
from csvcore.formats import csv_tables
from csvcore.formats.bundled import ZOO, ZOO_CORPORA
from csvcore.pipeline import imports

PATIENCE = 180_000  # ms
RUN = Path(__file__).parents[1] / "fixtures" / "run-of-ebb-s"
MAIN = "from csvcore.cli import main; main()"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The zoo's family `ebb` without its size `s`, and a folder whose checkpoints are watched."""
    database, run = tmp_path / "zoo.duckdb", tmp_path / "my-run"
    import_family(database, "ebb", without="ebb-s")
    run.mkdir()
    options = ["--corpus", "zoo", "--every", "1", "--device", "cpu", "--tokens-per-step", "1536"]
    with (tmp_path / "watch.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "--db", str(database), "watch", str(run), *options],
            stdout=log,
            stderr=log,
        )
    yield database, run
    process.terminate()
    process.wait(20)


def import_family(database: Path, family: str, without: str) -> None:
    """Store the stable first runs of a zoo's family, all of them for training, but one run."""
    cards = [
        card
        for card in csv_tables.read_models(ZOO / "models.csv")
        if card.family == family and card.run is None and card.stage == "stable"
    ]
    cards = [card for card in cards if not card.model.startswith(f"{without}-")]
    names = {card.model for card in cards}
    docs = csv_tables.read_corpus(ZOO / ZOO_CORPORA["zoo"])
    imports.init(database)
    with store.connect(database) as db:
        store.add_corpus(db, "zoo", csv_tables.corpus_sha256(docs), docs)
        store.add_models(db, cards)
        store.add_tasks(db, csv_tables.read_tasks(ZOO / "tasks.csv"))
        accuracies = csv_tables.read_accuracies([ZOO / "accuracies.csv"])
        store.add_accuracies(db, [row for row in accuracies if row.model in names])
        store.add_split(db, "ladder", dict.fromkeys(names, "train"))
    packs = {name.rpartition("-step")[0] for name in names}
    imports.import_losses(database, [ZOO / "losses" / "zoo" / f"{run}.parquet" for run in packs])


def wait_until_stored(database: Path, n: int) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while True:
        with store.connect(database, read_only=True) as db:
            complete = store.complete_models(db, "zoo")
        if sum(model.startswith("my-run") for model in complete) == n:
            return
        assert time.monotonic() < deadline, complete
        time.sleep(1)


def choose_run(page: Page, name: str) -> None:
    """Choose a run once the page, which looks every few seconds, offers it."""
    option = page.get_by_role("option", name=name)
    deadline = time.monotonic() + PATIENCE / 1000
    while True:
        page.get_by_role("combobox", name="Run").click()
        page.wait_for_timeout(500)
        if option.count():
            option.click()
            return
        assert time.monotonic() < deadline, "the run is not offered"
        page.keyboard.press("Escape")
        page.wait_for_timeout(3000)


def test_the_band_of_a_run_moves_as_its_checkpoints_appear(
    visit: Callable[..., Page],
    serve: Callable[..., AbstractContextManager[str]],
    watched: tuple[Path, Path],
) -> None:
    database, run = watched
    with serve(database) as address:
        page = visit("/forecast?corpus=zoo&split=ladder&task=facts", address)
        page.evaluate("() => { window.sameDocument = true }")
        told = page.get_by_test_id("stMarkdown").filter(has_text="heads for")
        expect(told).to_be_visible(timeout=PATIENCE)
        shutil.copytree(RUN / "step661", run / "step661")
        shutil.copytree(RUN / "step2015", run / "step2015")
        wait_until_stored(database, 2)
        choose_run(page, "my-run")
        expect(told).to_contain_text("after 3.1M tokens", timeout=PATIENCE)
        before = told.inner_text()
        shutil.copytree(ZOO / "models" / "ebb-s", run / "step6144")
        expect(told).to_contain_text("after 9.44M tokens", timeout=PATIENCE)
        assert told.inner_text() != before
        expect(page.get_by_text("now", exact=True)).to_be_visible()
        assert page.evaluate("() => window.sameDocument") is True
