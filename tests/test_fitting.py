from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import (
    ADDING,
    DOCS,
    READING,
    READING_LAW,
    SIDES,
    THREE_FAMILIES,
    World,
    all_weights,
    change,
    contents,
    pack_rows,
    stored_weights,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from csvcore import pipeline, store
from csvcore.errors import Cancelled, CsvcoreError, FitError, InputError, ModelError
from csvcore.optimise import STRENGTHS
from csvcore.pipeline import FitConfig
from csvcore.records import Fit, Method

METHODS: tuple[Method, ...] = ("csv", "all-token", "label-token", "source-token", "best-source")
N_CHARS = sum(len(doc.text) for doc in DOCS)
TEST = [model for model, side in SIDES.items() if side == "test"]
PAPER: dict[str, Any] = {"algorithm": "paper", "steps": 12, "learning_rate": 0.05}
FIXED: dict[str, Any] = {"penalty": 1e-4}  # nothing to choose, so quicker
Run = Callable[..., Fit]


@pytest.fixture
def run_all(world_db: Path, config: FitConfig) -> Callable[[], list[Fit]]:
    """Fits `adding` with every method."""
    wanted: list[tuple[str, Method]] = [("adding", method) for method in METHODS]
    return lambda: pipeline.fit(world_db, "words", "sides", wanted, config)


def same_but_for_time(one: Fit, two: Fit) -> bool:
    return replace(one, seconds=0.0) == replace(two, seconds=0.0)


# The definitions


def test_the_all_token_score_is_the_total_nll_over_the_characters(run: Run, world: World) -> None:
    for placed in run("reading").predictions:
        total = sum(sum(row["nll"]) for row in pack_rows(world, [placed.model]))
        assert placed.score == pytest.approx(total / N_CHARS, rel=1e-5)


def test_the_law_that_made_the_accuracies_is_found(run: Run, world: World) -> None:
    fit = run("reading")
    assert (fit.alpha, fit.beta) == pytest.approx(READING_LAW, rel=1e-3)
    assert fit.gamma == READING.chance
    assert all(mse < 1e-8 for mse in fit.mse.values())
    for placed in fit.predictions:
        assert placed.predicted == pytest.approx(
            expit(fit.alpha * (placed.score - fit.beta)), abs=1e-9
        )
        assert placed.accuracy == world.accuracy(placed.model, "reading")
        assert placed.split == SIDES[placed.model]


def test_label_token_weighs_the_tokens_of_answers_and_no_other(
    run: Run, world: World, world_db: Path
) -> None:
    fit = run("adding", "label-token")
    n_label = n_tokens = 0
    for doc, edges, weight in stored_weights(world_db, fit.fit):
        spans = [[len(doc.text[:at].encode()) for at in span] for span in doc.answers]
        inside = np.array(
            [any(a < end and b > start for start, end in spans) for a, b in pairwise(edges)]
        )
        assert ((weight > 0) == inside).all()
        n_label, n_tokens = n_label + int(inside.sum()), n_tokens + inside.size
    assert 0 < n_label < n_tokens
    for placed in fit.predictions:  # answers are whole tokens of the scorer
        expected = world.answer_nll(placed.model) * n_tokens / n_label / N_CHARS
        assert placed.score == pytest.approx(expected, rel=1e-5)
    assert all(mse < 1e-8 for mse in fit.mse.values())  # the law that made `adding`


def test_label_token_predicts_what_all_token_cannot(run: Run) -> None:
    label, every = run("adding", "label-token"), run("adding", "all-token")
    assert label.mse["test"] < 1e-8
    assert every.mse["test"] > 1e-3


def test_source_token_weighs_the_documents_of_the_tasks_sources(run: Run, world_db: Path) -> None:
    fit = run("adding", "source-token")
    for doc, _, weight in stored_weights(world_db, fit.fit):
        assert (weight > 0).all() if doc.source in ADDING.sources else not weight.any()


def test_weights_tile_every_document_and_their_mean_is_1(
    run_all: Callable[[], list[Fit]], world_db: Path, tmp_path: Path
) -> None:
    for fit in run_all():
        for doc, edges, _ in stored_weights(world_db, fit.fit):
            assert edges[-1] == len(doc.text.encode())
            assert (np.diff(edges) >= 0).all()
        pipeline.export_weights(world_db, fit.fit, tmp_path / "w.parquet")
        weight = pq.read_table(tmp_path / "w.parquet")["weight"].to_numpy()
        assert np.abs(weight).mean() == pytest.approx(1.0, rel=1e-5)
        assert (weight >= 0).all()


def test_a_fit_is_stored_as_it_was_returned(
    run_all: Callable[[], list[Fit]], world_db: Path
) -> None:
    for fit in run_all():
        with store.connect(world_db, read_only=True) as db:
            found = store.fit(db, fit.fit)
        by_score = sorted(fit.predictions, key=lambda placed: (placed.score, placed.model))
        assert found == replace(fit, predictions=tuple(by_score))
        assert found.seconds > 0
        assert found.n_models == {"train": 6, "validation": 2, "test": 3}


def test_the_stored_weights_give_the_stored_scores(run: Run, world: World, world_db: Path) -> None:
    fit = run("adding", "csv")
    weights = stored_weights(world_db, fit.fit)
    for placed in fit.predictions:
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
    run: Run, world_db: Path, method: str
) -> None:
    before = run("adding", method)
    weights = [weight for _, _, weight in stored_weights(world_db, before.fit)]
    spoil = "UPDATE accuracies SET accuracy = {} WHERE model = '{}'"
    change(world_db, *map(spoil.format, (0.9, 0.1, 0.5), TEST))
    after = run("adding", method)
    assert after.fit != before.fit
    assert (after.alpha, after.beta, after.steps) == (before.alpha, before.beta, before.steps)
    assert after.trace == before.trace
    assert [p.predicted for p in after.predictions] == [p.predicted for p in before.predictions]
    assert [p.low for p in after.predictions] == [p.low for p in before.predictions]
    for one, two in zip(weights, stored_weights(world_db, after.fit), strict=True):
        assert_allclose(two[2], one, rtol=0, atol=0)
    assert after.mse["test"] != before.mse["test"]


