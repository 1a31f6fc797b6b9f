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
    World,
    contents,
    pack_rows,
    save_gpt2,
    write_csv,
    write_pack,
)
from numpy.testing import assert_allclose
from scipy.special import expit

from csvcore import pipeline, scoring, store
from csvcore.errors import Cancelled, CsvcoreError, FitError, InputError, ModelError
from csvcore.pipeline import FitConfig, fitting
from csvcore.records import Accuracy, Document, Fit, Method

METHODS: tuple[Method, ...] = ("csv", "all-token", "label-token", "source-token")
N_CHARS = sum(len(doc.text) for doc in DOCS)
TEST = [model for model, side in SIDES.items() if side == "test"]
Run = Callable[..., Fit]


@pytest.fixture
def config(tiny_lm: Path) -> FitConfig:
    return FitConfig(steps=12, learning_rate=0.05, seed=0, scorer=str(tiny_lm))


@pytest.fixture
def run(world_db: Path, config: FitConfig) -> Run:
    """Fits one task with one method on the made-up world."""

    def fit(task: str, method: str = "all-token", **settings: Any) -> Fit:
        wanted = [(task, method)]
        [found] = pipeline.fit(world_db, "words", "sides", wanted, replace(config, **settings))
        return found

    return fit


@pytest.fixture
def run_all(world_db: Path, config: FitConfig) -> Callable[[], list[Fit]]:
    """Fits `adding` with every method."""
    wanted: list[tuple[str, Method]] = [("adding", method) for method in METHODS]
    return lambda: pipeline.fit(world_db, "words", "sides", wanted, config)


def change(database: Path, *statements: str) -> None:
    """Make the database say something else."""
    with store.connect(database) as db:
        for statement in statements:
            db.execute(statement)


def stored_weights(database: Path, fit: str) -> list[tuple[Document, np.ndarray, np.ndarray]]:
    """For each document its token edges and their weights."""
    with store.connect(database, read_only=True) as db:
        rows = store.weights(db, fit).to_pylist()
    return [
        (doc, np.array([0, *row["byte_end"]]), np.array(row["weight"]))
        for doc, row in zip(DOCS, rows, strict=True)
    ]


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


def test_csv_starts_as_all_token_and_keeps_the_step_that_validates_best(run: Run) -> None:
    csv, every = run("adding", "csv"), run("adding", "all-token")
    assert [entry.step for entry in csv.trace] == list(range(13))
    errors = [entry.validation_mse for entry in csv.trace]
    assert csv.steps == int(np.argmin(np.array(errors, dtype=float))) > 0
    assert csv.mse["validation"] < every.mse["validation"]
    assert csv.trace[0].train_mse == pytest.approx(every.mse["train"], rel=1e-2)
    assert csv.trace[0].validation_mse == pytest.approx(every.mse["validation"], rel=1e-2)
    assert csv.mse["validation"] == pytest.approx(min(e for e in errors if e), rel=1e-3)


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


def test_the_interval_holds_the_prediction_and_stays_between_0_and_1(
    run_all: Callable[[], list[Fit]],
) -> None:
    for fit in run_all():
        assert len(fit.predictions) == len(SIDES)
        for placed in fit.predictions:
            assert 0.0 <= placed.low <= placed.predicted <= placed.high <= 1.0
        assert max(placed.high - placed.low for placed in fit.predictions) > 0.0


def test_the_noise_floor_is_the_binomial_variance_where_all_counts_are_known(
    run: Run, world: World
) -> None:
    accuracy = np.array([world.accuracy(model, "reading") for model in TEST])
    floor = float(np.mean(accuracy * (1 - accuracy) / 400))
    assert run("reading").noise_floor["test"] == pytest.approx(floor)
    assert run("adding").noise_floor == {}


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


def test_a_task_fitted_in_company_is_the_same_fit_as_alone(
    run: Run, world_db: Path, config: FitConfig
) -> None:
    alone = run("adding", "csv")
    wanted: Sequence[tuple[str, Method]] = [("reading", "csv"), ("adding", "csv")]
    first, together = pipeline.fit(world_db, "words", "sides", wanted, config)
    assert (first.task, together.task) == ("reading", "adding")
    assert together.fit == alone.fit
    assert together.steps == alone.steps
    for one, two in zip(together.predictions, alone.predictions, strict=True):
        assert one.predicted == pytest.approx(two.predicted, abs=1e-4)  # float32, 12 steps


def test_the_same_data_and_settings_give_the_same_fit_stored_once(run: Run, world_db: Path) -> None:
    one, two = run("adding", "csv"), run("adding", "csv")
    assert replace(one, seconds=0.0) == replace(two, seconds=0.0)
    assert len(contents(world_db)["fits"]) == 1
    assert len(contents(world_db)["weights"]) == len(DOCS)


