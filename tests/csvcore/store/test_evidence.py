from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats.item_results import SCHEMA
from csvcore.records import LossSettings
from tests.support.world import DOCS, SIDES, World, change

SEEN = sorted(model for model, side in SIDES.items() if side != "test")


def test_evidence_has_no_test_model_of_the_split(world_db: Path) -> None:
    with store.connect(world_db, read_only=True) as db:
        found, whole = store.evidence(db, "words", "sides"), store.evidence(db, "words", None)
    assert sorted(card.model for card in found.cards) == sorted(found.sides) == SEEN
    assert {model for model, _ in found.accuracies} == set(SEEN) == set(found.settings)
    assert found.source_nll.shape == (len(SEEN), 2)
    assert len(whole.cards) == len(SIDES)
    assert whole.sides == {}


def test_repeats_of_seen_models_count_for_the_noise_of_a_seed_and_those_of_test_models_do_not(
    world_db: Path,
) -> None:
    for model, of in (("bee-again", "bee"), ("jay-again", "jay")):
        change(
            world_db,
            f"INSERT INTO models BY NAME SELECT * REPLACE ('{model}' AS model, 'seed2' AS run) "
            f"FROM models WHERE model = '{of}'",
            f"INSERT INTO accuracies BY NAME SELECT * REPLACE ('{model}' AS model) "
            f"FROM accuracies WHERE model = '{of}'",
        )
    with store.connect(world_db, read_only=True) as db:
        found, whole = store.evidence(db, "words", "sides"), store.evidence(db, "words", None)
    assert [card.model for card in found.repeats] == ["bee-again"]
    assert sorted(card.model for card in found.cards) == sorted(found.sides) == SEEN
    assert {model for model, _ in found.accuracies} == {*SEEN, "bee-again"}
    assert np.isnan(found.repeat_nll).all()
    assert found.repeat_nll.shape == (1, 2)
    assert whole.repeats == ()


def test_the_mean_loss_of_a_source_is_per_character_and_unknown_where_one_is_missing(
    world_db: Path, world: World
) -> None:
    change(world_db, "DELETE FROM losses WHERE model = 'bee' AND doc_id = 'note-1'")
    with store.connect(world_db, read_only=True) as db:
        found = store.evidence(db, "words", "sides")
    assert found.sources == ("sums", "notes")
    for row, card in zip(found.source_nll, found.cards, strict=True):
        for value, source in zip(row, found.sources, strict=True):
            docs = [doc for doc in DOCS if doc.source == source]
            total = sum(world.nll[card.model][doc.doc_id].sum() for doc in docs)
            if (card.model, source) == ("bee", "notes"):
                assert np.isnan(value)
            else:
                assert_allclose(value, total / sum(len(doc.text) for doc in docs), rtol=1e-6)


def test_the_loss_of_first_tokens_is_part_of_that_of_the_text(world_db: Path, world: World) -> None:
    change(world_db, "DELETE FROM losses WHERE model = 'bee' AND doc_id = 'note-1'")
    with store.connect(world_db, read_only=True) as db:
        found = store.evidence(db, "words", "sides")
    n_chars = sum(len(doc.text) for doc in DOCS)
    for row, card in zip(found.text_nll, found.cards, strict=True):
        if card.model == "bee":
            assert np.isnan(row).all()
        else:
            first = sum(nll[0] for nll in world.nll[card.model].values()) / n_chars
            assert_allclose(row, [world.all_token(card.model), first], rtol=1e-6)


def test_settings_are_those_of_the_manifest_and_unknown_without_one(world_db: Path) -> None:
    change(world_db, "UPDATE manifests SET manifest = NULL WHERE model = 'bee'")
    with store.connect(world_db, read_only=True) as db:
        found = store.evidence(db, "words", "sides").settings
    assert found["bee"] == LossSettings()
    assert found["ant"] == LossSettings("float32", "whole", None)


def test_item_statistics_are_of_the_items_that_every_model_has(world_db: Path) -> None:
    correct = np.random.default_rng(0).integers(0, 3, (3, 20)) / 2
    rows = [
        {"model": model, "task": "adding", "item": str(at), "correct": value}
        for model, own in zip(("ant", "bee", "owl"), correct.tolist(), strict=True)
        for at, value in enumerate(own)
        if (model, at) != ("bee", 0)
    ]
    with store.connect(world_db) as db:
        db.execute("DELETE FROM accuracies WHERE task = 'adding'")
        store.add_item_results(db, [pa.Table.from_pylist(rows, schema=SCHEMA)])
        found = store.item_statistics(db, ["ant", "bee"])
        again = store.evidence(db, "words", "sides").items  # owl tests
        assert store.item_statistics(db, ["cow"]) == {}
    seen = correct[:2, 1:]
    [items] = found.values()
    assert astuple(again["adding"]) == pytest.approx(astuple(items))
    assert (items.n_models, items.n_items) == (2, 19)
    assert items.difficulty == pytest.approx(seen.mean(axis=0).std())
    assert items.within_variance == pytest.approx(seen.var(axis=1).mean())
    assert items.item_variance == pytest.approx(seen.var(axis=0, ddof=1).mean())
    assert items.mean_variance == pytest.approx(seen.mean(axis=1).var(ddof=1))


def test_evidence_of_what_is_not_stored_is_refused(world_db: Path) -> None:
    with store.connect(world_db, read_only=True) as db:
        with pytest.raises(InputError, match="there is no corpus 'wrods'; stored: words"):
            store.evidence(db, "wrods", "sides")
        with pytest.raises(InputError, match="there is no split 'sdies'; stored: sides"):
            store.evidence(db, "words", "sdies")