# Algorithm 2


def test_the_papers_fit_starts_as_all_token_and_keeps_the_step_that_validates_best(
    run: Run,
) -> None:
    csv, every = run("adding", "csv", **PAPER), run("adding", "all-token")
    assert [entry.step for entry in csv.trace] == list(range(13))
    errors = [entry.validation_mse for entry in csv.trace]
    assert csv.steps == int(np.argmin(np.array(errors, dtype=float))) > 0
    assert csv.mse["validation"] < every.mse["validation"]
    assert csv.trace[0].train_mse == pytest.approx(every.mse["train"], rel=1e-2)
    assert csv.trace[0].validation_mse == pytest.approx(every.mse["validation"], rel=1e-2)
    assert csv.mse["validation"] == pytest.approx(min(e for e in errors if e), rel=1e-3)
    assert csv.choice is None


def test_without_validation_models_the_papers_fit_keeps_its_last_step(
    run: Run, world_db: Path
) -> None:
    change(world_db, "UPDATE splits SET side = 'test' WHERE side = 'validation'")
    fit = run("adding", "csv", **PAPER)
    assert fit.steps == 12
    assert "validation" not in fit.mse
    assert fit.n_models == {"train": 6, "validation": 0, "test": 5}


def test_the_papers_fit_takes_300_steps_unless_told(run: Run) -> None:
    assert run("adding", "csv", algorithm="paper").trace[-1].step == 300


# The fast fit


def test_where_the_ability_sits_in_a_few_tokens_csv_finds_it_and_all_token_does_not(
    run: Run, world_db: Path
) -> None:
    csv, every = run("adding", "csv"), run("adding", "all-token")
    assert csv.mse["test"] < 0.01 * every.mse["test"]
    change(world_db, "UPDATE tasks SET sources = [] WHERE task = 'adding'")
    change(world_db, "UPDATE documents SET answers = []")  # nothing tells it where to look
    blind = run("adding", "csv")
    assert blind.mse["test"] < 0.1 * every.mse["test"]
    assert blind.choice is not None
    assert {p.pull for p in blind.choice.tried} == {"all-token"}


def test_where_every_token_counts_alike_csv_is_all_token(run: Run, world_db: Path) -> None:
    csv = run("reading", "csv")
    assert csv.choice is not None
    assert csv.choice.chosen.pull == "all-token"
    assert_allclose(all_weights(world_db, csv.fit), 1.0, atol=1e-3)  # losses are float32
    assert csv.mse["test"] == pytest.approx(run("reading", "all-token").mse["test"], abs=1e-8)


