"""Laws of forecasts: what a stored fit says of models it never saw."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from numpy.testing import assert_allclose

from csvcore import store
from csvcore.analysis.intervals import residual_interval
from csvcore.errors import InputError, OffsetsError
from csvcore.fitting.config import FitConfig
from csvcore.methods import predicting
from csvcore.pipeline import imports, predict
from csvcore.pipeline.fit import fit
from csvcore.records import Fit
from csvcore.scaling import sigmoid_law
from tests.support.world import DOCS, SIDES, World, change, contents, pack_rows, write_pack

pytestmark = pytest.mark.slow

Run = Callable[..., Fit]
Invoke = Callable[..., Result]
TEST = next(model for model, side in SIDES.items() if side == "test")
NEW = "new"  # a model that no split and no accuracy speaks of


def like(world: World, model: str, name: str = NEW, scale: float = 1.0) -> list[dict[str, object]]:
    """A model's losses under another name, times a factor."""
    rows = pack_rows(world, [model])
    return [row | {"model": name, "nll": [scale * x for x in row["nll"]]} for row in rows]


@pytest.fixture
def fitted(make_fit: Run) -> Fit:
    return make_fit("reading", method="all-token", refit="train")


@pytest.mark.parametrize("refit", ["all", "train"])
@pytest.mark.parametrize("method", predicting())
def test_every_method_says_of_a_stored_model_what_its_fit_said(
    make_fit: Run, world_db: Path, method: str, refit: str
) -> None:
    made = make_fit("adding", method, penalty=1e-4, refit=refit)
    said = {one.model: one for one in made.predictions}
    found = predict.predict(world_db, made.fit, list(said))
    assert len(found) == len(said)
    for one in found:
        before = said[one.model]
        if before.side == "validation" and refit == "all":
            continue  # a fit predicts these by the law of the train models
        assert one.score == pytest.approx(before.score, rel=1e-4, abs=1e-4)
        assert one.predicted == pytest.approx(before.predicted, abs=1e-4)
        if method == "stack":
            assert (one.low, one.high) == (
                pytest.approx(before.low, abs=1e-4),
                pytest.approx(before.high, abs=1e-4),
            )


def test_a_stack_predicts_a_model_whose_compute_is_not_known_by_its_other_scores(
    make_fit: Run, world_db: Path, world: World, tmp_path: Path
) -> None:
    made = make_fit("adding", "stack", penalty=1e-4)
    shares = {one.name: one.weight for one in made.candidates}
    assert shares["compute"] > 0
    assert sum(shares.values()) == pytest.approx(1)
    pack = write_pack(tmp_path / "new.parquet", like(world, TEST))
    (new,) = predict.predict(world_db, made.fit, files=[pack])
    (known,) = predict.predict(world_db, made.fit, [TEST])
    assert new.model == NEW
    assert new.predicted != known.predicted
    assert abs(new.predicted - known.predicted) < 0.2


def test_who_is_predicted_with_a_model_makes_no_difference_to_it(
    make_fit: Run, world_db: Path, world: World, tmp_path: Path
) -> None:
    made = make_fit("adding", "stack", penalty=1e-4)
    assert {one.name: one.weight for one in made.candidates}["compute"] > 0
    pack = write_pack(tmp_path / "new.parquet", like(world, TEST))  # without a card, so no compute
    (new,) = predict.predict(world_db, made.fit, files=[pack])
    (known,) = predict.predict(world_db, made.fit, [TEST])
    both = predict.predict(world_db, made.fit, [TEST], files=[pack])
    assert {one.model: one for one in both} == {NEW: new, TEST: known}


def test_a_comparator_predicts_the_models_of_its_fit_alone(make_fit: Run, world_db: Path) -> None:
    made = make_fit("adding", "loss-quantiles")
    with pytest.raises(InputError, match="loss-quantiles predicts only the models of its fit; tak"):
        predict.predict(world_db, made.fit, [TEST])


