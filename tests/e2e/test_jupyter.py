"""The heatmap in a real JupyterLab: it draws, answers, and shows hostile tokens as text."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from csvcore import store
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.records import Document
from tests.e2e.conftest import HOSTILE, HOSTILE_ID, START_SECONDS
from tests.support.rows import FIT, words

TOKEN = "only-for-this-test"
CELL = """\
import csvcore, ipywidgets
from IPython.display import display
shown = csvcore.open({database!r}, corpus="hostile", split="sides").fits()["reading"].heatmap()
said = ipywidgets.Label()
chosen = lambda change: setattr(said, "value", "".join(shown.selection()["text"]) + " is chosen")
shown.observe(chosen, "selected")
display(shown, said)"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A database with a fit that weighs a text which tries to break out of the page."""
    path = tmp_path / "hostile.duckdb"
    store.create(path)
    doc = Document(HOSTILE_ID, HOSTILE_ID, HOSTILE)
    edges = np.concatenate([[0], np.cumsum([len(char.encode()) for char in HOSTILE])])
    with store.connect(path) as db:
        words(db)
        store.add_corpus(db, "hostile", corpus_sha256([doc]), [doc])
        store.add_split(db, "sides", {"ant": "train", "bee": "test"})
        fit = replace(FIT, corpus="hostile")
        store.add_fit(db, fit, [HOSTILE_ID], [edges], np.linspace(0.0, 2.0, len(HOSTILE)))
    return path


@pytest.fixture
def notebook(hostile: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a notebook of one cell in a JupyterLab of its own."""
    cell = {
        "cell_type": "code", "id": "one", "metadata": {}, "outputs": [], "execution_count": None,
        "source": CELL.format(database=str(hostile)),
    }  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "one.ipynb").write_text(json.dumps(book), encoding="utf-8")
    kinds = ("CONFIG", "DATA", "RUNTIME")
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind.lower()) for kind in kinds}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={tmp_path}",
    ]  # fmt: skip
    log = tmp_path / "jupyter.log"
    with log.open("wb") as stream:
        environment = {**os.environ, **folders, "IPYTHONDIR": str(tmp_path / "ipython")}
        server = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/api/status?token={TOKEN}"):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/lab/tree/one.ipynb?token={TOKEN}"
    finally:
        server.terminate()
        server.wait(30)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def test_a_notebook_draws_the_heatmap_and_answers_hover_click_and_keys(
    page: Page, notebook: str
) -> None:
    page.set_default_timeout(90_000)
    page.goto(notebook)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # before, it asks for a kernel
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()

    output = page.locator(".jp-OutputArea")
    tokens = output.locator(".token")
    expect(tokens).to_have_count(len(HOSTILE), timeout=90_000)
    shown = "".join(tokens.all_inner_texts())
    assert shown.startswith("a<script>window.hacked=1</script><img")
    assert output.locator(".title").inner_text() == f"{HOSTILE_ID} · {HOSTILE_ID}"
    assert output.locator(".text :is(script, img, svg, style, a)").count() == 0
    assert page.evaluate("window.hacked") is None

    tokens.nth(20).hover()
    tip = output.locator(".tip")
    expect(tip).to_contain_text("weight")
    below, token = tip.bounding_box(), tokens.nth(20).bounding_box()
    assert below and token and 0 < below["y"] - token["y"] < 60  # beside the token it tells of

    tokens.nth(1).click()
    tokens.nth(8).click(modifiers=["Shift"])
    output.get_by_text("<script> is chosen").wait_for()  # Python was told
    page.keyboard.press("n")  # the heatmap's key, not the notebook's
    expect(output.locator(".token.cursor")).to_have_class(re.compile(r"\bl[6-9]\b"))
    assert page.evaluate("window.hacked") is None
