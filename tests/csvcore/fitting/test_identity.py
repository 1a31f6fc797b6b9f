from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from numpy.testing import assert_allclose

from csvcore import store
from csvcore.fitting import identity, learn
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import task_models
from csvcore.methods import fitted
from csvcore.pipeline.dataset import load_dataset
from csvcore.pipeline.fit import fit
from csvcore.records import Fit, ModelCard
from tests.support.world import DOCS, all_weights, change, contents, save_gpt2

pytestmark = pytest.mark.slow

PAPER: dict[str, Any] = {"algorithm": "paper", "steps": 1}
QUICK: dict[str, Any] = {"penalty": 1e-4, "steps": 1, "members": 1}
Run = Callable[..., Fit]


def new_model(database: Path, *statements: str) -> None:
    """One more test model, whose name stands before all others."""
    change(
        database,
        "INSERT INTO models SELECT * REPLACE ('aaa' AS model) FROM models WHERE model = 'owl'",
        "INSERT INTO losses SELECT * REPLACE ('aaa' AS model) FROM losses WHERE model = 'owl'",
        "INSERT INTO splits VALUES ('sides', 'aaa', 'test')",
        *statements,
    )


def test_the_same_data_and_settings_give_the_same_fit_stored_once(
    make_fit: Run, world_db: Path
) -> None:
    one, two = make_fit("adding", "csv", **QUICK), make_fit("adding", "csv", **QUICK)
    assert replace(one, seconds=0.0) == replace(two, seconds=0.0)
    assert len(contents(world_db)["fits"]) == 1
    assert len(contents(world_db)["weights"]) == len(DOCS)


def test_where_the_scorers_folder_lies_makes_no_difference(
    make_fit: Run, tiny_lm: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(tiny_lm)
    for more in (QUICK, PAPER):
        there = make_fit("adding", "csv", scorer=str(elsewhere), **more)
        assert there.fit == make_fit("adding", "csv", **more).fit


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accuracies SET accuracy = accuracy + 0.001 WHERE model = 'ant' AND task = 'adding'",
        "UPDATE accuracies SET accuracy = accuracy + 0.001 WHERE model = 'owl' AND task = 'adding'",
        "UPDATE accuracies SET n_items = 10 WHERE model = 'ant' AND task = 'adding'",
        "UPDATE tasks SET chance = 0.2 WHERE task = 'adding'",
        "UPDATE splits SET side = 'train' WHERE model = 'gnu'",
        "UPDATE models SET run = 'seed2' WHERE model = 'ant'",
        "DELETE FROM losses WHERE model = 'bee' AND doc_id = 'note-1'",
        "UPDATE losses SET nll = list_transform(nll, lambda x: x * 1.01) WHERE model = 'bee'",
    ],
)
def test_a_change_of_the_data_gives_another_fit(
    make_fit: Run, world_db: Path, statement: str
) -> None:
    before = make_fit("adding")
    change(world_db, statement)
    assert make_fit("adding").fit != before.fit
    assert len(contents(world_db)["fits"]) == 2


def test_a_card_without_a_named_run_counts_as_it_did_before_runs_had_names() -> None:
    cards = [ModelCard("a", "A", 7, stage="base", step=3), ModelCard("a", "A", run="seed2")]
    data: Any = SimpleNamespace(cards=cards)
    assert identity._card_key(data, 0) == ("A", 7, "base", False)
    assert identity._card_key(data, 1) == ("A", None, None, True, "seed2")


@pytest.mark.parametrize(
    ("statement", "another"),
    [
        ("UPDATE models SET train_tokens = 10 * train_tokens WHERE model = 'ant'",
         {"stack", "loss-compute", "collaborative"}),
        ("UPDATE accuracies SET accuracy = 0.9 * accuracy WHERE model = 'ant' AND task = 'reading'",
         {"other-tasks", "collaborative"}),
        ("DELETE FROM accuracies WHERE model = 'ant' AND task = 'reading'",
         {"other-tasks", "collaborative"}),
        ("UPDATE tasks SET chance = 0.1 WHERE task = 'reading'", {"other-tasks", "collaborative"}),
    ],
)  # fmt: skip
def test_what_only_some_methods_read_gives_another_fit_of_these_alone(
    world_db: Path, config: FitConfig, statement: str, another: set[str]
) -> None:
    def ids() -> dict[str, str]:
        data = load_dataset(world_db, "words", "sides", config.scorer)
        chosen = {"adding": task_models(data, "adding")}
        wanted = [("adding", method) for method in fitted()]
        made = identity.fit_requests(data, chosen, wanted, config)
        return {one.method: one.fit for one in made}

    before = ids()
    change(world_db, statement)
    after = ids()
    assert {method for method, name in after.items() if name != before[method]} == another


