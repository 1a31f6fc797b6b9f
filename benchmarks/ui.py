"""Speed of the dashboard in a real browser: `python benchmarks/ui.py [CLAIM...]`.

paint    first paint of a page, from a warm server to a browser that has nothing cached
heatmap  a document of 10,000 tokens, from opening its link to its last token; and how long the page
         works to build it
rerun    another page, and every page once more
slider   the first slider of Mixes and of Forecast, to the answer it leads to
busy     Baselines and the page of the running fit itself once more while it runs
lean     the server's process has loaded no torch and no tokenizers

With --scale it is instead every page on a corpus of 10,000 tokens with losses of 1,000 models and
on one of 10 million tokens with losses of five (see `scale.py`): its first opening since the server
started, once; the page once more; and its first paint.

Each prints the median of five (--repeats), its bound and whether it holds: paint and heatmap of
five browsers, the others of five times on an open page. About ten minutes. Needs Chromium and the
packages of requirements-dev.txt. The long document is made of the zoo's texts and scored by its
three bundled models; its weights are those that the zoo's fit of `facts` has on the same texts.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import scale
from playwright.sync_api import Browser, Page, sync_playwright

from csvcore import store
from csvcore.fitting.capabilities import CapabilityConfig
from csvcore.fitting.config import FitConfig
from csvcore.formats.bundled import ZOO
from csvcore.jobs import queue
from csvcore.pipeline import capabilities, collect, compare, imports
from csvcore.pipeline.collect import CollectConfig

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
N_TOKENS = 10_000
PATIENCE = 60_000  # ms; a slow machine is to fail its bound, not to time out
VIEW = "corpus=zoo&split=by-size&task=facts"
PAGES = sorted(path.stem for path in (ROOT / "dashboard" / "pages").glob("[!_]*.py"))
BOUNDS = {  # claim: (what, bound)
    "paint": ("first paint", 2500.0),
    "heatmap": (f"a heatmap of {N_TOKENS:,} tokens, from its link", 5000.0),
    "build": ("the page builds that heatmap", 150.0),
    "switch": ("another page", 500.0),
    "rerun": ("the same page once more", 500.0),
    "slider": ("a slider's answer", 300.0),
    "open": ("opened first since the server started", 20_000.0),
    "busy": ("the same page once more while a fit runs", 700.0),
}
# A large database: by corpus its tokens, models with losses (of N_MODELS), and what is fitted.
SCALED = {
    "many": (10_000, 1000, ("all-token", "best-source")),
    "large": (10_000_000, 5, ("all-token",)),
}
N_MODELS = 1000
SETTLED = 2000  # ms to wait for charts and fonts once a script has ended
Found = dict[str, list[float]]  # what was measured to its values, in milliseconds
# From the first element made in a task to the end of the layout of the tokens put in place in it.
BUILD = """
let first = null;
const make = Document.prototype.createElement, put = Element.prototype.replaceChildren;
Document.prototype.createElement = function (...given) {
  if (first === null) { first = performance.now(); setTimeout(() => { first = null; }); }
  return make.apply(this, given);
};
Element.prototype.replaceChildren = function (...given) {
  put.apply(this, given);
  if (this.querySelectorAll(".token").length < 1000) return;
  this.getBoundingClientRect();
  window.built = performance.now() - first;
};
"""
# From the next event of a kind until its effect: the text of an element is another one, if one is
# named, and the script has run to its end, if that is asked for. An effect that cannot be seen is
# an error, not a wait without an end.
CLOCK = """([event, selector, whole, patience]) => {
  const app = document.querySelector("[data-testid=stApp]");
  const text = () => selector && document.querySelector(selector)?.textContent;
  const before = text();
  window.taken = new Promise((resolve, reject) => {
    let start = null, ran = !whole;
    setTimeout(() => reject(new Error(`nothing seen of the ${event}`)), patience);
    addEventListener(event, () => { start ??= performance.now(); }, {capture: true, once: true});
    new MutationObserver(() => { ran ||= start !== null; })
      .observe(app, {attributeFilter: ["data-test-script-state"]});
    const look = () => {
      const idle = !whole || app.dataset.testScriptState === "notRunning";
      const changed = !selector || (text() && text() !== before);
      if (start !== null && ran && idle && changed) resolve(performance.now() - start);
      else requestAnimationFrame(look);
    };
    look();
  });
}"""


def add_long(path: Path) -> None:
    """Make a database with the zoo, a fit of facts and a corpus of one long document."""
    with store.connect(path, read_only=True) as db:
        fits = store.fits(db)
        name = str(fits[(fits["method"] == "csv") & (fits["corpus"] == "zoo")]["fit"].iloc[0])
        fit, docs = store.fit(db, name), store.documents(db, "zoo")
        edges, weight = store.weight_vector(db, name)
    text, ends = "", [0]
    for doc, cuts in zip(docs, edges, strict=True):
        if len(ends) > N_TOKENS + 1:
            break
        gap = "\n" if text else ""  # a newline belongs to the token behind it
        ends += (cuts[1:] + ends[-1] + len(gap)).tolist()
        text += gap + doc.text
    file = path.with_name("long.jsonl")
    file.write_text(json.dumps({"doc_id": "long-0", "source": "long", "text": text}) + "\n")
    imports.import_corpus(path, file, "long")
    models = [str(folder) for folder in sorted((ZOO / "models").iterdir()) if folder.is_dir()]
    found = collect.collect(collect.prepare(path, models, "long", CollectConfig(device="cpu")))
    failed = [one for one in found if one.status == "failed"]
    if failed:
        raise SystemExit(f"the long document could not be scored: {failed}")
    with store.connect(path) as db:
        long_fit = replace(fit, fit="facts-csv-long", corpus="long")
        store.add_fit(db, long_fit, ["long-0"], [np.array(ends)], weight[: len(ends) - 1])


def make_scaled(path: Path) -> None:
    """Make a large database: many models on a small corpus, few on a large one."""
    commands: list[str] = []
    for corpus, (n_tokens, n_scored, methods) in SCALED.items():
        folder = path.with_name(f"{path.stem}-{corpus}")
        if not (folder / "pack.parquet").exists():
            scale.make(folder, N_MODELS, n_tokens, n_scored)
        made = scale.commands(folder, corpus)
        commands += made[1:2] if commands else made  # models and accuracies are the same
        commands.append(f"import losses {folder}/pack.parquet")
        fitted = " ".join(f"--method {method}" for method in methods)
        commands.append(f"fit --corpus {corpus} --split sides --task planted {fitted}")
    for words in commands:
        print(words, flush=True)
        subprocess.run(scale.csvcore(path, words), check=True, stdout=subprocess.DEVNULL)


def check_made_here(path: Path) -> None:
    """Refuse a database without the long document, such as one of another purpose."""
    with store.connect(path, read_only=True) as db:
        if "long" not in store.corpora(db)["corpus"].tolist():
            raise SystemExit(f"{path} was not made by this command; give --db a new name")


@contextmanager
def serving(database: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Start the real server; yield its address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "dashboard/server.py", f"--server.port={port}"],
        cwd=ROOT,
        env={**os.environ, "CSVCORE_DB": str(database)},
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield address, psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def opened(browser: Browser, address: str) -> Page:
    """Open a page in a browser with an empty cache, and wait for its script."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script(BUILD)
    page.goto(address)
    page.get_by_role("heading").first.wait_for()
    settle(page)
    return page


