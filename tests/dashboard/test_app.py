import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from csvcore import store
from csvcore.figures import law, tokens
from csvcore.fitting.config import FitConfig
from csvcore.jobs import queue
from dashboard.widgets.text import plain

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = sorted(p for p in (ROOT / "dashboard" / "pages").glob("*.py") if p.stem != "__init__")


@pytest.fixture(scope="module")
def zoo(zoo_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of this file with the zoo and every method of one task."""
    return Path(shutil.copy(zoo_made, tmp_path_factory.mktemp("zoo")))


@pytest.fixture
def app(app_on: Callable[[Path], AppTest], zoo: Path) -> AppTest:
    return app_on(zoo)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_opens_on_the_zoo_without_an_exception(app: AppTest, page: Path) -> None:
    app.query_params["task"] = "facts"
    app.run()
    app.switch_page(f"dashboard/pages/{page.name}").run()
    assert not app.exception
    assert app.header[0].value.lower().startswith(page.stem.partition("_")[0])
    assert not app.warning


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_opens_on_an_empty_database_and_says_what_to_do(
    page: Path, app_on: Callable[[Path], AppTest], tmp_path: Path
) -> None:
    store.create(tmp_path / "empty.duckdb")
    app = app_on(tmp_path / "empty.duckdb").run()
    app.switch_page(f"dashboard/pages/{page.name}").run()
    assert not app.exception
    # guides need no measurements, and an import is what to do
    assert len(app.info) == (page.stem not in ("docs", "import_data"))


def test_without_a_database_the_app_says_how_to_make_one(
    app_on: Callable[[Path], AppTest], tmp_path: Path
) -> None:
    app = app_on(tmp_path / "none.duckdb").run()
    assert not app.exception
    assert f"csvcore --db {tmp_path / 'none.duckdb'} init --zoo" in app.warning[0].value


def test_an_unknown_task_in_the_address_falls_back_to_a_stored_one(app: AppTest) -> None:
    app.query_params["task"] = "no-such-task"
    app.run()
    assert not app.exception
    assert app.session_state["task"] in {
        *("arithmetic", "facts", "scenes", "swaps", "zh-people", "zh-towns")
    }


def test_the_first_task_is_the_one_that_was_imported_first(app: AppTest) -> None:
    app.run()
    assert app.session_state["task"] == "facts"


def test_starting_a_fit_queues_one_job_with_the_chosen_settings(
    app: AppTest, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)
    app.run()
    app.switch_page("dashboard/pages/fit.py").run()
    start = next(button for button in app.button if button.label == "Start")
    start.click().run()
    assert not app.exception
    job = queue.recent(zoo)[0]
    assert job.status == "queued"
    assert job.params["methods"] == ["stack", "csv"]
    assert job.params["config"] == {"seed": 0, "members": 5, "activation": "exp"}
    assert FitConfig(**job.params["config"]).algorithm == "fast"
    next(button for button in app.button if button.label == "Start").click().run()
    assert len(queue.recent(zoo)) == 1
    assert any(f"already, as job {job.job}" in toast.value for toast in app.toast)
    cancel = next(button for button in app.button if button.label == "Cancel")
    cancel.click().run()
    assert queue.recent(zoo)[0].status == "cancelled"


def test_a_fit_by_the_papers_loop_is_queued_with_its_settings(
    app: AppTest, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ensure_worker", lambda database: None)
    app.run()
    app.switch_page("dashboard/pages/fit.py").run()
    [algorithm] = [one for one in app.button_group if one.label == "Optimizer"]
    algorithm.set_value("paper").run()
    next(button for button in app.button if button.label == "Start").click().run()
    assert not app.exception
    job = queue.recent(zoo)[0]
    paper = {"algorithm": "paper", "steps": 300, "learning_rate": 0.01, "seed": 0}
    assert job.params["config"] == paper
    FitConfig(**job.params["config"])
    queue.cancel(zoo, job.job)


def test_a_split_with_too_few_train_models_is_refused_and_not_stored(
    app: AppTest, zoo: Path
) -> None:
    app.run()
    app.switch_page("dashboard/pages/models.py").run()
    with store.connect(zoo, read_only=True) as db:
        before = store.split(db, "by-size")
        n_models = len(store.models(db))
    next(button for button in app.button if button.label == "Test").click().run()
    sides = {metric.label: metric.value for metric in app.metric}
    assert (sides["Train"], sides["Test"]) == ("0", str(n_models))
    save = next(button for button in app.button if button.label == "Save split")
    save.click().run()
    assert any("at least 3 train models" in warning.value for warning in app.warning)
    with store.connect(zoo, read_only=True) as db:
        assert store.split(db, "by-size") == before


def test_no_page_loads_torch_or_transformers(zoo: Path) -> None:
    import subprocess
    import sys

    script = f"""
import os, sys
os.environ["CSVCORE_DB"] = {str(zoo)!r}
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("streamlit_app.py", default_timeout=60).run()
for page in {[f"dashboard/pages/{p.name}" for p in PAGES]!r}:
    app.switch_page(page).run()
    assert not app.exception, app.exception
assert not {{"torch", "transformers"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@given(st.text(min_size=1, max_size=30), st.data())
def test_cells_cover_the_text_and_all_tokens_whatever_the_tokens_cut(
    text: str, data: st.DataObject
) -> None:
    text = text.encode(errors="replace").decode()
    n_bytes = len(text.encode())
    cuts = data.draw(st.lists(st.integers(0, n_bytes), max_size=12))
    byte_end = [*sorted(cuts), n_bytes]
    cells = tokens.cells(text, byte_end)
    assert "".join(cells.text) == text
    assert all(cells.text)
    assert cells.token_start[0] == 0
    assert cells.token_end[-1] == len(byte_end)
    assert cells.token_start[1:] == cells.token_end[:-1]
    values = np.arange(float(len(byte_end)))
    assert cells.sum(values).sum() == pytest.approx(values.sum())


def test_tokens_that_cut_an_emoji_share_one_cell() -> None:
    cells = tokens.cells("a😀b", [1, 2, 3, 5, 6])
    assert cells.text == ["a", "😀", "b"]
    assert cells.sum(np.array([1.0, 2.0, 3.0, 4.0, 5.0])).tolist() == [1.0, 9.0, 5.0]
    assert cells.mean(np.array([1.0, 2.0, 3.0, 4.0, 5.0])).tolist() == [1.0, 3.0, 5.0]


def test_data_in_labels_cannot_become_markdown() -> None:
    assert plain("![x](http://a)") == "\\!\\[x\\]\\(http\\:\u2060//a\\)"


def test_a_family_keeps_its_colour_whatever_the_order() -> None:
    assert law.family_colours(["b", "a", "b"]) == law.family_colours(["a", "b"])
