from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from csvcore import store
from csvcore.jobs import queue
from dashboard.widgets.text import WORD_JOINER
from tests.support.world import DOCS, HOSTILE_NAME, SIDES

# An invisible character keeps Streamlit from colours and icons in a name.
SHOWN_NAME = HOSTILE_NAME.replace(":", f":{WORD_JOINER}")
PATIENCE = 240_000  # ms; the worker is nice, and a machine that trains beside it takes a minute


def test_a_collection_is_started_watched_and_counted_and_a_refresh_keeps_it(
    visit: Callable[..., Page], work: Path, work_server: str
) -> None:
    page = visit("/collect?corpus=words", work_server)
    complete = page.get_by_test_id("stMetric").filter(has_text="Models with all losses")
    expect(complete).to_contain_text(str(len(SIDES)), timeout=PATIENCE)
    expect(page.get_by_test_id("stMultiSelect")).to_contain_text(HOSTILE_NAME)
    before = len(queue.recent(work))
    page.get_by_role("button", name="Start", exact=True).click()
    job = page.get_by_test_id("stExpander").filter(has_text=f"Losses of {SHOWN_NAME}, yak, ")
    expect(job).to_be_visible(timeout=PATIENCE)

    page.reload()
    expect(job).to_have_count(1, timeout=PATIENCE)
    assert len(queue.recent(work)) == before + 1  # a refresh submits no form again

    expect(complete).to_contain_text(str(len(SIDES) + 2), timeout=PATIENCE)
    expect(job).to_contain_text(", done")
    expect(page.get_by_test_id("stProgress")).to_have_count(0)
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()  # how the losses were made
    assert page.evaluate("() => window.hacked ?? null") is None
    assert page.locator("img[src=x]").count() == 0
    with store.connect(work, read_only=True) as db:
        covered = store.coverage(db, "words")
    assert covered["yak"] == covered[HOSTILE_NAME] == len(DOCS)