def settle(page: Page) -> None:
    """Wait until the script has ended."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(SETTLED)  # charts and fonts


def paint(browser: Browser, address: str, page_of: str = f"?{VIEW}") -> dict[str, float]:
    """Time the first contentful paint."""
    page = opened(browser, f"{address}/{page_of}")
    entry = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    taken = float(page.evaluate(entry))
    page.context.close()
    return {"paint": taken}


def heatmap(browser: Browser, address: str) -> dict[str, float]:
    """Time the long document until its last token is painted, and the page's own work."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script(BUILD)
    start = time.perf_counter()
    page.goto(f"{address}/salience?corpus=long&split=by-size&task=facts", wait_until="commit")
    page.locator(f".token[data-index='{N_TOKENS - 1}']").wait_for(state="attached")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    taken = 1000 * (time.perf_counter() - start)
    built = float(page.evaluate("window.built"))
    page.context.close()
    return {"heatmap": taken, "build": built}


def answer(page: Page) -> float:
    """Return the time of the last clock."""
    taken = float(page.evaluate("window.taken"))
    settle(page)
    return taken


def again(browser: Browser, address: str, name: str, repeats: int, view: str = VIEW) -> list[float]:
    """Rerun a page with Streamlit's key a number of times."""
    page = opened(browser, f"{address}/{address_of(name, view)}")
    taken = []
    for _ in range(repeats):
        page.mouse.click(640, 4)  # the keys go to the page, not to a widget
        page.evaluate(CLOCK, ["keydown", None, True, PATIENCE])
        page.keyboard.press("r")
        taken.append(answer(page))
    page.context.close()
    return taken


def address_of(name: str, view: str) -> str:
    """Return the address of a page behind the server's."""
    return f"{'' if name == 'overview' else name}?{view}"


def scaled(browser: Browser, address: str, repeats: int) -> Iterator[Found]:
    """Time every page on the corpora of `make_scaled`."""
    for corpus in SCALED:
        view = f"corpus={corpus}&split=sides&task=planted"
        for name in PAGES:
            where = f"{name} of {corpus}"
            start = time.perf_counter()
            opened(browser, f"{address}/{address_of(name, view)}").context.close()
            yield {f"open {where}": [1000 * (time.perf_counter() - start) - SETTLED]}
            yield {f"rerun {where}": again(browser, address, name, repeats, view)}
            first = [paint(browser, address, address_of(name, view)) for _ in range(repeats)]
            yield {f"paint {where}": [one["paint"] for one in first]}


