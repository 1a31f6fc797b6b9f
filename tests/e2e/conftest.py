import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from csvcore import pipeline
from csvcore.pipeline.importing import ZOO

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
]  # fmt: skip
START_SECONDS = 90.0


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Chromium; tests/install_chromium.sh installs it")
        pytest.skip("there is no Chromium on this machine")
    return {**browser_type_launch_args, "executable_path": chromium, "args": FLAGS}


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo with a short fit of one task."""
    if not ZOO.exists():
        pytest.skip("the bundled zoo is not here")
    path = tmp_path_factory.mktemp("e2e") / "zoo.duckdb"
    pipeline.init(path, zoo=True)
    pipeline.compare(path, "zoo", "by-size", ["facts"], pipeline.FitConfig(steps=5))
    return path


@pytest.fixture(scope="session")
def server(database: Path) -> Iterator[str]:
    """The address of the real server, with its content security policy."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = database.with_name("server.log")
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "dashboard/server.py",
             f"--server.port={port}"],
            cwd=ROOT,
            env={**os.environ, "CSVCORE_DB": str(database)},
            stdout=stream,
            stderr=stream,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while not _healthy(address):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.1)
    yield address
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
    assert "Traceback" not in log.read_text()


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def visit(page: Page, server: str) -> Callable[[str], Page]:
    """Open a page of the dashboard and wait until its script has ended without an exception."""

    def open_(path: str) -> Page:
        page.set_default_timeout(60_000)
        page.goto(server + path)
        page.get_by_role("heading").first.wait_for()
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        assert page.locator("[data-testid=stException]").count() == 0
        return page

    return open_
