from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from csvcore import store
from csvcore.fitting.config import FitConfig
from csvcore.pipeline import exports
from csvcore.pipeline.fit import fit
from csvcore.records import Fit
from tests.support.world import (
    ADDING,
    DOCS,
    READING,
    READING_LAW,
    SIDES,
    World,
    all_weights,
    change,
    pack_rows,
    stored_weights,
)

pytestmark = pytest.mark.slow

METHODS: tuple[str, ...] = ("csv", "all-token", "label-token", "source-token", "best-source")
N_CHARS = sum(len(doc.text) for doc in DOCS)
TEST = [model for model, side in SIDES.items() if side == "test"]
PAPER: dict[str, Any] = {"algorithm": "paper", "steps": 12, "learning_rate": 0.05}
FIXED: dict[str, Any] = {"penalty": 1e-4}  # nothing to choose, so quicker
Run = Callable[..., Fit]


@pytest.fixture
def run_all(world_db: Path, config: FitConfig) -> Callable[[], list[Fit]]:
    """Fits `adding` with every method."""
    wanted: list[tuple[str, str]] = [("adding", method) for method in METHODS]
    return lambda: fit(world_db, "words", "sides", wanted, config)


# The definitions


def test_the_all_token_score_is_the_total_nll_over_the_characters(
    make_fit: Run, world: World
) -> None:
    for placed in make_fit("reading").predictions:
        total = sum(sum(row["nll"]) for row in pack_rows(world, [placed.model]))
        assert placed.score == pytest.approx(total / N_CHARS, rel=1e-5)


def test_the_law_that_made_the_accuracies_is_found(make_fit: Run, world: World) -> None:
    record = make_fit("reading")
    assert (record.alpha, record.beta) == pytest.approx(READING_LAW, rel=1e-3)
    assert record.gamma == READING.chance
    assert all(mse < 1e-8 for mse in record.mse.values())
    for placed in record.predictions:
        assert placed.predicted == pytest.approx(
            expit(record.alpha * (placed.score - record.beta)), abs=1e-7
        )
        assert placed.accuracy == world.accuracy(placed.model, "reading")
        assert placed.side == SIDES[placed.model]


def test_label_token_weighs_the_tokens_of_answers_and_no_other(
    make_fit: Run, world: World, world_db: Path
) -> None:
    record = make_fit("adding", "label-token")
    n_label = n_tokens = 0
    for doc, edges, weight in stored_weights(world_db, record.fit):
        spans = [[len(doc.text[:at].encode()) for at in span] for span in doc.answers]
        inside = np.array(
            [any(a < end and b > start for start, end in spans) for a, b in pairwise(edges)]
        )
        assert ((weight > 0) == inside).all()
        n_label, n_tokens = n_label + int(inside.sum()), n_tokens + inside.size
    assert 0 < n_label < n_tokens
    for placed in record.predictions:  # answers are whole tokens of the scorer
        expected = world.answer_nll(placed.model) * n_tokens / n_label / N_CHARS
        assert placed.score == pytest.approx(expected, rel=1e-5)
    assert all(mse < 1e-8 for mse in record.mse.values())  # the law that made `adding`


def test_label_token_predicts_what_all_token_cannot(make_fit: Run) -> None:
    label, every = make_fit("adding", "label-token"), make_fit("adding", "all-token")
    assert label.mse["test"] < 1e-8
    assert every.mse["test"] > 1e-3


def test_source_token_weighs_the_documents_of_the_tasks_sources(
    make_fit: Run, world_db: Path
) -> None:
    record = make_fit("adding", "source-token")
    for doc, _, weight in stored_weights(world_db, record.fit):
        assert (weight > 0).all() if doc.source in ADDING.sources else not weight.any()


def test_weights_tile_every_document_and_their_mean_is_1(
    run_all: Callable[[], list[Fit]], world_db: Path, tmp_path: Path
) -> None:
    for record in run_all():
        for doc, edges, _ in stored_weights(world_db, record.fit):
            assert edges[-1] == len(doc.text.encode())
            assert (np.diff(edges) >= 0).all()
        exports.export_weights(world_db, record.fit, tmp_path / "w.parquet")
        weight = pq.read_table(tmp_path / "w.parquet")["weight"].to_numpy()
        assert np.abs(weight).mean() == pytest.approx(1.0, rel=1e-5)
        assert (weight >= 0).all()


def test_a_fit_is_stored_as_it_was_returned(
    run_all: Callable[[], list[Fit]], world_db: Path
) -> None:
    for record in run_all():
        with store.connect(world_db, read_only=True) as db:
            found = store.fit(db, record.fit)
        by_score = sorted(record.predictions, key=lambda placed: (placed.score, placed.model))
        assert found == replace(record, predictions=tuple(by_score))
        assert found.seconds > 0
        assert found.n_models == {"train": 6, "validation": 2, "test": 3}


