from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from helpers import DOCS, copies
from playwright.sync_api import Page, expect

from csvcore import jobs, pipeline, store

pytestmark = pytest.mark.browser
Visit = Callable[[str], Page]
PATIENCE = 240_000  # ms; the worker is nice, and a machine that trains beside it takes a minute
HOSTILE = "<img src=x onerror=window.hacked=1> **bold** [link](x) :red[r]"


@pytest.fixture(scope="module")
def words(world_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a corpus and no losses."""
    path = tmp_path_factory.mktemp("collect") / "words.duckdb"
    pipeline.init(path)
    pipeline.import_corpus(path, world_files / "documents.jsonl", "words")
    return path


@pytest.fixture(scope="module")
def server(
    words: Path, serve: Callable[..., AbstractContextManager[str]], tiny_lm: Path
) -> Iterator[str]:
    """In place of the zoo's: a server that may collect from two models."""
    folder = words.parent / "models"
    copies(folder, tiny_lm, "ant", HOSTILE)
    with serve(words, CSVCORE_MODELS=str(folder), OMP_NUM_THREADS="1") as address:
        yield address


def test_a_collection_is_started_watched_and_counted_and_a_refresh_keeps_it(
    visit: Visit, words: Path
) -> None:
    page = visit("/collect?corpus=words")
    complete = page.get_by_test_id("stMetric").filter(has_text="Models with all losses")
    expect(complete).to_contain_text("0")
    expect(page.get_by_test_id("stMultiSelect")).to_contain_text(HOSTILE)
    page.get_by_role("button", name="Start").click()
    job = page.get_by_test_id("stExpander")
    expect(job).to_contain_text(f"1: Losses of {HOSTILE}, ant, ", timeout=PATIENCE)
    expect(page.get_by_test_id("stProgress")).to_be_visible(timeout=PATIENCE)

    page.reload()
    expect(job).to_have_count(1, timeout=PATIENCE)
    expect(job).to_contain_text("1: Losses of ")
    assert len(jobs.recent(words)) == 1  # a refresh submits no form again

    expect(complete).to_contain_text("2", timeout=PATIENCE)
    expect(job).to_contain_text(", done")
    expect(page.get_by_test_id("stProgress")).to_have_count(0)
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()  # how the losses were made
    assert page.evaluate("() => window.hacked ?? null") is None
    assert page.locator("img[src=x]").count() == 0
    with store.connect(words, read_only=True) as db:
        assert store.coverage(db, "words") == {"ant": len(DOCS), HOSTILE: len(DOCS)}