def rerun(browser: Browser, address: str, repeats: int) -> Iterator[Found]:
    """Time the way from Curves to Baselines, both visited before, and a rerun of every page."""
    page = opened(browser, f"{address}/curves?{VIEW}")
    links = {
        name: page.locator(f"[data-testid=stSidebarNavLink][href$='/{name}']")
        for name in ("baselines", "curves")
    }
    switches = []
    for number in range(repeats + 1):
        for name, link in links.items():
            page.evaluate(CLOCK, ["click", "h2", True, PATIENCE])
            link.click()
            taken = answer(page)
            if name == "baselines" and number > 0:
                switches.append(taken)
    page.context.close()
    yield {"switch": switches}
    for name in PAGES:
        yield {f"rerun {name}": again(browser, address, name, repeats)}


def slider(browser: Browser, address: str, repeats: int) -> Iterator[Found]:
    """Time a step of a page's first slider until the page with its answer is complete."""
    for name, split in (("mixes", "by-size"), ("forecast", "forecast")):
        page = opened(browser, f"{address}/{name}?corpus=zoo&split={split}&task=facts")
        page.get_by_role("slider").first.focus()
        taken = []
        for _ in range(repeats):
            page.evaluate(CLOCK, ["keydown", None, True, PATIENCE])
            page.keyboard.press("ArrowRight")
            taken.append(answer(page))
        page.context.close()
        yield {f"slider {name}": taken}


def busy(browser: Browser, address: str, repeats: int, database: Path) -> Iterator[Found]:
    """Time a rerun of two pages during a fit of many steps."""
    config = {"algorithm": "paper", "steps": 1_000_000}
    params = {"corpus": "zoo", "split": "by-size", "tasks": ["facts"], "method": "csv"}
    number = queue.submit(database, "fit", params | {"config": config})

    def job() -> queue.Job:
        return next(one for one in queue.recent(database) if one.job == number)

    while job().live and job().step < 2:
        time.sleep(0.2)
    if not job().live:
        raise SystemExit(f"the fit has ended: {job().message}")
    for name in ("baselines", "fit"):
        yield {f"busy {name}": again(browser, address, name, repeats)}
    queue.cancel(database, number)
    while job().live:
        queue.recent(database)
        time.sleep(0.2)


def lean(process: psutil.Process) -> bool:
    """Check that the server has loaded neither torch nor tokenizers."""
    libraries = {Path(mapped.path).name for mapped in process.memory_maps()}
    heavy = sorted(name for name in libraries if "torch" in name or "tokenizers" in name)
    print(f"{'PASS' if not heavy else 'FAIL'}  lean: heavy libraries in the server: {heavy}")
    return not heavy


def report(taken: Found) -> bool:
    """Print these medians beside their bounds."""
    held = []
    for name, values in taken.items():
        what, bound = BOUNDS[name.split()[0]]
        held.append(median(values) < bound)
        verdict = "PASS" if held[-1] else "FAIL"
        spread = f"{min(values):.0f} to {max(values):.0f}"
        print(f"{verdict}  {name}: {what}: {median(values):.0f} ms ({spread}), bound {bound:.0f}")
    sys.stdout.flush()
    return all(held)


def main() -> int:
    """Measure the claims; 1 if one does not hold."""
    opening = {"paint": paint, "heatmap": heatmap}
    staying = {"rerun": rerun, "slider": slider}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    claims = [*opening, *staying, "busy", "lean"]
    parser.add_argument("claim", nargs="*", choices=[*claims, []], metavar="CLAIM")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--db", type=Path, help="made here if it is not there; kept")
    parser.add_argument("--scale", action="store_true", help="on a large database")
    given = parser.parse_args()
    wanted = given.claim or claims
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    held = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        database = (given.db or Path(folder) / "ui.duckdb").resolve()
        if given.scale and not database.exists():
            make_scaled(database)
        elif not database.exists():
            imports.init(database, zoo=True)
            compare.compare(database, "zoo", "by-size", ["facts"], FitConfig())
            bare = CapabilityConfig(permutations=0, few_shot=0)
            both = ["facts", "scenes"]
            capabilities.capabilities(database, "zoo", "by-size", both, FitConfig(), bare)
            add_long(database)
        if not given.scale:
            check_made_here(database)
        with serving(database) as (address, process):
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            warm = "docs" if given.scale else f"curves?{VIEW}"
            opened(browser, f"{address}/{warm}").context.close()  # warms the server
            held += map(report, scaled(browser, address, given.repeats) if given.scale else ())
            for name in () if given.scale else wanted:
                if name in opening:
                    found = [opening[name](browser, address) for _ in range(given.repeats)]
                    held.append(report({key: [one[key] for one in found] for key in found[0]}))
                elif name in staying:
                    held += map(report, staying[name](browser, address, given.repeats))
                elif name == "busy":
                    held += map(report, busy(browser, address, given.repeats, database))
                else:
                    held.append(lean(process))
            browser.close()
    load = psutil.getloadavg()[0]
    print(f"load average {load:.1f} on {os.cpu_count()} cores")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
