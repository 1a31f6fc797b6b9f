"""axe-core on every page, light and dark, beside a page of Streamlit's own widgets."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from tests.e2e.browsing import drawn, settled

# Broken rules, each with the kind of element that broke it and where: the nearest element that
# Streamlit names, the outer one where a component of ours has a tree of its own.
SCAN = """async rules => {
  const part = element => {
    const named = element.closest("[data-testid]");
    if (named) return named.dataset.testid;
    const root = element.getRootNode();
    return root.host ? part(root.host) : element.tagName;
  };
  const options = {resultTypes: ["violations"], elementRef: true};
  if (rules) options.runOnly = rules;
  const {violations} = await axe.run(document, options);
  return violations.flatMap(rule => rule.nodes.map(node => ({
    rule: rule.id, part: `${node.element.tagName} in ${part(node.element)}`,
    html: node.html.slice(0, 200),
  })));
}"""
PAGES = Path(__file__).parents[2] / "dashboard" / "pages"
Found = dict[tuple[str, str], str]  # rule and part, with an example


def scan(page: Page) -> Found:
    """What axe finds in light, and what contrasts are missing in dark."""
    found: Found = {}
    for scheme, rules in (("light", None), ("dark", ["color-contrast"])):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        drawn(page)
        for one in page.evaluate(SCAN, rules):
            found[f"{one['rule']} in {scheme}", one["part"]] = one["html"]
    return found


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    # So tall that nothing is out of view: axe passes over the colours of what is.
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1440, "height": 6000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.fixture(scope="module")
def plain(
    tab: Page, serve: Callable[..., AbstractContextManager[str]], tmp_path_factory: Any
) -> Found:
    """What axe finds on Streamlit's own widgets in the dashboard's theme."""
    folder = tmp_path_factory.mktemp("plain")
    with serve(folder / "none.duckdb", script=str(Path(__file__).with_name("plain_app.py"))) as own:
        tab.goto(own)
        tab.get_by_test_id("stPlotlyChart").locator(".plot-container").wait_for()
        settled(tab)
        tab.evaluate(AXE_SCRIPT)
        found = scan(tab)
        tab.goto("about:blank")  # hangs up before the server goes
    return found


@pytest.fixture(scope="module")
def pages(tab: Page, server: str) -> dict[str, Found]:
    """What axe finds on each page of the dashboard, by title; one session goes through all."""
    tab.emulate_media(color_scheme="light")
    tab.goto(f"{server}/?corpus=zoo&split=by-size&task=facts")
    links = tab.get_by_test_id("stSidebarNavLink")
    links.first.wait_for()
    settled(tab)
    tab.evaluate(AXE_SCRIPT)
    found = {}
    for i in range(links.count()):
        links.nth(i).click()
        address = links.nth(i).get_attribute("href")
        tab.wait_for_url(lambda url, wanted=address: url.split("?")[0].endswith(str(wanted)))
        found[tab.get_by_role("heading").first.inner_text()] = scan(tab)
        tab.emulate_media(color_scheme="light")
    return found


def test_axe_finds_nothing_that_streamlits_own_widgets_do_not_show_and_no_weak_contrast(
    pages: dict[str, Found], plain: Found
) -> None:
    ours = {
        (title, *key): html
        for title, found in pages.items()
        for key, html in found.items()
        if key not in plain or key[0].startswith("color-contrast")
    }
    assert len(pages) == len([*PAGES.glob("[!_]*.py")])
    assert not ours


@pytest.mark.usefixtures("pages")
def test_the_server_that_showed_every_page_has_loaded_no_torch_and_no_tokenizers(
    server: str,
) -> None:
    port = server.rpartition(":")[2]
    [process] = [
        child
        for child in psutil.Process().children(recursive=True)
        if f"--server.port={port}" in child.cmdline()
    ]
    libraries = {Path(mapped.path).name for mapped in process.memory_maps()}
    assert any("duckdb" in name for name in libraries)  # it is the right process
    assert not [name for name in libraries if "torch" in name or "tokenizers" in name]
