"""The clicks from a question to its answer: `python benchmarks/questions.py ADDRESS`.

ADDRESS is a dashboard on a database with the zoo and the fits of `csvcore compare --corpus zoo
--split by-size`, opened by an editor. Every question begins on the Overview; the clicks are
counted, a picture of the answer is saved in docs/questions/, and more than four clicks fail.
Needs Chromium.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "questions"
SIZE = {"width": 1280, "height": 800}
PATIENCE = 60_000  # ms
SEARCH = 1_800_000  # ms that the search of a mix may take
MOST = 4  # clicks
POINT = 20  # a model in the middle of the figure, away from its buttons


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the picture of its answer, and the way to it."""

    text: str
    picture: str
    answer: Callable[["Reader"], None]


@dataclass(slots=True)
class Reader:
    """A reader of the dashboard, whose clicks are counted."""

    page: Page
    n_clicks: int = 0

    def click(self, target: Locator) -> None:
        """Click on something and wait until the page's script has ended."""
        target.click()
        self.n_clicks += 1
        self.settle()

    def settle(self) -> None:
        """Wait until the page's script has ended and the browser has drawn."""
        self.page.wait_for_timeout(500)
        self.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        self.page.wait_for_timeout(500)

    def go(self, title: str) -> None:
        """Open a page by the side bar."""
        links = self.page.get_by_test_id("stSidebarNav")
        self.click(links.get_by_role("link", name=title, exact=True))

    def choose(self, label: str, option: str) -> None:
        """Choose an option of a list: one click on the list, one on the option."""
        self.click(self.page.get_by_role("combobox", name=label, exact=True))
        self.click(self.page.get_by_role("option", name=option).first)

    def show(self, target: Locator) -> None:
        """Wait for the answer and bring it into view."""
        target.first.wait_for()
        target.first.scroll_into_view_if_needed()
        self.settle()


def tokens(reader: Reader) -> None:
    """Open the text coloured by weight."""
    reader.go("Salience")
    reader.choose("Task", "swaps")
    reader.page.get_by_text("swaps-worked-000 · swaps-worked").wait_for()


def off_the_curve(reader: Reader) -> None:
    """Click on a model."""
    reader.go("Curves")
    reader.choose("Task", "swaps")
    points = reader.page.locator(".scatterlayer .point")
    points.first.wait_for(state="attached")
    points.nth(POINT).click(force=True)
    reader.n_clicks += 1
    reader.settle()
    reader.show(reader.page.get_by_role("heading", name="Deviation from the curve"))
    reader.page.mouse.wheel(0, 400)


def better(reader: Reader) -> None:
    """Open the verdict."""
    reader.go("Baselines")
    reader.page.get_by_text("is level with").or_(reader.page.get_by_text("better")).first.wait_for()


def mix(reader: Reader) -> None:
    """Search a mix."""
    reader.go("Mixes")
    field = reader.page.get_by_role("spinbutton", name="Budget, tokens")
    reader.click(field)
    field.fill("5000")
    field.press("Enter")
    reader.settle()
    reader.click(reader.page.get_by_role("button", name="Search").first)
    reader.page.get_by_text("Recommended:").wait_for(timeout=SEARCH)
    reader.show(reader.page.get_by_text("Recommended:"))


def end_of_run(reader: Reader) -> None:
    """Choose a run."""
    reader.go("Forecast")
    box = reader.page.get_by_role("combobox", name="Run", exact=True)
    box.scroll_into_view_if_needed()
    reader.click(box)
    reader.click(reader.page.get_by_role("option").nth(1))
    reader.show(reader.page.get_by_role("combobox", name="Run", exact=True))


def two_fits(reader: Reader) -> None:
    """Open the fits side by side."""
    reader.go("Compare fits")
    reader.show(reader.page.get_by_role("heading").first)


def pdf(reader: Reader) -> None:
    """Save a figure."""
    reader.go("Curves")
    reader.click(reader.page.get_by_role("button", name="SVG, PDF").first)
    with reader.page.expect_download() as saved:
        reader.click(reader.page.get_by_role("button", name="PDF", exact=True).first)
    if not saved.value.suggested_filename.endswith(".pdf"):
        raise SystemExit(f"{saved.value.suggested_filename} was saved in place of a PDF")


QUESTIONS = (
    Question("Which tokens matter for swaps?", "tokens", tokens),
    Question("Why is this model off the curve?", "off-the-curve", off_the_curve),
    Question("Is CSV better than label tokens?", "better", better),
    Question("Which mix of 5,000 tokens for facts?", "mix", mix),
    Question("What will this run score at its end?", "end-of-run", end_of_run),
    Question("How do these two fits differ?", "two-fits", two_fits),
    Question("A figure as PDF", "pdf", pdf),
)


def main() -> None:
    """Answer every question."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("address", help="such as http://127.0.0.1:8501")
    parser.add_argument("--only", choices=[ask.picture for ask in QUESTIONS])
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as play:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for ask in QUESTIONS:
            if given.only and ask.picture != given.only:
                continue
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(PATIENCE)
            page.goto(given.address)
            page.get_by_role("heading").first.wait_for()
            reader = Reader(page)
            reader.settle()
            ask.answer(reader)
            page.screenshot(path=FOLDER / f"{ask.picture}.png")
            sys.stdout.write(f"{ask.text}: {reader.n_clicks} clicks\n")
            sys.stdout.flush()
            if reader.n_clicks > MOST:
                raise SystemExit(f"more than {MOST} clicks")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