def test_where_the_scorers_folder_lies_makes_no_difference(
    run: Run, tiny_lm: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(tiny_lm)
    assert run("adding", "csv", scorer=str(elsewhere)).fit == run("adding", "csv").fit


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accuracies SET accuracy = accuracy + 0.001 WHERE model = 'ant' AND task = 'adding'",
        "UPDATE accuracies SET accuracy = accuracy + 0.001 WHERE model = 'owl' AND task = 'adding'",
        "UPDATE accuracies SET n_items = 10 WHERE model = 'ant' AND task = 'adding'",
        "UPDATE tasks SET chance = 0.2 WHERE task = 'adding'",
        "UPDATE splits SET side = 'train' WHERE model = 'gnu'",
        "DELETE FROM losses WHERE model = 'bee' AND doc_id = 'note-1'",
        "UPDATE losses SET nll = list_transform(nll, lambda x: x * 1.01) WHERE model = 'bee'",
    ],
)
def test_a_change_of_the_data_gives_another_fit(run: Run, world_db: Path, statement: str) -> None:
    before = run("adding")
    change(world_db, statement)
    assert run("adding").fit != before.fit
    assert len(contents(world_db)["fits"]) == 2


def test_a_change_of_settings_gives_another_csv_fit_and_the_same_baseline(
    run: Run, tmp_path: Path
) -> None:
    other = str(save_gpt2(tmp_path / "other", seed=3))
    changes: list[dict[str, Any]] = [{}, {"seed": 1}, {"steps": 11}, {"learning_rate": 0.04}]
    assert len({run("adding", "csv", **more).fit for more in [*changes, {"scorer": other}]}) == 5
    assert len({run("adding", "all-token", **more).fit for more in changes}) == 1


def test_accuracies_of_other_tasks_make_no_difference(run: Run, world_db: Path) -> None:
    before = run("adding")
    change(world_db, "DELETE FROM accuracies WHERE task = 'reading'")
    assert run("adding").fit == before.fit


# Left out


def test_models_without_an_accuracy_or_without_all_losses_are_left_out_by_name(
    run: Run, world_db: Path
) -> None:
    change(
        world_db,
        "DELETE FROM accuracies WHERE model = 'cow' AND task = 'reading'",
        "DELETE FROM losses WHERE model = 'jay' AND doc_id = 'note-2'",
        "DELETE FROM losses WHERE model = 'hen'",
    )
    fit = run("reading")
    assert set(fit.left_out) == {"cow", "jay", "hen"}
    assert {p.model for p in fit.predictions} == SIDES.keys() - {"cow", "jay", "hen"}
    assert fit.n_models == {"train": 5, "validation": 1, "test": 2}
    assert (fit.alpha, fit.beta) == pytest.approx(READING_LAW, rel=1e-3)
    assert set(run("adding").left_out) == {"jay", "hen"}


def test_models_outside_the_split_take_no_part(run: Run, world_db: Path) -> None:
    change(world_db, "DELETE FROM splits WHERE model = 'owl'")
    fit = run("reading")
    assert "owl" not in {p.model for p in fit.predictions} | set(fit.left_out)


def test_without_validation_models_the_band_comes_from_training_and_the_last_step_is_kept(
    run: Run, world_db: Path
) -> None:
    change(world_db, "UPDATE splits SET side = 'test' WHERE side = 'validation'")
    fit = run("adding", "csv")
    assert fit.steps == 12
    assert "validation" not in fit.mse
    assert fit.n_models == {"train": 6, "validation": 0, "test": 5}
    assert all(p.low <= p.predicted <= p.high for p in fit.predictions)


# Stored fits and stored hidden states


