"""Laws of what the pages read out of stored fits: judgements, forecasts, contributions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig
from csvcore.pipeline import compare, leave_one_family_out
from csvcore.pipeline.fit import fit
from csvcore.records import Fit
from dashboard.queries import attribution, comparisons, edits, fit_tokens
from tests.support.database_at import at
from tests.support.world import DOCS, World, pack_rows, write_pack

pytestmark = pytest.mark.slow

Run = Callable[..., Fit]


@pytest.fixture
def record(make_fit: Run, world_db: Path) -> Fit:
    """A fit whose test set was revealed."""
    found = make_fit("reading", method="csv", penalty=1e-4)
    edits.reveal(at(world_db), "words", ["sides"])
    return found


def test_the_parts_of_a_score_by_source_add_up_to_it(record: Fit, world_db: Path) -> None:
    parts = attribution.partial_scores(at(world_db), record.fit)
    score = {one.model: one.score for one in record.predictions}
    assert_allclose(parts.sum(axis=1), [score[name] for name in parts.index], rtol=1e-5)
    assert set(parts.columns) == {doc.source for doc in DOCS}


def test_what_is_added_by_source_document_and_token_is_the_distance_to_the_curve(
    record: Fit, world_db: Path
) -> None:
    n_tokens = fit_tokens.read(at(world_db), record.fit).weight.size
    for model in (record.predictions[0].model, record.predictions[-1].model):
        found = attribution.off_curve(at(world_db), record.fit, model, n_tokens)
        distance = found.score - found.on_curve
        for table in (found.by_source, found.by_document, found.by_token):
            assert table["added"].sum() == pytest.approx(distance, abs=1e-6)


def test_a_token_is_shown_in_its_text(record: Fit, world_db: Path) -> None:
    found = attribution.off_curve(at(world_db), record.fit, record.predictions[0].model)
    texts = {doc.doc_id: doc.text for doc in DOCS}
    for row in found.by_token.itertuples():
        assert row.before + row.text + row.after in texts[row.doc_id]
    strength = found.by_token["added"].abs()
    assert strength.is_monotonic_decreasing


def test_a_model_that_the_fit_does_not_have_is_refused(record: Fit, world_db: Path) -> None:
    with pytest.raises(InputError, match="has no model 'yak'; choose one of its 11"):
        attribution.off_curve(at(world_db), record.fit, "yak")


def test_the_pages_judge_as_the_command_does(world_db: Path, config: FitConfig) -> None:
    quick = replace(config, penalty=1e-4)
    rows = compare.compare(world_db, "words", "sides", ["reading"], quick)
    fits = tuple(row.fit for row in rows if row.fit)
    edits.reveal(at(world_db), "words", ["sides"])
    table = comparisons.comparison(at(world_db), fits)
    assert table["method"].tolist() == [row.method for row in rows]
    assert_allclose(table["mse"], [row.mse for row in rows])


def test_predictions_of_stored_models_and_of_their_pack_are_the_same(
    record: Fit, world_db: Path, world: World, tmp_path: Path
) -> None:
    names = tuple(sorted(one.model for one in record.predictions)[:3])
    stored = comparisons.predictions_of(at(world_db), (record.fit,), names)
    pack = write_pack(tmp_path / "pack.parquet", pack_rows(world, names))
    uploaded = comparisons.predictions_of(
        at(world_db), (record.fit,), (), (pack.name, pack.read_bytes())
    )
    assert_allclose(stored["predicted"], uploaded["predicted"], rtol=1e-6)
    known = {one.model: one.accuracy for one in record.predictions}
    assert stored.set_index("model")["accuracy"].to_dict() == {n: known[n] for n in names}
    assert stored["run"].notna().all()


def test_several_fits_forecast_as_each_alone_and_a_packs_model_keeps_its_own_row(
    world_db: Path, world: World, config: FitConfig, tmp_path: Path
) -> None:
    wanted: list[tuple[str, str]] = [("reading", "all-token"), ("adding", "label-token")]
    made = fit(world_db, "words", "sides", wanted, config)
    fits, models = tuple(one.fit for one in made), ("ant", "bee")
    pack = write_pack(tmp_path / "pack.parquet", pack_rows(world, ["bee", "cow"]))
    uploaded = (pack.name, pack.read_bytes())
    found = comparisons.predictions_of(at(world_db), fits, models, uploaded)
    assert set(found["model"]) == {"ant", "bee", "bee (pack.parquet)", "cow"}
    parts = [comparisons.predictions_of(at(world_db), (name,), models, uploaded) for name in fits]
    pd.testing.assert_frame_equal(found, pd.concat(parts, ignore_index=True))
    assert found.drop_duplicates("fit")["task"].tolist() == ["reading", "adding"]
    for _, rows in found.groupby("fit"):
        assert rows["score"].is_monotonic_increasing


def test_a_pack_that_is_none_is_refused(record: Fit, world_db: Path) -> None:
    with pytest.raises(InputError, match=r"x.parquet is not a Parquet file"):
        comparisons.predictions_of(at(world_db), (record.fit,), (), ("../x.parquet", b"nothing"))
    with pytest.raises(InputError, match="none of these models has losses"):
        comparisons.predictions_of(at(world_db), (record.fit,), ("yak",))


def test_left_out_families_are_read_from_the_splits_of_their_name(
    world_db: Path, config: FitConfig
) -> None:
    assert comparisons.left_out(at(world_db), "words").empty
    quick = replace(config, penalty=1e-4)
    found = leave_one_family_out.leave_one_family_out(world_db, "words", ["reading"], quick)
    hidden = comparisons.left_out(at(world_db), "words")
    assert hidden["mse_test"].isna().all()
    edits.reveal(at(world_db), "words", hidden["split"].unique())
    table = comparisons.left_out(at(world_db), "words").set_index(["family", "method"])["mse_test"]
    for one in found:
        if one.row.fit:
            assert table[one.family, one.row.method] == pytest.approx(one.row.mse)
    assert np.isfinite(table.astype(float)).all()
