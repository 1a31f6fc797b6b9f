"""What the browser tests do on any page."""

from playwright.sync_api import Page

# Ends half a second after the last change of the document; fails where it never stops changing.
STILL = """() => new Promise((resolve, reject) => {
  const done = () => { watch.disconnect(); clearTimeout(late); resolve(); };
  const watch = new MutationObserver(() => { clearTimeout(quiet); quiet = setTimeout(done, 500); });
  let quiet = setTimeout(done, 500);
  const late = setTimeout(() => reject(new Error("the page is never still")), 20_000);
  watch.observe(document, {childList: true, subtree: true});
})"""


def settled(page: Page) -> None:
    """Wait until the page's script has ended; fails if it ended with an exception."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    assert page.locator("[data-testid=stException]").count() == 0


def drawn(page: Page) -> None:
    """Wait until the page is settled and nothing in it has changed for half a second.

    A script that has ended is not a page that is drawn: React draws what came last after it.
    """
    settled(page)
    page.evaluate(STILL)
    settled(page)