def test_a_stored_fit_is_taken_and_not_made_again_where_only_missing_ones_are_wanted(
    run: Run, world_db: Path, config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("adding", "csv")
    before = contents(world_db)
    monkeypatch.setattr(fitting, "optimise_heads", lambda *_: pytest.fail("it was fitted again"))
    [found] = pipeline.fit(
        world_db, "words", "sides", [("adding", "csv")], config, only_missing=True
    )
    assert found.fit == first.fit
    assert found.seconds == first.seconds
    assert contents(world_db) == before


def test_the_scorer_is_loaded_once_for_a_corpus(
    run: Run, world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = world_db.with_name(f"{world_db.name}.cache")
    for file in cache.iterdir():
        file.unlink()
    one = run("adding", "csv")
    [file] = list(cache.iterdir())
    assert file.suffix == ".npz"
    monkeypatch.setattr(scoring, "load", lambda *_: pytest.fail("the scorer was loaded again"))
    two = run("adding", "csv")
    assert replace(one, seconds=0.0) == replace(two, seconds=0.0)


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
    with pytest.raises(error, match=match):
        pipeline.fit(database, corpus, split, wanted or [("reading", "csv")], config)
    assert contents(database) == before


def test_fewer_than_three_train_models_are_refused(world_db: Path, config: FitConfig) -> None:
    change(
        world_db,
        "DELETE FROM accuracies WHERE task = 'reading' AND model IN ('ant', 'bee')",
        "DELETE FROM losses WHERE model IN ('cow', 'dog')",
    )
    message = "reading has 2 train models .*; a fit needs 3, and 4 of the split were left out"
    refused(world_db, config, InputError, message)


def test_a_task_whose_train_models_are_all_at_chance_is_refused(
    world_db: Path, config: FitConfig
) -> None:
    change(
        world_db,
        "UPDATE accuracies SET accuracy = 0.25 + 0.0015 * ascii(model) / 100 WHERE task = 'adding'",
    )
    message = r"all 6 train models are at chance on adding \(best 0\.252, chance 0\.25\)"
    refused(world_db, config, FitError, message, *[("adding", method) for method in METHODS])


def test_with_many_items_a_small_step_above_chance_is_not_chance(run: Run, world_db: Path) -> None:
    change(
        world_db,
        "UPDATE accuracies SET accuracy = 0.25, n_items = 100000 WHERE task = 'adding'",
        "UPDATE accuracies SET accuracy = 0.26 WHERE task = 'adding' AND model = 'ant'",
    )
    assert run("adding").gamma == 0.25  # 0.01 is 7 standard errors of 100,000 items


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
    for method, where in (("csv", "adding, step 0"), ("all-token", "adding, all-token")):
        message = f"{where}: all 6 models have the same accuracy"
        refused(world_db, config, FitError, message, ("adding", method))


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


def test_a_fit_that_is_stopped_stores_nothing(world_db: Path, config: FitConfig) -> None:
    before = contents(world_db)
    seen: list[tuple[int, int]] = []

    def stop(step: int, total: int, message: str) -> None:
        seen.append((step, total))
        if message.startswith("optimising") and step == 5:
            raise Cancelled("enough")

    wanted: list[tuple[str, Method]] = [("reading", "all-token"), ("adding", "csv")]
    with pytest.raises(Cancelled):
        pipeline.fit(world_db, "words", "sides", wanted, config, stop)
    assert contents(world_db) == before
    assert seen[-1] == (5, 12)


def test_losses_under_a_tokenizer_of_their_own_fit_the_same_law(
    tmp_path: Path, world: World, world_db: Path, run: Run
) -> None:
    write_csv(tmp_path / "m.csv", "model,family", [["new", "other"]])
    pipeline.import_models(world_db, tmp_path / "m.csv")
    whole = [
        row | {"model": "new", "byte_start": [0], "byte_end": row["byte_end"][-1:],
               "nll": [sum(row["nll"])]}
        for row in pack_rows(world, ["owl"])
    ]  # fmt: skip
    pipeline.import_losses(world_db, [write_pack(tmp_path / "p.parquet", whole)])
    with store.connect(world_db) as db:
        store.add_accuracies(db, [Accuracy("new", "reading", 0.5)])
        store.add_split(db, "sides", {**SIDES, "new": "test"})
    placed = {p.model: p for p in run("reading").predictions}
    assert placed["new"].score == pytest.approx(placed["owl"].score, rel=1e-5)
    assert placed["new"].predicted == pytest.approx(placed["owl"].predicted, rel=1e-4)


def test_a_fit_is_stale_once_its_split_was_changed(run: Run, world_db: Path) -> None:
    made = run("adding")
    with store.connect(world_db) as db:
        assert not store.fits(db)["stale"].any()
        sides = store.split(db, "sides")
        store.add_split(db, "sides", sides | {made.predictions[0].model: "test"})
        moved = made.predictions[0].split != "test"
        assert store.fits(db).set_index("fit").loc[made.fit, "stale"] == moved


def test_changed_answers_make_another_label_token_fit(run: Run, world_db: Path) -> None:
    first = run("adding", "label-token")
    with store.connect(world_db) as db:
        docs = store.documents(db, "words")
        changed = [replace(doc, answers=doc.answers[:1]) for doc in docs]
        changed[0] = replace(changed[0], answers=((0, 1),))
        store.add_corpus(db, "words", store.corpus_sha256(db, "words"), changed)
    assert run("adding", "label-token").fit != first.fit