def test_a_model_with_the_losses_of_another_gets_its_prediction(
    fitted: Fit, world_db: Path, world: World, tmp_path: Path
) -> None:
    for known in fitted.predictions:
        pack = write_pack(tmp_path / "new.parquet", like(world, known.model))
        (found,) = predict.predict(world_db, fitted.fit, files=[pack])
        assert found.model == NEW
        assert found.score == pytest.approx(known.score, rel=1e-5)
        assert found.predicted == pytest.approx(known.predicted, rel=1e-4)
        assert 0 <= found.low <= found.predicted <= found.high <= 1


def test_models_in_the_database_get_what_the_fit_said_of_them(fitted: Fit, world_db: Path) -> None:
    known = sorted(fitted.predictions, key=lambda one: one.score)
    found = predict.predict(world_db, fitted.fit, [one.model for one in fitted.predictions])
    assert [one.model for one in found] == [one.model for one in known]
    assert_allclose([f.predicted for f in found], [p.predicted for p in known], 1e-5)


def test_intervals_come_from_the_errors_on_models_left_out(fitted: Fit, world_db: Path) -> None:
    (found,) = predict.predict(world_db, fitted.fit, [fitted.predictions[0].model])
    law = sigmoid_law(np.array([found.score]), fitted.alpha, fitted.beta, fitted.gamma)
    low, high = residual_interval(law, np.array(fitted.residuals))
    assert (found.low, found.high) == (pytest.approx(low[0]), pytest.approx(high[0]))


def test_a_score_outside_the_train_models_is_extrapolated(
    fitted: Fit, world_db: Path, world: World, tmp_path: Path
) -> None:
    train = [one for one in fitted.predictions if one.side == "train"]
    best = min(train, key=lambda one: one.score).model
    rows = like(world, best, "far", 0.5) + like(world, best, "same") + like(world, best, "off", 9.0)
    found = predict.predict(world_db, fitted.fit, files=[write_pack(tmp_path / "p", rows)])
    assert [one.model for one in found] == ["far", "same", "off"]
    assert [one.extrapolated for one in found] == [True, False, True]


def test_without_names_all_models_that_the_fit_did_not_use(
    fitted: Fit, world_db: Path, world: World, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="used every model with losses on words"):
        predict.predict(world_db, fitted.fit)
    change(world_db, f"INSERT INTO models (model, family) VALUES ('{NEW}', 'other')")
    pack = write_pack(tmp_path / "new.parquet", like(world, next(iter(SIDES))))
    imports.import_losses(world_db, [pack])
    assert [one.model for one in predict.predict(world_db, fitted.fit)] == [NEW]


def test_predicting_stores_nothing(fitted: Fit, world_db: Path) -> None:
    before = contents(world_db)
    predict.predict(world_db, fitted.fit, [fitted.predictions[0].model])
    assert contents(world_db) == before


def test_csv_weights_and_left_out_first_tokens_are_those_of_the_fit(
    world_db: Path, config: FitConfig
) -> None:
    masked = replace(config, mask_first_token=True, penalty=1e-4)
    (record,) = fit(world_db, "words", "sides", [("reading", "csv")], masked)
    found = predict.predict(world_db, record.fit, [one.model for one in record.predictions])
    known = sorted(one.score for one in record.predictions)
    assert_allclose([one.score for one in found], known, rtol=1e-5)


# Refusals


def test_a_fit_without_left_out_errors_is_to_be_made_again(fitted: Fit, world_db: Path) -> None:
    change(world_db, "UPDATE fits SET residuals = []")
    with pytest.raises(InputError, match="make it again with csvcore fit"):
        predict.predict(world_db, fitted.fit, [fitted.predictions[0].model])


def test_what_cannot_be_scored_is_refused_by_name(
    fitted: Fit, world_db: Path, world: World, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="there is no fit 'nothing'"):
        predict.predict(world_db, "nothing")
    with pytest.raises(InputError, match=f"yak has losses on 0 of {len(DOCS)} documents"):
        predict.predict(world_db, fitted.fit, ["yak"])
    rows = like(world, next(iter(SIDES)))
    pack = write_pack(tmp_path / "part.parquet", rows[:-1])
    with pytest.raises(InputError, match=rf"part.parquet: new has losses on {len(DOCS) - 1} of"):
        predict.predict(world_db, fitted.fit, files=[pack])
    rows[0] = rows[0] | {"byte_end": [*rows[0]["byte_end"][:-1], 10_000]}  # type: ignore[misc]
    with pytest.raises(OffsetsError, match="do not tile"):
        predict.predict(world_db, fitted.fit, files=[write_pack(tmp_path / "off.parquet", rows)])


