"""The bar above every page: name, links, keys, tour and the copied address, in a real browser."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from dashboard.components.top_bar import NAME, PURPOSE, STEPS
from tests.e2e.browsing import settled
from tests.support.docs import ROOT

Visit = Callable[..., Page]


def test_a_page_begins_at_its_top_with_name_purpose_and_the_copied_link(visit: Visit) -> None:
    page = visit("/overview?task=facts")
    expect(page.get_by_text(NAME, exact=True)).to_be_visible()
    expect(page.get_by_text(PURPOSE)).to_be_visible()
    assert page.title() == f"Overview – {NAME}"
    copy = page.get_by_role("button", name="Copy link").bounding_box()
    heading = page.get_by_role("heading", name="Overview").bounding_box()
    assert copy is not None
    assert heading is not None
    assert copy["y"] + copy["height"] < 60
    page.get_by_role("button", name="Close").click()  # the tour of a first visit
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("status").get_by_text("Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "task=facts" in copied
    assert "corpus=" in copied


def test_the_side_bar_lists_every_page_at_once(visit: Visit) -> None:
    page = visit("/?corpus=zoo&split=by-size&task=facts")
    links = page.get_by_test_id("stSidebarNav").get_by_role("link")
    expect(links).to_have_count(len(list((ROOT / "dashboard" / "pages").glob("[a-z]*.py"))))
    expect(links.last).to_be_visible()


def test_the_width_is_used(visit: Visit) -> None:
    page = visit("/?corpus=zoo&split=by-size&task=facts")
    for width, margin in ((1440, 40), (900, 24)):
        page.set_viewport_size({"width": width, "height": 1000})
        table = page.get_by_test_id("stDataFrame").first.bounding_box()
        main = page.get_by_test_id("stMain").bounding_box()
        assert table is not None
        assert main is not None
        assert table["x"] - main["x"] <= margin
        assert main["x"] + main["width"] - table["x"] - table["width"] <= margin + 16
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_question_mark_lists_the_keys_but_not_while_one_writes(visit: Visit) -> None:
    page = visit("/salience?corpus=zoo&task=facts")
    search = page.get_by_role("searchbox").or_(page.get_by_placeholder("plain text")).first
    search.focus()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_hidden()
    page.get_by_role("heading", name="Salience", exact=True).click()
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_text("next and previous salient token")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Keys").click()
    expect(dialog).to_be_visible()


def test_the_tour_has_three_steps_leads_over_pages_and_comes_once(visit: Visit) -> None:
    page = visit("/?task=facts")
    tour = page.get_by_role("region", name="Tour")
    expect(tour).to_contain_text(f"1 of {len(STEPS)}: {STEPS[0][0]}.")
    tour.get_by_role("button", name="Next").click()
    tour.get_by_role("button", name="Open Fit").click()
    expect(page.get_by_role("heading", name="Fit", exact=True)).to_be_visible()
    expect(tour).to_contain_text("2 of 3")
    tour.get_by_role("button", name="Next").click()
    expect(tour).to_contain_text("3 of 3")
    tour.get_by_role("button", name="Close").click()
    expect(tour).to_be_hidden()
    page.goto(page.url.split("/fit")[0])
    page.get_by_role("heading", name="Overview").wait_for()
    settled(page)
    expect(page.get_by_role("button", name="Tour")).to_be_visible()
    expect(tour).to_be_hidden()
    page.get_by_role("button", name="Tour").click()
    expect(tour).to_be_visible()


def test_the_docs_open_without_leaving_the_session(visit: Visit) -> None:
    page = visit("/curves?task=facts")
    page.evaluate("window.stays = true")
    page.get_by_role("link", name="Docs").first.click()
    page.get_by_role("link", name="Docs").last.click()
    expect(page.get_by_role("heading", name="The dashboard")).to_be_visible()
    assert page.evaluate("window.stays")
