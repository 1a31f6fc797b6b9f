"""The paper's figures on the zoo, drawn by the dashboard's own charts and kept as PNG."""

import shutil
from pathlib import Path
from typing import Any

import measure
import pandas as pd
from playwright.sync_api import Page, sync_playwright

from csvcore import pipeline, store
from csvcore.figures import highlights, panels
from csvcore.figures.charts import family_colours
from csvcore.figures.scales import weight_scale
from csvcore.records import Fit, Method

SISTERS = ("ebb", "flow")
WIDTH = 1000
STEPS_TASK = "swaps"
LOSSES: tuple[Method, ...] = ("csv", "all-token", "label-token")
HIGHLIGHTED = (("swaps", "swaps-worked", 2), ("arithmetic", "arithmetic", 2))


def draw(db: Path, folder: Path) -> None:
    """Write every figure whose numbers are there."""
    with store.connect(db, read_only=True) as connection:
        cards = pd.DataFrame([card.__dict__ if hasattr(card, "__dict__") else _card(card)
                              for card in store.models(connection)])  # fmt: skip
        tasks = [task.task for task in store.tasks(connection)]
        known = pd.DataFrame([(e.model, e.task, e.accuracy) for e in store.accuracies(connection)],
                             columns=["model", "task", "accuracy"])  # fmt: skip
    wide = cards.merge(known.pivot(index="model", columns="task", values="accuracy"), on="model")
    colours = family_colours(cards["family"].tolist())
    sisters = wide[wide["family"].isin(SISTERS)].reset_index(drop=True)
    made: dict[str, Any] = {"figure-1": panels.compute_panels(sisters, tasks, colours)}
    for split, number in (("by-size", 4), ("closed-source", 5)):
        found = _fits(db, split, tasks)
        made[f"figure-{number}"] = panels.law_panels(
            [(task, _table(db, found["csv", task], cards), found["csv", task]) for task in tasks],
            colours,
        )
        if split == "by-size":
            made["figure-2"] = panels.law_panels(
                [
                    (task, _table(db, found["all-token", task], cards), found["all-token", task])
                    for task in tasks
                ],
                colours,
            )
            made["figure-7"] = panels.parity_panels(
                [
                    (f"{task}, {method}", _table(db, found[method, task], cards))
                    for method in LOSSES
                    for task in tasks
                ],
                colours,
                len(tasks),
            )
    made |= _optional(db, folder, cards, tasks, colours)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        screen = browser.new_page(viewport={"width": WIDTH, "height": 800})
        for name, figure in made.items():
            _save(screen, figure, folder / f"{name}.png")
        _save_html(screen, _highlights(db), folder / "figure-9.png")
        browser.close()


def _card(card: Any) -> dict[str, Any]:
    return {name: getattr(card, name) for name in ("model", "family", "n_params", "train_tokens")}


def _fits(db: Path, split: str, tasks: list[str]) -> dict[tuple[Method, str], Fit]:
    wanted = [(task, method) for method in LOSSES for task in tasks]
    config = pipeline.FitConfig()
    found = pipeline.fit(db, measure.CORPUS, split, wanted, config, only_missing=True)
    return {(fit.method, fit.task): fit for fit in found}


def _table(db: Path, fit: Fit, cards: pd.DataFrame) -> pd.DataFrame:
    with store.connect(db, read_only=True) as connection:
        table = store.predictions(connection, fit.fit)
    if "family" in table:
        return table
    return table.merge(cards[["model", "family"]], on="model")


def _optional(
    db: Path, folder: Path, cards: pd.DataFrame, tasks: list[str], colours: dict[str, str]
) -> dict[str, Any]:
    """Figures 6 and 8, of parts that may not have been measured."""
    made = {}
    if (folder / "steps.json").exists():
        rows = pd.read_json(folder / "steps.json")
        chosen = []
        with store.connect(db, read_only=True) as connection:
            for row in rows[rows["task"] == STEPS_TASK].itertuples():
                if store.has_fit(connection, row.fit):
                    chosen.append((f"up to step {row.steps}", store.fit(connection, row.fit)))
        made["figure-6"] = panels.law_panels(
            [(title, _table(db, fit, cards), fit) for title, fit in chosen], colours, 4
        )
    if (folder / "mixes.json").exists():
        rows = pd.read_json(folder / "mixes.json")
        floor = rows.groupby("task")["noise_floor"].first().to_dict()
        made["figure-8"] = panels.mix_panels(rows, tasks, floor)
    return made


def _highlights(db: Path) -> str:
    """A few worked documents shaded by what their task's fit gives each token."""
    texts = []
    top = 0.0
    for task, source, n_docs in HIGHLIGHTED:
        fit = measure.csv_fit(db, task, "by-size")
        with store.connect(db, read_only=True) as connection:
            table = store.weights(connection, fit.fit).to_pylist()
            docs = {doc.doc_id: doc for doc in store.documents(connection, fit.corpus)}
        rows = [row for row in table if docs[row["doc_id"]].source == source][:n_docs]
        for row in rows:
            cells = highlights.cells(docs[row["doc_id"]].text, row["byte_end"])
            weight = cells.mean(row["weight"])
            top = max(top, float(weight.max()))
            texts.append((f"{task}: {row['doc_id']}", cells.text, weight, None))
    return highlights.page(texts, weight_scale(0.6 * top))


def _save(screen: Page, figure: Any, path: Path) -> None:
    figure.update_layout(template="plotly_white", width=WIDTH)
    _save_html(screen, figure.to_html(include_plotlyjs=True), path)


def _save_html(screen: Page, html: str, path: Path) -> None:
    screen.set_content(html, wait_until="load")
    screen.wait_for_timeout(400)  # for Plotly's own drawing
    drawn = screen.locator(".js-plotly-plot")
    (drawn if drawn.count() else screen.locator("body")).first.screenshot(path=path)
