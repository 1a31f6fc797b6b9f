"""What the browser tests do on any page."""

from playwright.sync_api import Page


def settled(page: Page) -> None:
    """Wait until the page's script has ended; fails if it ended with an exception."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    assert page.locator("[data-testid=stException]").count() == 0