def test_the_penalty_chosen_is_the_best_of_those_tried_on_what_its_heads_did_not_see(
    run: Run,
) -> None:
    choice = run("adding", "csv").choice
    assert choice is not None
    assert choice.chosen in choice.tried
    assert choice.chosen.figure == min(penalty.figure for penalty in choice.tried)
    pulls = {"all-token", "label-token", "source-token"}
    assert {p.pull for p in choice.tried} == pulls
    assert {p.strength for p in choice.tried} <= {None, *STRENGTHS[1:]}
    train = {f"run {model}" for model, side in SIDES.items() if side == "train"}
    for penalty in choice.tried:  # two families, so training runs are left out
        assert penalty.errors.keys() == train | {"validation models"}
        groups = [error for name, error in penalty.errors.items() if name != "validation models"]
        inside, outside = np.mean(np.sqrt(groups)), np.sqrt(penalty.errors["validation models"])
        assert penalty.figure == pytest.approx((inside + outside) / 2)


def test_three_families_in_train_are_left_out_in_turn(run: Run, world_db: Path) -> None:
    for model, family in THREE_FAMILIES.items():
        change(world_db, f"UPDATE models SET family = '{family}' WHERE model = '{model}'")
    choice = run("adding", "csv", **FIXED).choice
    assert choice is not None
    assert choice.chosen.errors.keys() == {"a", "b", "c", "validation models"}


def test_a_fixed_penalty_is_the_only_one_tried(run: Run) -> None:
    choice = run("adding", "csv", penalty=1e-3).choice
    assert choice is not None
    assert {penalty.strength for penalty in choice.tried} == {1e-3}


def test_steps_bound_the_steps_at_each_penalty(run: Run) -> None:
    fit = run("adding", "csv", penalty=1e-5, steps=2)
    assert [entry.step for entry in fit.trace] == [0, 1, 2]
    assert run("adding", "csv", penalty=1e-5).trace[-1].step > 2


def test_softplus_finds_the_ability_too(run: Run) -> None:
    soft = run("adding", "csv", activation="softplus", members=1)
    assert soft.mse["test"] < 0.1 * run("adding", "all-token").mse["test"]


def test_the_spread_is_that_of_an_ensemble_and_of_nothing_else(run: Run, world_db: Path) -> None:
    def spreads(fit: Fit) -> list[Any]:
        with store.connect(world_db, read_only=True) as db:
            return list(store.weights(db, fit.fit)["spread"].to_pylist())

    spread = np.concatenate(spreads(run("adding", "csv", members=3, **FIXED)))
    weight = all_weights(world_db, run("adding", "csv", members=3, **FIXED).fit)
    assert spread.shape == weight.shape
    assert (spread >= 0).all()
    assert spread.max() > 0.01
    # members have mean 1 each, are positive, and their mean is the weight: at most 3 times it
    assert (spread <= 3 * weight + 1e-6).all()
    assert not np.concatenate(spreads(run("adding", "csv", members=1, **FIXED))).any()
    for method in ("all-token", "label-token", "source-token", "best-source"):
        assert spreads(run("adding", method)) == [None] * len(DOCS)


@pytest.mark.parametrize("method", METHODS)
def test_losses_of_test_models_move_no_weight_and_no_law(
    run: Run, world_db: Path, method: str
) -> None:
    before = run("adding", method, **FIXED)
    others = ", ".join(f"'{model}'" for model in TEST)
    change(
        world_db,
        "UPDATE losses SET nll = list_transform(nll, lambda x, i: x * (1 + i % 3)) "
        f"WHERE model IN ({others})",
    )
    after = run("adding", method, **FIXED)
    assert after.fit != before.fit
    assert (after.alpha, after.beta, after.steps) == (before.alpha, before.beta, before.steps)
    assert (after.trace, after.choice) == (before.trace, before.choice)
    kept = {p.model: p for p in after.predictions if p.split != "test"}
    assert kept == {p.model: p for p in before.predictions if p.split != "test"}
    assert_array_equal(all_weights(world_db, after.fit), all_weights(world_db, before.fit))
    assert after.mse["test"] != before.mse["test"]


# Best single source