def test_the_stored_weights_give_the_stored_scores(
    make_fit: Run, world: World, world_db: Path
) -> None:
    record = make_fit("adding", "csv")
    weights = stored_weights(world_db, record.fit)
    for placed in record.predictions:
        total = 0.0
        for doc, edges, weight in weights:
            ends = np.cumsum([len(char.encode()) for char in doc.text])
            for char, start, end in zip(
                world.nll[placed.model][doc.doc_id], [0, *ends[:-1]], ends, strict=True
            ):
                for a, b, value in zip(edges, edges[1:], weight, strict=False):
                    total += value * char * max(0, min(b, end) - max(a, start)) / (end - start)
        assert placed.score == pytest.approx(total / N_CHARS, rel=1e-4)


# What a fit does not depend on


@pytest.mark.parametrize("method", ["csv", "all-token"])
def test_accuracies_of_test_models_move_no_weight_and_no_law(
    make_fit: Run, world_db: Path, method: str
) -> None:
    before = make_fit("adding", method)
    weights = [weight for _, _, weight in stored_weights(world_db, before.fit)]
    spoil = "UPDATE accuracies SET accuracy = {} WHERE model = '{}'"
    change(world_db, *map(spoil.format, (0.9, 0.1, 0.5), TEST))
    after = make_fit("adding", method)
    assert after.fit != before.fit
    assert (after.alpha, after.beta, after.steps) == (before.alpha, before.beta, before.steps)
    assert after.trace == before.trace
    assert [p.predicted for p in after.predictions] == [p.predicted for p in before.predictions]
    assert [p.low for p in after.predictions] == [p.low for p in before.predictions]
    for one, two in zip(weights, stored_weights(world_db, after.fit), strict=True):
        assert_allclose(two[2], one, rtol=0, atol=0)
    assert after.mse["test"] != before.mse["test"]


@pytest.mark.parametrize("method", METHODS)
def test_losses_of_test_models_move_no_weight_and_no_law(
    make_fit: Run, world_db: Path, method: str
) -> None:
    before = make_fit("adding", method, **FIXED)
    others = ", ".join(f"'{model}'" for model in TEST)
    change(
        world_db,
        "UPDATE losses SET nll = list_transform(nll, lambda x, i: x * (1 + i % 3)) "
        f"WHERE model IN ({others})",
    )
    after = make_fit("adding", method, **FIXED)
    assert after.fit != before.fit
    assert (after.alpha, after.beta, after.steps) == (before.alpha, before.beta, before.steps)
    assert (after.trace, after.choice) == (before.trace, before.choice)
    kept = {p.model: p for p in after.predictions if p.side != "test"}
    assert kept == {p.model: p for p in before.predictions if p.side != "test"}
    assert_array_equal(all_weights(world_db, after.fit), all_weights(world_db, before.fit))
    assert after.mse["test"] != before.mse["test"]


# Best single source


def test_best_source_is_the_source_whose_law_errs_least_on_validation(
    make_fit: Run, world: World, world_db: Path
) -> None:
    # reading by the loss on the notes alone
    def loss(model: str, source: str) -> float:
        own = [doc for doc in DOCS if doc.source == source]
        return float(sum(world.nll[model][doc.doc_id].sum() for doc in own) / N_CHARS)

    def set_law(source: str, models: Sequence[str]) -> None:
        for model in models:
            value = float(expit(-8.0 * (loss(model, source) - 1.0)))
            change(
                world_db,
                f"UPDATE accuracies SET accuracy = {value} "
                f"WHERE task = 'reading' AND model = '{model}'",
            )

    set_law("notes", list(SIDES))
    record = make_fit("reading", "best-source")
    for doc, _, weight in stored_weights(world_db, record.fit):
        assert (weight > 0).all() if doc.source == "notes" else not weight.any()
    assert record.mse["test"] < 1e-8
    set_law("sums", TEST)  # test models that follow the other source do not change the choice
    after = make_fit("reading", "best-source")
    assert_array_equal(all_weights(world_db, after.fit), all_weights(world_db, record.fit))
    assert after.mse["test"] > 1e-3


@pytest.mark.parametrize("settings", [{}, PAPER], ids=["fast", "paper"])
def test_a_task_fitted_in_company_is_the_same_fit_as_alone(
    make_fit: Run, world_db: Path, config: FitConfig, settings: dict[str, Any]
) -> None:
    alone = make_fit("adding", "csv", **settings)
    wanted: Sequence[tuple[str, str]] = [("reading", "csv"), ("adding", "csv")]
    first, together = fit(world_db, "words", "sides", wanted, replace(config, **settings))
    assert (first.task, together.task) == ("reading", "adding")
    assert together.fit == alone.fit
    for one, two in zip(together.predictions, alone.predictions, strict=True):
        assert one.predicted == pytest.approx(two.predicted, abs=1e-4)  # products in float32
