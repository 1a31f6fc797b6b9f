"""The database of the Salience page's tests, and the page on it."""

from collections.abc import Callable

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.formats.loss_packs import loss_table
from csvcore.records import Accuracy, ModelCard, Task, TokenLosses
from dashboard.queries import fit_tokens
from dashboard.queries.database import Database
from tests.support.salience_page import DOCS, MODELS, SIDES, TASKS, fit_of


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Five models that read bytes, and fits of three tasks; the last has other tokens."""
    path = tmp_path_factory.mktemp("salience") / "small.duckdb"
    store.create(path)
    edges = [np.arange(len(doc.text.encode()) + 1) for doc in DOCS]
    n = sum(cuts.size - 1 for cuts in edges)
    rng = np.random.default_rng(0)
    with store.connect(path) as db:
        store.add_corpus(db, "small", corpus_sha256(DOCS), DOCS)
        store.add_models(db, [ModelCard(name, name[0], k) for k, name in enumerate(MODELS)])
        store.add_tasks(db, [Task(name, 0.0, sources=("sums",)) for name in TASKS])
        store.add_split(db, "sides", dict(zip(MODELS, SIDES, strict=True)))
        store.add_accuracies(db, [Accuracy("ant", "adding", 0.8)])
        rows = [
            TokenLosses(name, doc.doc_id, cuts[:-1], cuts[1:], rng.gamma(2.0, 1.0, cuts.size - 1))
            for name in MODELS
            for doc, cuts in zip(DOCS, edges, strict=True)
        ]
        store.add_losses(db, "small", loss_table(rows), None)
        names = [doc.doc_id for doc in DOCS]
        weight = np.linspace(0.0, 2.0, n)
        store.add_fit(db, fit_of("adding"), names, edges, weight, np.full(n, 0.1))
        store.add_fit(db, fit_of("reading"), names, edges, weight[::-1])
        whole = [np.array([0, cuts[-1]]) for cuts in edges]
        store.add_fit(db, fit_of("whole"), names, whole, np.ones(3))
    return Database(path, store.stamp(path))


@pytest.fixture
def texts(database: Database) -> fit_tokens.FitTokens:
    return fit_tokens.read(database, "adding-fit")


@pytest.fixture
def app(app_on: Callable[..., AppTest], database: Database) -> AppTest:
    app = app_on(database.path, seconds=120)
    app.query_params["task"] = "reading"
    return app
