import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from csvcore import store
from csvcore.jobs import queue

PATIENCE = 240_000  # ms; the worker is nice, and a machine that trains beside it takes a minute
LONG = {  # far more steps than anybody waits for
    "corpus": "words",
    "split": "sides",
    "tasks": ["reading"],
    "method": "csv",
    "config": {"algorithm": "paper", "steps": 1_000_000},
}
Visit = Callable[..., Page]


@pytest.fixture
def second_tab(browser: Browser) -> Iterator[Page]:
    """A page of another session."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def go(page: Page, title: str) -> None:
    """Follow a link of the side bar."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=re.compile(title)).click()
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()


def split_is_stored(database: Path, page: Page) -> None:
    """Wait until the split `mine` is stored and the page is at rest."""
    for _ in range(300):
        with store.connect(database, read_only=True) as db:
            if "mine" in store.splits(db):
                break
        page.wait_for_timeout(200)
    page.wait_for_timeout(1000)  # the page goes on from there by itself
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def test_from_a_split_to_a_fit_to_the_token_that_puts_a_model_off_the_curve(
    visit: Visit, work: Path, work_server: str
) -> None:
    page = visit("/models?corpus=words&task=adding", work_server)
    page.get_by_role("textbox", name="Save as").fill("mine")
    page.get_by_role("button", name="Save split").click()
    split_is_stored(work, page)
    split = page.get_by_test_id("stSidebar").get_by_role("combobox", name="Split", exact=True)
    split.click()
    page.get_by_role("option", name="mine", exact=True).click()
    expect(split).to_have_value("mine")

    go(page, "Fit")
    page.get_by_role("button", name="Start", exact=True).click()
    job = page.get_by_test_id("stExpander").filter(has_text=re.compile("adding.*, done"))
    expect(job.first).to_be_visible(timeout=PATIENCE)

    go(page, "Curves")
    point = page.locator(".scatterlayer .point").first
    point.wait_for(state="attached")
    point.click(force=True)
    show = page.get_by_role("button", name="Show the token in its text")
    expect(show).to_be_disabled()  # until a row is chosen
    expect(page.get_by_role("heading", name="Deviation from the curve")).to_be_visible()
    above = "//*[@data-testid='stDataFrame'][following::button[contains(., 'Show the token')]]"
    tokens = page.locator(above)
    tokens.last.scroll_into_view_if_needed()
    tokens.last.click(position={"x": 15, "y": 52})  # the box before the first row
    expect(show).to_be_enabled()
    show.click()

    expect(page.get_by_role("heading", name="Salience", exact=True)).to_be_visible()
    expect(page.locator(".token.selected")).to_have_count(1)


# The worker that `submit` starts lives on, and outlives the handle of its process here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_running_fit_outlives_a_refresh_shows_in_every_tab_and_is_cancelled_in_all(
    visit: Visit, work: Path, work_server: str, second_tab: Page
) -> None:
    number = queue.submit(work, "fit", LONG)
    one = visit("/fit?corpus=words&split=sides", work_server)
    two = visit("/fit?corpus=words&split=sides", work_server, second_tab)
    tabs = [tab.get_by_test_id("stExpander").filter(has_text=f"{number}: ") for tab in (one, two)]
    for tab in tabs:
        expect(tab).to_contain_text(", running", timeout=PATIENCE)
    one.reload()
    expect(tabs[0]).to_contain_text(", running", timeout=PATIENCE)
    assert [job.job for job in queue.recent(work) if job.live] == [number]

    tabs[0].get_by_role("button", name="Cancel").click()
    for tab in tabs:
        expect(tab).to_contain_text(", cancelled", timeout=PATIENCE)
    expect(one.get_by_role("button", name="Cancel")).to_have_count(0)
