"""The Capabilities page on the made-up world."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.capability_records import (
    Capabilities,
    Factor,
    FewShot,
    Profile,
    TaskFactors,
    TriedFactors,
)
from csvcore.jobs import queue
from tests.support.world import DOCS, SIDES

pytestmark = pytest.mark.slow

FOUND = Capabilities(
    corpus="words",
    split="sides",
    factors=(Factor(1, "adding", 0.9, 0.04, 20), Factor(2, "reading", 0.4, 0.5, 20)),
    tasks=(
        TaskFactors("adding", (2.0, 0.0), (1.0, 0.0), 0.05, 0.06, 0.0123, 0.0234, 3),
        TaskFactors("reading", (1.0, 3.0), (0.25, 0.75), 0.05, 0.06, 0.0345, 0.0456, 3),
    ),
    profiles=tuple(
        Profile(model, side, (0.5, -1.0), (0.4, -1.2), (0.6, -0.8)) for model, side in SIDES.items()
    ),
    tried=(TriedFactors(1, None, False, 0.1), TriedFactors(2, 0.01, False, 0.05)),
    few_shot=(FewShot("adding", 3, 1, "test", 0.02, 0.03, ("own",)),),
    judges=("tame", "validation models"),
    config={"seed": 0},
)


@pytest.fixture
def on_page(
    world_db: Path, app_on: Callable[[Path], AppTest]
) -> Callable[[Capabilities | None], AppTest]:
    """Return a function that opens the page with these factors stored."""

    def opened(found: Capabilities | None = FOUND) -> AppTest:
        if found is not None:
            edges = [np.arange(len(doc.text.encode()) + 1) for doc in DOCS]
            weight = np.ones((2, sum(cuts.size - 1 for cuts in edges)))
            weight[0, 30] = 40.0
            with store.connect(world_db) as db:
                store.set_capabilities(db, found, [doc.doc_id for doc in DOCS], edges, weight)
        app = app_on(world_db)
        app.query_params["split"] = "sides"
        app.run()
        app.switch_page("dashboard/pages/capabilities.py").run()
        assert not app.exception
        return app

    return opened


def captions(app: AppTest) -> str:
    return " ".join(one.value for one in app.caption)


def frames(app: AppTest) -> str:
    return " ".join(one.value.to_string() for one in app.dataframe)


def test_test_errors_are_hidden_until_they_are_revealed(
    on_page: Callable[..., AppTest], world_db: Path
) -> None:
    app = on_page()
    assert any("2 factors for 2 tasks" in one.value for one in app.markdown)
    assert "0.0123" not in frames(app)
    next(one for one in app.button if one.label == "Reveal the test errors").click().run()
    assert not app.exception
    assert "0.0123" in frames(app)


def test_a_factor_that_shuffles_give_as_often_is_not_shown_as_one(
    on_page: Callable[..., AppTest],
) -> None:
    app = on_page()
    assert "Stability 0.90" in captions(app)
    assert "40.0" in frames(app)  # its heaviest token
    app.selectbox(key="factor").set_value(2).run()
    assert not app.exception
    assert any("as often, so it is not shown" in one.value for one in app.warning)
    assert "Permutation test: p = 0.50 over 20 shuffles." in captions(app)


def test_two_different_tasks_and_models_are_compared(
    on_page: Callable[..., AppTest],
) -> None:
    app = on_page()
    app.selectbox(key="first-task").set_value("reading").run()
    app.selectbox(key="first-model").set_value("owl").run()
    assert not app.exception
    assert app.selectbox(key="second-model").value != "owl"
    assert app.selectbox(key="second-task").value == "adding"


def test_the_form_queues_the_search(
    on_page: Callable[..., AppTest], world_db: Path, idle: list[list[str]]
) -> None:
    app = on_page(None)
    assert any("No factors yet" in str(one.proto) for one in app.info)
    next(one for one in app.button if one.label == "Find factors").click().run()
    (job,) = queue.recent(world_db, 5)
    assert (job.kind, job.params["split"]) == ("capabilities", "sides")
    assert job.params["settings"] == {"few_shot": 5}
    assert job.spec.title == "Capabilities of all tasks"


def test_without_test_models_there_is_nothing_to_reveal(on_page: Callable[..., AppTest]) -> None:
    bare = tuple(
        replace(row, test_shared=None, test_separate=None, n_test=0) for row in FOUND.tasks
    )
    app = on_page(replace(FOUND, tasks=bare, few_shot=()))
    assert not [one for one in app.button if one.label == "Reveal the test errors"]
