from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.views import predictability
from tests.support.world import SIDES, change

pytestmark = pytest.mark.slow


@pytest.fixture
def overview(app_on: Callable[..., AppTest], world_db: Path) -> Callable[[], AppTest]:
    """Opens the Overview on the made-up world."""

    def opened() -> AppTest:
        app = app_on(world_db, seconds=120)
        app.run()
        assert not app.exception
        return app

    return opened


def table(app: AppTest) -> Any:
    [found] = [
        one.value for one in app.dataframe if "verdict" in one.value and "spread" in one.value
    ]
    return found


def test_the_overview_says_of_every_task_whether_it_can_be_predicted(
    overview: Callable[[], AppTest],
) -> None:
    app = overview()
    assert "Predictability of the tasks" in [one.value for one in app.subheader]
    found = table(app)
    assert found["task"].tolist() == ["adding", "reading"]
    assert found["n_models"].tolist() == [sum(side != "test" for side in SIDES.values())] * 2
    assert found["reason"].str.endswith(".").all()
    assert found["seed_noise"].isna().all()
    assert any("test models are not read" in one.value for one in app.caption)
    sources = [one.value for one in app.dataframe if "run noise" in one.value]
    assert sources[0]["source"].tolist() == ["sums", "notes"]


def test_the_test_set_shows_nowhere_in_it(overview: Callable[[], AppTest], world_db: Path) -> None:
    before = table(overview())
    tested = ", ".join(f"'{model}'" for model, side in SIDES.items() if side == "test")
    change(world_db, f"UPDATE accuracies SET accuracy = 0.01 WHERE model IN ({tested})")
    assert table(overview()).round(9).equals(before.round(9))
    assert not set(before.stack().astype(str)) & {m for m, s in SIDES.items() if s == "test"}


def test_families_collected_by_different_protocols_are_warned_of(
    overview: Callable[[], AppTest], world_db: Path
) -> None:
    manifest = '{"dtype": "float32", "context": "story"}'
    change(
        world_db,
        f"UPDATE manifests SET manifest = '{manifest}' WHERE model IN "
        "(SELECT model FROM models WHERE family = 'wild')",
    )
    said = [one.value for one in overview().warning]
    assert any(one.startswith("Families differ in context, so their losses") for one in said)


def test_every_number_of_the_table_is_explained() -> None:
    assert all(text.endswith(".") for text in predictability.HELP.values())
    assert predictability.LABELS.keys() <= predictability.HELP.keys()
