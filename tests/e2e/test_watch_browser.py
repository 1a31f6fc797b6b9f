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
from tests.support.ladders import planted_ladder, store_ladders

PATIENCE = 180_000  # ms
MAIN = "from csvcore.cli import main; main()"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A database of made-up ladders, and a folder whose checkpoints are watched."""
    database, run = tmp_path / "ladders.duckdb", tmp_path / "my-run"
    store_ladders(database, planted_ladder(sizes=(6.4e8,)), oak=planted_ladder(0.003))
    run.mkdir()
    options = ["--corpus", "words", "--every", "1", "--device", "cpu", "--tokens-per-step", "10M"]
    with (tmp_path / "watch.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "--db", str(database), "watch", str(run), *options],
            stdout=log,
            stderr=log,
        )
    yield database, run
    process.terminate()
    process.wait(20)


def wait_until_stored(database: Path, n: int) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while True:
        with store.connect(database, read_only=True) as db:
            complete = store.complete_models(db, "words")
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
    tiny_lm: Path,
) -> None:
    database, run = watched
    with serve(database) as address:
        page = visit("/forecast?corpus=words&split=small&task=reading", address)
        page.evaluate("() => { window.sameDocument = true }")
        told = page.get_by_test_id("stMarkdown").filter(has_text="heads for")
        expect(told).to_be_visible(timeout=PATIENCE)
        shutil.copytree(tiny_lm, run / "step10")
        shutil.copytree(tiny_lm, run / "step20")
        wait_until_stored(database, 2)
        choose_run(page, "my-run")
        expect(told).to_contain_text("after 200M tokens", timeout=PATIENCE)
        before = told.inner_text()
        shutil.copytree(tiny_lm, run / "step40")
        expect(told).to_contain_text("after 400M tokens", timeout=PATIENCE)
        assert told.inner_text() != before
        expect(page.get_by_text("now", exact=True)).to_be_visible()
        assert page.evaluate("() => window.sameDocument") is True
