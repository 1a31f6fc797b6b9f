"""Laws of the hidden test set: what a reveal opens, for how long, and that it is counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from csvcore import store
from csvcore.errors import InputError
from csvcore.records import Fit, Mix
from dashboard.queries import attribution, comparisons, database, edits, test_set
from tests.support.database_at import at
from tests.support.world import SIDES, change

Run = Callable[..., Fit]
TESTED = {model for model, side in SIDES.items() if side == "test"}


def reveal(path: Path, split: str = "sides") -> None:
    edits.reveal(at(path), "words", [split])


def test_a_fit_is_shown_without_test_until_the_reveal(make_fit: Run, world_db: Path) -> None:
    fit = make_fit("reading")
    before = database.fit(at(world_db), fit.fit)
    assert "test" in fit.mse
    assert before.mse == {side: value for side, value in fit.mse.items() if side != "test"}
    assert {one.model for one in before.predictions} == SIDES.keys() - TESTED
    assert TESTED.isdisjoint(database.predictions(at(world_db), fit.fit)["model"])
    assert database.fits(at(world_db))["mse_test"].isna().all()
    reveal(world_db)
    shown = database.fit(at(world_db), fit.fit)
    assert shown.mse == fit.mse
    assert set(shown.predictions) == set(fit.predictions)
    assert set(database.predictions(at(world_db), fit.fit)["model"]) >= TESTED
    assert database.fits(at(world_db))["mse_test"].tolist() == [fit.mse["test"]]


def test_what_is_hidden_keeps_everything_else_of_the_fit(make_fit: Run, world_db: Path) -> None:
    fit = make_fit("reading")
    shown = database.fit(at(world_db), fit.fit)
    assert replace(shown, mse=fit.mse, predictions=fit.predictions) == fit


def test_a_fit_made_after_the_reveal_is_hidden_again_and_older_ones_stay_open(
    make_fit: Run, world_db: Path
) -> None:
    first = make_fit("reading")
    reveal(world_db)
    second = make_fit("adding")
    assert "test" in database.fit(at(world_db), first.fit).mse
    assert "test" not in database.fit(at(world_db), second.fit).mse
    reveal(world_db)
    assert "test" in database.fit(at(world_db), second.fit).mse


def test_a_fit_made_again_after_the_reveal_is_hidden_again(make_fit: Run, world_db: Path) -> None:
    fit = make_fit("reading")
    reveal(world_db)
    change(world_db, "UPDATE fits SET created = created + INTERVAL 1 DAY")
    assert "test" not in database.fit(at(world_db), fit.fit).mse


def test_a_reveal_opens_its_own_corpus_and_split_alone(make_fit: Run, world_db: Path) -> None:
    fit = make_fit("reading")
    with store.connect(world_db) as db:
        store.add_split(db, "other", dict(SIDES))
    edits.reveal(at(world_db), "words", ["other"])
    edits.reveal(at(world_db), "elsewhere", ["sides"])
    assert "test" not in database.fit(at(world_db), fit.fit).mse


def test_every_reveal_counts(world_db: Path) -> None:
    assert database.n_reveals(at(world_db), "words", "sides") == 0
    for times in (1, 2, 3):
        reveal(world_db)
        assert database.n_reveals(at(world_db), "words", "sides") == times
    assert database.n_reveals(at(world_db), "words", "other") == 0


def test_a_split_that_is_not_there_cannot_be_revealed(world_db: Path) -> None:
    with pytest.raises(InputError, match="there is no split 'gone'"):
        reveal(world_db, "gone")


def test_accuracies_of_test_models_are_hidden_until_the_reveal(world_db: Path) -> None:
    source = at(world_db)
    unseen = database.hidden_models(source, "words", "sides")
    assert unseen == TESTED
    table = database.models(source, unseen).set_index("model")
    assert table.loc[sorted(TESTED), ["reading", "adding"]].isna().all(axis=None)
    assert table.drop(sorted(TESTED))[["reading", "adding"]].notna().all(axis=None)
    reveal(world_db)
    assert database.hidden_models(at(world_db), "words", "sides") == frozenset()


def test_a_model_that_moves_to_test_after_the_reveal_is_hidden(world_db: Path) -> None:
    reveal(world_db)
    with store.connect(world_db) as db:
        store.add_split(db, "sides", SIDES | {"ant": "test"})
    assert database.hidden_models(at(world_db), "words", "sides") == {"ant"}


def test_forecasts_tell_no_accuracy_of_a_hidden_model(make_fit: Run, world_db: Path) -> None:
    fit = make_fit("reading")
    models = tuple(SIDES)
    table = comparisons.predictions_of(at(world_db), (fit.fit,), models).set_index("model")
    assert set(table.index[table["accuracy"].isna()]) == TESTED
    assert table["predicted"].notna().all()
    reveal(world_db)
    table = comparisons.predictions_of(at(world_db), (fit.fit,), models)
    assert table["accuracy"].notna().all()


def test_predictions_of_a_fit_made_after_the_reveal_tell_no_accuracy_of_a_test_model(
    make_fit: Run, world_db: Path
) -> None:
    reveal(world_db)
    fit = make_fit("reading")
    table = comparisons.predictions_of(at(world_db), (fit.fit,), tuple(SIDES)).set_index("model")
    assert set(table.index[table["accuracy"].isna()]) == TESTED
    assert TESTED.isdisjoint(attribution.partial_scores(at(world_db), fit.fit).index)


def test_the_view_inside_a_fit_does_not_know_hidden_models(make_fit: Run, world_db: Path) -> None:
    fit = make_fit("reading")
    parts = attribution.partial_scores(at(world_db), fit.fit)
    assert TESTED.isdisjoint(parts.index)
    reveal(world_db)
    assert set(attribution.partial_scores(at(world_db), fit.fit).index) >= TESTED


def test_methods_are_judged_on_validation_until_the_reveal(make_fit: Run, world_db: Path) -> None:
    fits = (make_fit("reading").fit,)
    before = comparisons.judgement(at(world_db), fits)
    assert before.side == "validation"
    assert {row.n_models for row in before.rows} == {2}
    shown = database.fit(at(world_db), fits[0])
    own = next(row for row in before.rows if row.method == "all-token")
    assert own.mse == pytest.approx(shown.mse["validation"])
    reveal(world_db)
    after = comparisons.judgement(at(world_db), fits)
    assert after.side == "test"
    assert {row.n_models for row in after.rows} == {len(TESTED)}


def test_without_validation_models_nothing_is_judged_before_the_reveal(
    make_fit: Run, world_db: Path
) -> None:
    with store.connect(world_db) as db:
        sides = {model: side for model, side in SIDES.items() if side != "validation"}
        store.add_split(db, "sides", sides)
    fit = make_fit("reading")
    assert comparisons.judgement(at(world_db), (fit.fit,)).side is None
    assert comparisons.comparison(at(world_db), (fit.fit,)).empty
    [row] = comparisons.verdicts(at(world_db), database.fits(at(world_db))).itertuples()
    assert row.task == "reading"


def test_mixes_tell_no_test_error_until_a_reveal_after_the_search(world_db: Path) -> None:
    mix = Mix("reading", {"sums": 1.0}, ("sum-1",), 10, 0.1, 0.02, 0.01, 0.03, None)
    with store.connect(world_db) as db:
        store.set_mixes(db, ["words"], "sides", "reading", [mix])
    bare = replace(mix, test_mse=None, low=None, high=None)

    def shown() -> list[Mix]:
        return comparisons.mixes(at(world_db), ("words",), "sides", "reading")

    assert shown() == [bare]
    reveal(world_db)
    assert shown() == [mix]
    with store.connect(world_db) as db:
        store.set_mixes(db, ["words"], "sides", "reading", [mix])
    assert shown() == [bare]


def test_a_stale_fits_own_test_models_are_hidden_too(make_fit: Run, world_db: Path) -> None:
    fit = make_fit("reading")
    with store.connect(world_db) as db:
        store.add_split(db, "sides", SIDES | dict.fromkeys(TESTED, "train"))
    with store.connect(world_db, read_only=True) as db:
        assert test_set.models_of_fit(db, fit.fit) == TESTED
