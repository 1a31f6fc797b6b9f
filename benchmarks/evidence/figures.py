"""The paper's figures on the zoo: what they are drawn from as tables, and pictures of them."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import measure
import numpy as np
import pandas as pd
from playwright.sync_api import Page, sync_playwright

from csvcore import store
from csvcore.figures import paper, tokens
from csvcore.figures.scales import weight_scale
from csvcore.fitting.config import FitConfig
from csvcore.formats import bundled
from csvcore.pipeline.fit import fit
from csvcore.records import Fit

WIDTH = 1000
STEPS_TASK = "swaps"
LOSSES: tuple[str, ...] = ("csv", "all-token", "label-token")
HIGHLIGHTED = (("swaps", "swaps-worked", 2), ("arithmetic", "arithmetic", 2))
DRAWN_WITH = {
    "splits": ("Figure 1", "Figure 2", "Figure 4", "Figure 5", "Figure 7"),
    "steps": ("Figure 6",),
    "mixes": ("Figure 8",),
    "highlights": ("Figure 9",),
}  # the part that a figure is drawn after


def draw(db: Path, parts: Iterable[str], data: Path, pictures: Path) -> None:
    """Write the tables and pictures of the figures that belong to the parts just measured."""
    names = [name for part in parts for name in DRAWN_WITH.get(part, ())]
    if not names:
        return
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        screen = browser.new_page(viewport={"width": WIDTH, "height": 800})
        for name in names:
            if name in POINTS:
                POINTS[name](db).to_parquet(data / f"{stem(name)}.parquet", index=False)
            _picture(screen, _page(db, name, data), pictures / f"{stem(name)}.png")
        browser.close()


def stem(name: str) -> str:
    """Return the file name of a figure, without suffix."""
    return name.lower().replace(" ", "-")


def _laws(split: str, methods: Iterable[str]) -> Callable[[Path], pd.DataFrame]:
    """Return a function that makes the table of every task's models and laws."""

    def made(db: Path) -> pd.DataFrame:
        tasks = _tasks(db)
        wanted = [(task, method) for method in methods for task in tasks]
        fits = fit(db, measure.CORPUS, split, wanted, FitConfig(), only_missing=True)
        several = len({record.method for record in fits}) > 1
        titles = [f"{each.task}, {each.method}" if several else each.task for each in fits]
        return _points(db, zip(titles, fits, strict=True))

    return made


def _steps(db: Path) -> pd.DataFrame:
    rows = [row for row in measure.steps(db) if row["task"] == STEPS_TASK]
    with store.connect(db, read_only=True) as connection:
        chosen = [(f"up to step {row['steps']}", store.fit(connection, row["fit"])) for row in rows]
    return _points(db, chosen)


POINTS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "Figure 2": _laws("by-size", ["all-token"]),
    "Figure 4": _laws("by-size", ["csv"]),
    "Figure 5": _laws("closed-source", ["csv"]),
    "Figure 6": _steps,
    "Figure 7": _laws("by-size", LOSSES),
}


def _points(db: Path, fits: Iterable[tuple[str, Fit]]) -> pd.DataFrame:
    """Return the points for `csvcore.figures.paper.draw`, rounded to six digits."""
    parts = []
    with store.connect(db, read_only=True) as connection:
        for title, record in fits:
            table = store.predictions(connection, record.fit).round(6)
            law = {"alpha": record.alpha, "beta": record.beta, "gamma": record.gamma}
            parts.append(table.assign(panel=title, **law))
    return pd.concat(parts, ignore_index=True)


def _tasks(db: Path) -> list[str]:
    with store.connect(db, read_only=True) as connection:
        return [task.task for task in store.tasks(connection)]


def _page(db: Path, name: str, data: Path) -> str:
    """Return a figure as HTML."""
    if name == "Figure 9":
        return _highlights(db)
    zoo = bundled.folder("zoo")
    known = pd.read_csv(zoo / "accuracies.csv").merge(pd.read_csv(zoo / "models.csv"), on="model")
    tables = {"zoo": known}
    if name == "Figure 8":
        tables["mixes"] = pd.read_json(data / "mixes.json")
    if name in POINTS:
        tables[name] = pd.read_parquet(data / f"{stem(name)}.parquet")
    figure = paper.draw(name, tables)
    figure.update_layout(template="plotly_white", width=WIDTH)
    return str(figure.to_html(include_plotlyjs=True))


def _highlights(db: Path) -> str:
    """Return a page of a few worked documents, shaded by the weights of their task's fit."""
    texts = []
    for task, source, n_docs in HIGHLIGHTED:
        record = measure.csv_fit(db, task, "by-size")
        with store.connect(db, read_only=True) as connection:
            table = store.weights(connection, record.fit).to_pylist()
            docs = {doc.doc_id: doc for doc in store.documents(connection, record.corpus)}
        rows = [row for row in table if docs[row["doc_id"]].source == source][:n_docs]
        for row in rows:
            cells = tokens.cells(docs[row["doc_id"]].text, row["byte_end"])
            weight = cells.mean(row["weight"])
            texts.append((f"{task}: {row['doc_id']}", cells.text, weight, None))
    return tokens.page(texts, weight_scale(np.concatenate([weight for _, _, weight, _ in texts])))


def _picture(screen: Page, html: str, path: Path) -> None:
    screen.set_content(html, wait_until="load")
    screen.wait_for_timeout(400)  # for Plotly's own drawing
    drawn = screen.locator(".js-plotly-plot")
    (drawn if drawn.count() else screen.locator("body")).first.screenshot(path=path)
