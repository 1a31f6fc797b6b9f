"""`csvcore fits` and `csvcore label`: the list with names and pins, and two fits side by side."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from csvcore import cli, store
from tests.support.rows import EDGES, FIT, WEIGHT, words

OTHER = replace(FIT, fit="reading-csv-2", config={"steps": 9, "scorer": "somewhere"})


@pytest.fixture
def fitted(database: Path) -> Path:
    with store.connect(database) as db:
        words(db)
        store.add_split(db, "sides", {"ant": "train", "bee": "test"})
        store.add_fit(db, FIT, ["sum-1", "sum-2"], EDGES, WEIGHT)
        store.add_fit(db, OTHER, ["sum-1", "sum-2"], EDGES, np.array([0.5, 1.5, -2.0, 0.25]))
    return database


def run(database: Path, *words: str) -> Result:
    return CliRunner().invoke(cli.main, ["--db", str(database), *words])


def test_a_named_and_pinned_fit_is_listed_first(fitted: Path) -> None:
    assert "pin" not in run(fitted, "fits").output.splitlines()[0]
    said = run(fitted, "label", FIT.fit, "--name", "best", "--pin", "--note", "for the paper")
    assert said.output == f"{FIT.fit}: called 'best', pinned\n"
    head, first, second = run(fitted, "fits").output.splitlines()
    assert head.split()[:3] == ["fit", "name", "pin"]
    assert first.split()[:3] == [FIT.fit, "best", "*"]
    assert second.split()[0] == OTHER.fit
    listed = json.loads(run(fitted, "fits", "--json").output)["fits"]
    assert [row["pinned"] for row in listed] == [True, False]
    assert listed[0]["note"] == "for the paper"
    said = run(fitted, "label", "best", "--unpin", "--name", "")
    assert said.output == f"{FIT.fit}: without a name, not pinned\n"


def test_two_fits_are_compared_by_id_or_name(fitted: Path) -> None:
    run(fitted, "label", FIT.fit, "--name", "best")
    said = run(fitted, "fits", "best", OTHER.fit).output
    assert "steps    1  9" in said
    assert "33% have opposite signs" in said
    assert said.splitlines()[-3].split()[-3:] == ["2.00", "-2.00", "+4.00"]
    found = json.loads(run(fitted, "fits", FIT.fit, OTHER.fit, "--json").output)
    assert found["settings"] == [{"setting": "steps", "a": "1", "b": "9"}]
    assert found["tokens"][0]["difference"] == 4.0
    assert found["errors"]["n_models"] == 1
    assert [row["difference"] for row in found["predictions"]] == [0.0, 0.0]


def test_wrong_words_are_told(fitted: Path) -> None:
    assert "give two fits to compare, got 1" in run(fitted, "fits", FIT.fit).output
    assert "there is no fit 'gone'" in run(fitted, "fits", FIT.fit, "gone").output
    assert "give --name, --note or --pin" in run(fitted, "label", FIT.fit).output
