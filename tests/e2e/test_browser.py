import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
Visit = Callable[[str], Page]


def test_the_overview_shows_the_zoo(visit: Visit) -> None:
    page = visit("/?corpus=zoo")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_text("550", exact=True)).to_be_visible()


def test_a_click_on_a_token_shows_its_loss_in_every_model(visit: Visit) -> None:
    page = visit("/salience?task=facts&source=swaps-worked")
    page.locator(".token[data-index='3']").click()
    expect(page.get_by_role("heading", name="Token 3", exact=True)).to_be_visible(timeout=60_000)
    expect(page.locator(".token.selected")).to_have_count(1)


def test_the_keyboard_selects_a_token_and_escape_clears_it(visit: Visit) -> None:
    page = visit("/salience?task=facts&source=swaps-worked")
    page.locator(".text").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Token 2", exact=True)).to_be_visible(timeout=60_000)
    page.locator(".text").focus()
    page.keyboard.press("Escape")
    expect(page.locator(".token.selected")).to_have_count(0)


def test_hostile_tokens_are_shown_as_text_and_do_nothing(visit: Visit) -> None:
    page = visit("/salience?corpus=hostile&task=facts")
    expect(page.locator(".token", has_text="<").first).to_be_visible(timeout=60_000)
    assert page.locator(".text script, .text img, .text style, .text svg").count() == 0
    assert page.evaluate("() => window.hacked ?? null") is None
    assert "<script>window.hacked=1</script>" in page.locator(".text").inner_text()


def test_hostile_names_and_a_huge_token_leave_the_page_usable(visit: Visit) -> None:
    page = visit("/salience?corpus=hostile&task=facts&find=script&colour=loss")
    expect(page.locator(".token.match").first).to_be_visible(timeout=60_000)
    expect(page.locator(".doc")).to_have_count(2)
    assert len(page.locator(".doc").nth(1).inner_text()) < 3_000  # of a million characters
    page.locator(".doc").nth(1).locator(".token").click()
    expect(page.get_by_role("heading", name="Token 0", exact=True)).to_be_visible(timeout=60_000)
    assert page.evaluate("() => window.hacked ?? null") is None
    assert page.locator("img[src=x]").count() == 0


def test_tokens_are_jumped_to_and_a_range_reaches_over_documents(visit: Visit) -> None:
    page = visit("/salience?task=facts&source=facts&find=Answer")
    page.get_by_role("button", name="strong ▶").click()
    expect(page.locator(".token.cursor")).to_have_class(re.compile(r"\bl[6-9]\b"))
    page.get_by_role("button", name="match ▶").click()
    expect(page.locator(".token.cursor")).to_have_class(re.compile(r"\bmatch\b"))
    page.locator(".doc").nth(0).locator(".token").last.click()
    heading = page.get_by_role("heading", name=re.compile(r"^Token \d+"))
    expect(heading).to_be_visible(timeout=60_000)
    page.locator(".doc").nth(1).locator(".token").first.click(modifiers=["Shift"])
    expect(heading).to_contain_text("to token 0 of facts-001", timeout=60_000)
    assert page.url.count("token=") == 2
    n_tokens = page.locator(".token").count()
    page.locator(".text").evaluate("node => node.scrollTo(0, node.scrollHeight)")
    expect(page.locator(".token.selected")).to_have_count(2)
    assert page.locator(".token").count() >= n_tokens
