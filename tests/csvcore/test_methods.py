"""A new method is one entry of the registry and one function, and is then seen everywhere."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from csvcore import methods, report, store
from csvcore.analysis import trivial_baselines
from csvcore.analysis.scores import SCORES
from csvcore.cli import main
from csvcore.errors import InputError
from csvcore.figures import comparison
from csvcore.fitting import baselines
from csvcore.fitting.comparators import COMPARATORS
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.frames import comparison_table
from csvcore.methods import METHODS, Method
from csvcore.pipeline import compare
from csvcore.records import Floats, Mask

TOYS = {"toy": "Every other <token>", "toy-guess": "Toy guess"}


def every_other(data: Dataset, chosen: TaskModels, config: FitConfig, seen: Mask) -> Floats:
    return (np.arange(data.nll.shape[1]) % 2).astype(np.float64)


def a_tenth(seen: trivial_baselines.Observed) -> Floats:
    return np.full(len(seen.cards), 0.1)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A method that weighs tokens and a trivial baseline: an entry and a function each."""
    monkeypatch.setitem(METHODS, "toy", Method("toy", TOYS["toy"], "weights"))
    monkeypatch.setitem(baselines.WEIGHTS, "toy", every_other)
    monkeypatch.setitem(METHODS, "toy-guess", Method("toy-guess", TOYS["toy-guess"], "trivial"))
    monkeypatch.setitem(trivial_baselines.PREDICTORS, "toy-guess", a_tenth)
    yield


@pytest.mark.usefixtures("toys")
def test_a_toy_method_is_fitted_compared_drawn_reported_and_shown(
    world_db: Path, config: FitConfig, app_on: Callable[..., AppTest], tmp_path: Path
) -> None:
    quick = replace(config, penalty=1e-4, members=1)
    rows = compare.compare(world_db, "words", "sides", ["adding"], quick)
    by_method = {row.method: row for row in rows}
    assert by_method.keys() >= TOYS.keys()
    assert by_method["toy-guess"].fit is None

    name = by_method["toy"].fit
    assert name is not None and name.startswith("adding-toy-")
    with store.connect(world_db, read_only=True) as db:
        assert store.fit(db, name).method == "toy"
        _, weight = store.weight_vector(db, name)
    assert set(np.round(weight, 1)) == {0.0, 2.0}  # of mean 1

    figure = comparison.baselines_figure(comparison_table(rows), None)
    assert set(figure.layout.yaxis.categoryarray) >= set(TOYS.values())

    report.write_report(world_db, name, tmp_path / "toy.html")
    page = (tmp_path / "toy.html").read_text(encoding="utf-8")
    for method, label in TOYS.items():
        assert f"<td>{escape(label)}</td><td>{by_method[method].mse:.2e}</td>" in page

    app = app_on(world_db, seconds=120)
    app.query_params["task"] = "adding"
    app.run()
    app.switch_page("dashboard/pages/baselines.py").run()
    assert not app.exception
    assert {*app.dataframe[0].value["method"]} >= set(TOYS.values())
    [chart] = app.get("plotly_chart")
    drawn = json.loads(chart.proto.spec)["layout"]["yaxis"]["categoryarray"]
    assert set(drawn) >= set(TOYS.values())


@pytest.mark.usefixtures("toys")
def test_every_method_but_trivial_baselines_can_be_fitted() -> None:
    assert methods.fitted_method("toy") is METHODS["toy"]
    for name in ("toy-guess", "sibling", "nonsense"):
        with pytest.raises(InputError, match=rf"one of stack, csv, .*toy, got '{name}'"):
            methods.fitted_method(name)


def test_the_command_offers_what_can_be_fitted_and_each_entry_has_its_function() -> None:
    [option] = [one for one in main.commands["fit"].params if one.name == "method"]
    assert list(option.type.to_info_dict()["choices"]) == methods.fitted()
    functions = {"weights": baselines.WEIGHTS, "score": SCORES, "comparator": COMPARATORS}
    for kind, registered in functions.items():
        assert {name for name, one in METHODS.items() if one.kind == kind} == registered.keys()
    alone = [name for name, one in METHODS.items() if one.kind in ("stack", "learnt")]
    assert alone == ["stack", "csv"]
    assert trivial_baselines.PREDICTORS.keys() == set(methods.trivial())
    assert [name for name, method in METHODS.items() if method.name != name] == []
