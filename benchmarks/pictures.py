"""Pictures of the README: `python benchmarks/pictures.py ADDRESS`.

ADDRESS is a dashboard on a database with the zoo and the fits of `csvcore compare --corpus zoo
--split by-size`. The test set of the split is revealed. Needs Chromium.
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parents[1] / "docs"
SIZE = {"width": 1280, "height": 800}
PATIENCE = 120_000  # ms
PICTURES = {  # file: page, task, and a text that tells that the page is ready
    "curves": ("curves", "facts", "characters per nat"),
    "baselines": ("baselines", "swaps", "Mean of the train models"),
    "salience": ("salience", "swaps", "swaps-worked-000"),
    "forecast": ("forecast", "facts", "Horizon"),
}


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("address", help="such as http://127.0.0.1:8501")
    address = parser.parse_args().address.rstrip("/")
    with sync_playwright() as play:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE)
        for name, (path, task, ready) in PICTURES.items():
            split = "forecast" if path == "forecast" else "by-size"
            source = "&source=swaps-worked" if path == "salience" else ""
            page.goto(f"{address}/{path}?corpus=zoo&split={split}&task={task}{source}")
            if path in ("curves", "baselines"):
                reveal(page)
            page.get_by_text(ready).first.wait_for()
            page.wait_for_timeout(5000)  # until it has come to rest
            page.screenshot(path=DOCS / f"{name}.png")
        browser.close()


def reveal(page: Page) -> None:
    """Reveal the test set of a page, if it is hidden."""
    page.get_by_text("Test set of this split").first.wait_for()
    button = page.get_by_role("button", name="Reveal the test set")
    if button.count():
        button.click()
        button.wait_for(state="detached")


if __name__ == "__main__":
    main()
