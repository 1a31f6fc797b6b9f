from dataclasses import replace
from pathlib import Path

import pytest

from csvcore import store
from csvcore.errors import InputError
from csvcore.store import FitLabel
from tests.support.rows import EDGES, FIT, WEIGHT, words
from tests.support.world import contents

OTHER = replace(FIT, fit="reading-csv-2")


@pytest.fixture
def fitted(database: Path) -> Path:
    with store.connect(database) as db:
        words(db)
        store.add_split(db, "sides", {"ant": "train", "bee": "test"})
        for fit in (FIT, OTHER):
            store.add_fit(db, fit, ["sum-1", "sum-2"], EDGES, WEIGHT)
    return database


def test_a_label_is_kept_listed_and_removed_when_empty(fitted: Path) -> None:
    label = FitLabel("best", "the one of the paper", True)
    with store.connect(fitted) as db:
        assert store.fit_label(db, FIT.fit) == FitLabel()
        store.label_fit(db, FIT.fit, label)
        assert store.fit_label(db, FIT.fit) == label
        rows = store.fits(db).set_index("fit")
        assert rows.loc[FIT.fit, ["name", "note", "pinned"]].tolist() == [
            "best", "the one of the paper", True,
        ]  # fmt: skip
        assert not rows.loc[OTHER.fit, "pinned"]
        assert store.fit_named(db, "best") == store.fit_named(db, FIT.fit) == FIT.fit
        store.label_fit(db, FIT.fit, FitLabel())
    assert contents(fitted)["fit_labels"] == []


def test_the_same_fit_again_keeps_its_label_and_a_removed_one_takes_it_along(fitted: Path) -> None:
    with store.connect(fitted) as db:
        store.label_fit(db, FIT.fit, FitLabel("best"))
        store.add_fit(db, FIT, ["sum-1", "sum-2"], EDGES, WEIGHT)
        assert store.fit_label(db, FIT.fit).name == "best"
    act = store.removal(store.Target("fits", names=(FIT.fit,)))
    [gone] = store.rehearse(fitted, act).rows
    assert "name best" in gone.before
    with store.connect(fitted) as db:
        act(db)
    assert contents(fitted)["fit_labels"] == []


def test_a_name_is_of_one_fit_alone_and_not_too_long(fitted: Path) -> None:
    with store.connect(fitted) as db:
        store.label_fit(db, FIT.fit, FitLabel("best"))
        for fit, label, refusal in (
            (OTHER.fit, FitLabel("best"), f"the fit {FIT.fit} is called 'best' already"),
            (OTHER.fit, FitLabel(note="x" * 2001), "the note has 2,001 characters, at most 2,000"),
            ("gone", FitLabel("x"), "there is no fit 'gone'"),
        ):
            with pytest.raises(InputError, match=refusal):
                store.label_fit(db, fit, label)
        with pytest.raises(InputError, match="there is no fit 'worst'"):
            store.fit_named(db, "worst")