def test_best_source_is_the_source_whose_law_errs_least_on_validation(
    run: Run, world: World, world_db: Path
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
    fit = run("reading", "best-source")
    for doc, _, weight in stored_weights(world_db, fit.fit):
        assert (weight > 0).all() if doc.source == "notes" else not weight.any()
    assert fit.mse["test"] < 1e-8
    set_law("sums", TEST)  # test models that follow the other source do not change the choice
    after = run("reading", "best-source")
    assert_array_equal(all_weights(world_db, after.fit), all_weights(world_db, fit.fit))
    assert after.mse["test"] > 1e-3


@pytest.mark.parametrize("settings", [{}, PAPER], ids=["fast", "paper"])
def test_a_task_fitted_in_company_is_the_same_fit_as_alone(
    run: Run, world_db: Path, config: FitConfig, settings: dict[str, Any]
) -> None:
    alone = run("adding", "csv", **settings)
    wanted: Sequence[tuple[str, Method]] = [("reading", "csv"), ("adding", "csv")]
    first, together = pipeline.fit(world_db, "words", "sides", wanted, replace(config, **settings))
    assert (first.task, together.task) == ("reading", "adding")
    assert together.fit == alone.fit
    for one, two in zip(together.predictions, alone.predictions, strict=True):
        assert one.predicted == pytest.approx(two.predicted, abs=1e-4)  # products in float32


# Stored fits and stored hidden states


# Refusals: each leaves the database as it was


def refused(
    database: Path,
    config: FitConfig,
    error: type[CsvcoreError],
    match: str,
    *wanted: Any,
    corpus: str = "words",
    split: str = "sides",
) -> None:
    before = contents(database)
    pairs: Any = wanted or [("reading", "csv")]
    with pytest.raises(error, match=match):
        pipeline.fit(database, corpus, split, pairs, config)
    assert contents(database) == before


def test_one_task_that_cannot_be_fitted_stops_the_others_too(
    world_db: Path, config: FitConfig
) -> None:
    change(world_db, "UPDATE accuracies SET accuracy = 0.25 WHERE task = 'adding'")
    refused(
        world_db, config, FitError, "all 6 train models are at chance on adding",
        ("reading", "all-token"), ("adding", "all-token"),
    )  # fmt: skip


def test_equal_accuracies_above_chance_are_refused_by_task(
    world_db: Path, config: FitConfig
) -> None:
    change(world_db, "UPDATE accuracies SET accuracy = 0.75 WHERE task = 'adding'")
    message = r"all 6 train models have the same accuracy 0\.75 on adding"
    for method in METHODS:
        refused(world_db, config, FitError, message, ("adding", method))
    refused(world_db, replace(config, **PAPER), FitError, message, ("adding", "csv"))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"corpus": "wrods"}, "there is no corpus 'wrods'; stored: words"),
        ({"split": "sdies"}, "there is no split 'sdies'; stored: sides"),
    ],
)
def test_an_unknown_corpus_or_split_is_refused(
    world_db: Path, config: FitConfig, where: dict[str, str], message: str
) -> None:
    refused(world_db, config, InputError, message, **where)


def test_an_unknown_task_or_method_is_refused(world_db: Path, config: FitConfig) -> None:
    message = "there is no task 'riding'; stored: adding, reading"
    refused(world_db, config, InputError, message, ("riding", "csv"))
    message = "method must be one of csv, all-token, .* got 'magic'"
    refused(world_db, config, InputError, message, ("reading", "magic"))


def test_a_scorer_that_is_not_there_is_refused(
    world_db: Path, config: FitConfig, tmp_path: Path
) -> None:
    nowhere = replace(config, scorer=str(tmp_path / "nowhere"))
    refused(world_db, nowhere, ModelError, "there is no folder .*nowhere")


def test_source_token_needs_sources_and_label_token_answers(
    world_db: Path, config: FitConfig
) -> None:
    message = "source-token needs the task's sources; name them in tasks.csv"
    refused(world_db, config, InputError, message, ("reading", "source-token"))
    change(world_db, "UPDATE tasks SET sources = ['notes'] WHERE task = 'adding'")
    message = "no answer spans in the documents of notes; label-token needs `answers`"
    refused(world_db, config, InputError, message, ("adding", "label-token"))
    change(world_db, "UPDATE tasks SET sources = ['poems'] WHERE task = 'adding'")
    message = "the corpus has no document of poems"
    refused(world_db, config, InputError, message, ("adding", "source-token"))


@pytest.mark.parametrize(("settings", "last"), [(FIXED, (5, 60)), (PAPER, (5, 12))])
def test_a_fit_that_is_stopped_stores_nothing(
    world_db: Path, config: FitConfig, settings: dict[str, Any], last: tuple[int, int]
) -> None:
    before = contents(world_db)
    seen: list[tuple[int, int]] = []

    def stop(step: int, total: int, message: str) -> None:
        seen.append((step, total))
        if message.startswith("optimising") and step == 5:
            raise Cancelled("enough")

    wanted: list[tuple[str, Method]] = [("reading", "all-token"), ("adding", "csv")]
    with pytest.raises(Cancelled):
        pipeline.fit(world_db, "words", "sides", wanted, replace(config, **settings), stop)
    assert contents(world_db) == before
    assert seen[-1] == last
