import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from csvcore import store
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.formats.loss_packs import loss_table
from csvcore.records import Document, TokenLosses
from tests.e2e.browsing import settled
from tests.support.world import HOSTILE_NAME, copies, import_world

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
]  # fmt: skip
START_SECONDS = 90.0
HOSTILE = (
    'a<script>window.hacked=1</script><img src=x onerror=window.hacked=1>"><svg onload=alert(1)>'
    "</span><style>*{display:none}</style> **bold** [link](javascript:alert(1)) 😀 \u202e &amp;"
)
expect.set_options(timeout=60_000)  # milliseconds; two cores may be busy
HOSTILE_ID = '"><img src=x onerror=window.hacked=1>'


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this folder as one that needs a browser."""
    if item.path.is_relative_to(Path(__file__).parent):
        item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium; tests/install_chromium.sh installs it")
        pytest.skip("there is no Chromium on this machine")
    return {**browser_type_launch_args, "executable_path": chromium, "args": FLAGS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """A screen that the pages and all choices of the side bar fit on."""
    return {**browser_context_args, "viewport": {"width": 1440, "height": 900}}


@pytest.fixture(scope="session")
def database(zoo_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo with a short fit of one task."""
    path = Path(shutil.copy(zoo_made, tmp_path_factory.mktemp("e2e")))
    _add_hostile_corpus(path)
    return path


def _add_hostile_corpus(database: Path) -> None:
    """A corpus that tries to break out of the page, with a fit that weighs its tokens.

    One text has a token a byte; the other is one token of a megabyte, with empty ones around it.
    """
    docs = [Document(HOSTILE_ID, HOSTILE_ID, HOSTILE), Document("long", "hostile", "x" * 1_000_000)]
    ends = [np.arange(1, len(HOSTILE.encode()) + 1), np.array([0, 0, 1_000_000, 1_000_000])]
    weight = np.concatenate([np.linspace(0.0, 2.0, ends[0].size), np.ones(ends[1].size)])
    with store.connect(database) as db:
        zoo_fit = store.fit(db, str(store.fits(db).query("method == 'csv'")["fit"].iloc[0]))
        shown = [entry for entry in zoo_fit.predictions if entry.side == "train"][:2]
        names = [entry.model for entry in shown]
        store.add_corpus(db, "hostile", corpus_sha256(docs), docs)
        edges = [np.concatenate([[0], cuts]) for cuts in ends]
        rows = [
            TokenLosses(name, doc.doc_id, cuts[:-1], cuts[1:], np.linspace(0.0, 1.0, cuts.size - 1))
            for name in names
            for doc, cuts in zip(docs, edges, strict=True)
        ]
        store.add_losses(db, "hostile", loss_table(rows), None)
        fit = replace(zoo_fit, fit="facts-csv-hostile", corpus="hostile", predictions=tuple(shown))
        store.add_fit(db, fit, [doc.doc_id for doc in docs], edges, weight)


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[str]]:
    """Starts the real server on a database, with its content security policy; gives its address."""
    return _serving


@pytest.fixture(scope="session")
def server(database: Path, serve: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """The address of a server of the zoo."""
    with serve(database) as address:
        yield address


@pytest.fixture(scope="session")
def work(
    world_files: Path,
    tiny_lm: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A small database to work on, and beside it the models that may be collected."""
    folder = tmp_path_factory.mktemp("work")
    copies(folder / "models", tiny_lm, "yak", HOSTILE_NAME)
    return import_world(folder / "words.duckdb", world_files)


@pytest.fixture(scope="session")
def work_server(work: Path, serve: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """The address of a server of it; what it starts has one thread."""
    models = str(work.parent / "models")
    with serve(work, CSVCORE_MODELS=models, OMP_NUM_THREADS="1") as address:
        yield address


@contextmanager
def _serving(database: Path, script: str = "dashboard/server.py", **more: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = database.with_name(f"{Path(script).stem}.log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", script, f"--server.port={port}"],
            cwd=ROOT,
            env={**os.environ, "CSVCORE_DB": str(database), **more},
            stdout=stream,
            stderr=stream,
        )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    try:
        while not _healthy(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def visit(page: Page, request: pytest.FixtureRequest) -> Callable[..., Page]:
    """Open a page of the dashboard and wait until its script has ended without an exception.

    The zoo's server shows it, and the test's own tab, unless told.
    """

    def open_(path: str, address: str | None = None, page: Page = page) -> Page:
        page.set_default_timeout(60_000)
        page.goto((address or request.getfixturevalue("server")) + path)
        page.get_by_role("heading").first.wait_for()
        settled(page)
        return page

    return open_