def test_a_setting_that_matters_gives_another_fit_and_one_that_does_not_the_same(
    make_fit: Run, tmp_path: Path
) -> None:
    other = str(save_gpt2(tmp_path / "other", seed=3))
    Settings = dict[str, Any]
    cases: list[tuple[Settings, list[Settings], list[Settings]]] = [
        (
            QUICK,
            [{"penalty": 1e-3}, {"steps": 2}, {"members": 2}, {"scorer": other},
             {"mask_first_token": True}, {"activation": "softplus"}, PAPER],
            [{"learning_rate": 0.5}, {"label": "sum"}],
        ),
        (
            QUICK | {"members": 2},
            [{"seed": 1}],
            [],
        ),
        (
            PAPER,
            [{"steps": 2}, {"seed": 1}, {"learning_rate": 0.5}],
            [{"members": 4}, {"penalty": 1e-3}, {"activation": "softplus"}, {"label": "sum"},
             {"label_spans": "last"}],
        ),
    ]  # fmt: skip
    for base, matters, unread in cases:
        name = make_fit("adding", "csv", **base).fit
        others = {make_fit("adding", "csv", **base | more).fit for more in matters}
        assert len(others | {name}) == len(matters) + 1
        assert {make_fit("adding", "csv", **base | more).fit for more in unread} <= {name}


def test_the_label_variant_names_a_label_token_fit_and_no_other_baseline(make_fit: Run) -> None:
    kinds: list[dict[str, Any]] = [{}, {"label": "sum"}, {"label_spans": "last"}]
    assert len({make_fit("adding", "label-token", **more).fit for more in kinds}) == 3
    nothing: list[dict[str, Any]] = [*kinds, {"seed": 1}, {"steps": 3}, PAPER, QUICK]
    for method in ("all-token", "source-token", "best-source"):
        assert len({make_fit("adding", method, **more).fit for more in nothing}) == 1


def test_fits_of_one_name_have_the_same_weights_whatever_answer_spans_count(
    make_fit: Run, world_db: Path
) -> None:
    change(world_db, "UPDATE documents SET answers = [[0, 4], [29, 31]] WHERE source = 'sums'")
    every = make_fit("adding", "csv", **QUICK)
    weight = all_weights(world_db, every.fit)
    last = make_fit("adding", "csv", **QUICK, label_spans="last")
    if last.fit == every.fit:
        assert_allclose(all_weights(world_db, last.fit), weight, rtol=1e-6)


def test_a_default_that_is_spelled_out_gives_the_same_fit(make_fit: Run) -> None:
    name = make_fit("adding", "csv", penalty=1e-2).fit
    assert make_fit("adding", "csv", penalty=1e-2, activation="exp").fit == name
    assert make_fit("adding", "csv", penalty=1e-2, steps=30).fit == name


def test_a_stored_fit_is_taken_and_not_made_again_where_only_missing_ones_are_wanted(
    make_fit: Run, world_db: Path, config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_fit("adding", "csv", **QUICK)
    before = contents(world_db)
    monkeypatch.setattr(learn, "choose_heads", lambda *_: pytest.fail("it was fitted again"))
    [found] = fit(
        world_db, "words", "sides", [("adding", "csv")], replace(config, **QUICK), only_missing=True
    )
    assert found.fit == first.fit
    assert found.seconds == first.seconds
    assert contents(world_db) == before


def test_a_fit_is_stale_once_its_split_was_changed(make_fit: Run, world_db: Path) -> None:
    made = make_fit("adding")
    with store.connect(world_db) as db:
        assert not store.fits(db)["stale"].any()
        sides = store.split(db, "sides")
        store.add_split(db, "sides", sides | {made.predictions[0].model: "test"})
        moved = made.predictions[0].side != "test"
        assert store.fits(db).set_index("fit").loc[made.fit, "stale"] == moved


def test_changed_answers_make_another_label_token_fit(make_fit: Run, world_db: Path) -> None:
    first = make_fit("adding", "label-token")
    with store.connect(world_db) as db:
        docs = store.documents(db, "words")
        changed = [replace(doc, answers=doc.answers[:1]) for doc in docs]
        changed[0] = replace(changed[0], answers=((0, 1),))
        store.add_corpus(db, "words", store.corpus_sha256(db, "words"), changed)
    assert make_fit("adding", "label-token").fit != first.fit


def test_a_model_without_an_accuracy_changes_nothing_under_the_same_name(
    make_fit: Run, world_db: Path
) -> None:
    before = make_fit("adding", "csv", penalty=1e-4)
    weight = all_weights(world_db, before.fit)
    new_model(world_db)
    after = make_fit("adding", "csv", penalty=1e-4)
    assert after.left_out == ("aaa",)
    assert after.fit == before.fit
    assert_allclose(all_weights(world_db, after.fit), weight, rtol=1e-6)


def test_a_test_model_more_moves_no_weight(make_fit: Run, world_db: Path) -> None:
    before = make_fit("adding", "csv", penalty=1e-4)
    weight = all_weights(world_db, before.fit)
    new_model(world_db, "INSERT INTO accuracies VALUES ('aaa', 'adding', 0.5, NULL)")
    after = make_fit("adding", "csv", penalty=1e-4)
    assert after.n_models["test"] == before.n_models["test"] + 1
    assert after.fit != before.fit
    assert_allclose(all_weights(world_db, after.fit), weight, rtol=1e-6)