def test_a_pack_on_another_corpus_is_refused(
    fitted: Fit, world_db: Path, world: World, tmp_path: Path
) -> None:
    pack = write_pack(tmp_path / "p.parquet", like(world, "ant"), "0" * 64)
    with pytest.raises(
        InputError, match=r"p.parquet has losses on another corpus \(000000000000\)"
    ):
        predict.predict(world_db, fitted.fit, files=[pack])


# The command


def test_the_command_prints_a_table_or_one_json_document(
    fitted: Fit, world_db: Path, invoke: Invoke
) -> None:
    names = [one.model for one in fitted.predictions][:2]
    told = invoke("predict", "--fit", fitted.fit, "--model", *names, db=world_db)
    assert told.exit_code == 0
    assert all(name in told.stdout for name in names)
    made = invoke("predict", "--fit", fitted.fit, "--model", *names, "--json", db=world_db)
    rows = json.loads(made.stdout)["predictions"]
    assert {row["model"] for row in rows} == set(names)
    assert {*rows[0]} == {"model", "score", "predicted", "low", "high", "extrapolated"}


def test_without_a_fit_the_newest_of_every_task_forecasts(
    fitted: Fit, world_db: Path, invoke: Invoke, config: FitConfig
) -> None:
    (other,) = fit(world_db, "words", "sides", [("adding", "all-token")], config)
    place = ("predict", "--corpus", "words", "--split", "sides", "--method", "all-token")
    told = invoke(*place, "--model", "ant", db=world_db)
    header, row, note = told.stdout.splitlines()
    assert header.split() == ["model", "adding", "reading"]
    texts = []
    for record in (other, fitted):
        (found,) = predict.predict(world_db, record.fit, ["ant"])
        beyond = " ×" if found.extrapolated else ""
        texts.append(f"{found.predicted:.2f} ({found.low:.2f} to {found.high:.2f}){beyond}")
    assert re.split(r"\s{2,}", row) == ["ant", *texts]
    assert "90 % prediction interval" in note
    made = invoke(*place, "--model", "ant", "--json", db=world_db)
    assert [one["fit"] for one in json.loads(made.stdout)["fits"]] == [other.fit, fitted.fit]
    two = invoke("predict", "--fit", other.fit, "--fit", fitted.fit, "ant", "--json", db=world_db)
    assert json.loads(two.stdout) == json.loads(made.stdout)
    refused = invoke("predict", "--corpus", "words", "--split", "sides", db=world_db)
    assert refused.exit_code == 1
    assert "no task has a csv fit on words with split sides" in refused.stderr
    for wrong in ((), ("--fit", other.fit, "--split", "sides"), ("--corpus", "words")):
        refused = invoke("predict", *wrong, db=world_db)
        assert refused.exit_code == 2
        assert "name fits by --fit, or all tasks' by --corpus and --split" in refused.stderr


def test_packs_and_models_behind_the_first_are_told_apart(
    fitted: Fit, world_db: Path, world: World, invoke: Invoke, tmp_path: Path
) -> None:
    packs = [write_pack(tmp_path / f"{n}.parquet", like(world, "ant", n)) for n in ("p", "q")]
    told = invoke(
        *("predict", "--fit", fitted.fit, "--losses", *map(str, packs), "--model", "ant", "bee"),
        db=world_db,
    )
    assert {line.split()[0] for line in told.stdout.splitlines()[1:]} == {"p", "q", "ant", "bee"}


def test_the_store_keeps_the_left_out_errors(fitted: Fit, world_db: Path) -> None:
    assert fitted.residuals
    assert fitted.n_chars == sum(len(doc.text) for doc in DOCS)
    with store.connect(world_db, read_only=True) as db:
        assert store.fit(db, fitted.fit).residuals == fitted.residuals
