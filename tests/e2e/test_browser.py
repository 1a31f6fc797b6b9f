import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import drawn

Visit = Callable[..., Page]
# Contrast of text and shade as WCAG 2 defines it; a canvas turns any colour into red, green, blue.
CONTRASTS = """tokens => {
  const pixel = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const light = colour => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...pixel.getImageData(0, 0, 1, 1).data].map(value => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  return tokens.map(token => {
    const style = getComputedStyle(token);
    const [one, other] = [light(style.color), light(style.backgroundColor)];
    return Math.max(one, other) / Math.min(one, other);
  });
}"""


def test_the_overview_shows_the_zoo(visit: Visit) -> None:
    page = visit("/?corpus=zoo")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_text("550", exact=True)).to_be_visible()


def test_a_click_on_a_token_shows_its_loss_in_every_model(visit: Visit) -> None:
    page = visit("/salience?corpus=zoo&task=facts&source=swaps-worked")
    page.locator(".token[data-index='3']").click()
    expect(page.get_by_role("heading", name="Token 3", exact=True)).to_be_visible()
    expect(page.locator(".token.selected")).to_have_count(1)


def test_the_keyboard_selects_a_token_and_escape_clears_it(visit: Visit) -> None:
    page = visit("/salience?corpus=zoo&task=facts&source=swaps-worked")
    page.locator(".text").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Token 2", exact=True)).to_be_visible()
    page.locator(".text").focus()
    page.keyboard.press("Escape")
    expect(page.locator(".token.selected")).to_have_count(0)


LINK = "/salience?corpus=zoo&split=by-size&task=facts&source=facts&doc=facts-001"


def test_a_link_restores_page_task_and_document(visit: Visit) -> None:
    page = visit(LINK)
    expect(page.get_by_role("heading", name="Salience", exact=True)).to_be_visible()
    expect(page.get_by_role("combobox", name="Task", exact=True)).to_have_value("facts")
    expect(page.locator(".text")).to_contain_text("Devabe like to eat?")


def test_the_split_that_was_chosen_is_there_after_a_reload(visit: Visit) -> None:
    page = visit("/models?corpus=zoo&task=facts")
    for name in ("closed-source", "by-size"):
        side_bar = page.get_by_test_id("stSidebar")
        box = side_bar.get_by_role("combobox", name="Split", exact=True)
        box.click()
        page.get_by_role("option", name=name, exact=True).click()
        drawn(page)
        page.reload()
        drawn(page)
        expect(box).to_have_value(name)


def test_a_link_restores_the_token(visit: Visit) -> None:
    page = visit(f"{LINK}&token=facts-001:2")
    expect(page.locator(".token.selected")).to_have_attribute("data-index", "2")


def test_hostile_tokens_are_shown_as_text_and_do_nothing(visit: Visit) -> None:
    page = visit("/salience?corpus=hostile&task=facts")
    expect(page.locator(".token", has_text="<").first).to_be_visible()
    assert page.locator(".text script, .text img, .text style, .text svg").count() == 0
    assert page.evaluate("() => window.hacked ?? null") is None
    shown = page.locator(".text").inner_text()
    assert "<script>window.hacked=1</script>" in shown
    assert "⟨202E⟩" in shown  # a mark that would turn the line round


def test_a_file_that_is_no_loss_pack_is_refused_in_one_sentence(visit: Visit) -> None:
    page = visit("/predict?corpus=zoo&split=by-size&task=facts")
    notes = {"name": "notes.parquet", "mimeType": "", "buffer": b"these are my notes\n" * 500}
    page.locator("input[type=file]").set_input_files([notes])  # type: ignore[list-item]
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_contain_text("Parquet")
    expect(alert).to_contain_text("notes.parquet")
    expect(alert).to_have_count(1)
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_of_every_shade_can_be_read(visit: Visit, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    visit("/salience?corpus=hostile&task=facts")
    tokens = page.locator(".token")
    expect(tokens.first).to_be_visible()
    background = "app => getComputedStyle(app).backgroundColor"
    is_white = page.get_by_test_id("stApp").evaluate(background) == "rgb(255, 255, 255)"
    assert is_white == (scheme == "light")
    contrasts = tokens.evaluate_all(CONTRASTS)
    assert len(contrasts) > 100
    assert min(contrasts) >= 4.5  # WCAG AA

    assert "<script>window.hacked=1</script>" in page.locator(".text").inner_text()


def test_hostile_names_and_a_huge_token_leave_the_page_usable(visit: Visit) -> None:
    page = visit("/salience?corpus=hostile&task=facts&source=&find=script&colour=loss")
    expect(page.locator(".token.match").first).to_be_visible()
    expect(page.locator(".doc")).to_have_count(2)
    assert len(page.locator(".doc").nth(1).inner_text()) < 3_000  # of a million characters
    page.locator(".doc").nth(1).locator(".token").click()
    expect(page.get_by_role("heading", name="Token 0", exact=True)).to_be_visible()
    assert page.evaluate("() => window.hacked ?? null") is None
    assert page.locator("img[src=x]").count() == 0


def test_tokens_are_jumped_to_and_a_range_reaches_over_documents(visit: Visit) -> None:
    page = visit("/salience?corpus=zoo&task=facts&source=facts&find=Answer")
    page.get_by_role("button", name="next salient token ▶").click()
    expect(page.locator(".token.cursor")).to_have_class(re.compile(r"\bl[6-9]\b"))
    page.get_by_role("button", name="next match ▶").click()
    expect(page.locator(".token.cursor")).to_have_class(re.compile(r"\bmatch\b"))
    page.locator(".doc").nth(0).locator(".token").last.click()
    heading = page.get_by_role("heading", name=re.compile(r"^Token \d+"))
    expect(heading).to_be_visible()
    page.locator(".doc").nth(1).locator(".token").first.click(modifiers=["Shift"])
    expect(heading).to_contain_text("to token 0 of facts-001")
    assert page.url.count("token=") == 2
    n_tokens = page.locator(".token").count()
    page.locator(".text").evaluate("node => node.scrollTo(0, node.scrollHeight)")
    expect(page.locator(".token.selected")).to_have_count(2)
    assert page.locator(".token").count() >= n_tokens
