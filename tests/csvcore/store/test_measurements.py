from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from csvcore import store
from csvcore.errors import InputError, StoreError
from csvcore.formats import loss_packs
from csvcore.formats.manifest import Manifest
from csvcore.records import (
    Accuracy,
    Control,
    Document,
    ModelCard,
    Penalty,
    PenaltyChoice,
    Task,
)
from tests.support.rows import CARDS, EDGES, FIT, WEIGHT, table, words
from tests.support.world import ADDING, DOCS, READING, SIDES, World, contents, pack_rows

# Reading back what was written


def test_documents_come_back_as_they_were_in_their_order(database: Path) -> None:
    docs = [Document(f"d-{i}", "s", f"text {i} 猫🎩\n", ((0, 1), (2, 6))) for i in (3, 1, 2)]
    with store.connect(database) as db:
        store.add_corpus(db, "words", "abc", DOCS)
        store.add_corpus(db, "other", "def", docs)
    with store.connect(database, read_only=True) as db:
        assert store.documents(db, "words") == list(DOCS)
        assert store.documents(db, "other") == docs
        assert store.corpus_sha256(db, "words") == "abc"
        assert store.corpus_of_sha256(db, "def") == "other"
        assert store.corpus_of_sha256(db, "unknown") is None
        listed = store.corpora(db).to_dict("records")
    assert listed[1] == {
        "corpus": "words",
        "sha256": "abc",
        "n_chars": sum(len(doc.text) for doc in DOCS),
        "n_docs": 6,
        "n_sources": 2,
        "n_models": 0,
    }


def test_a_corpus_name_holds_one_set_of_documents(database: Path) -> None:
    with store.connect(database) as db:
        store.add_corpus(db, "words", "abc", DOCS)
        store.add_corpus(db, "words", "abc", DOCS)
        assert len(store.documents(db, "words")) == len(DOCS)
        with pytest.raises(InputError, match="'words' with other documents is stored"):
            store.add_corpus(db, "words", "other", DOCS[:1])
        with pytest.raises(InputError, match="there is no corpus 'wrods'; stored: words"):
            store.documents(db, "wrods")


def test_cards_and_tasks_come_back_and_newer_ones_replace_them(database: Path) -> None:
    with store.connect(database) as db:
        words(db)
        assert sorted(store.models(db), key=lambda card: card.model) == sorted(
            CARDS, key=lambda card: card.model
        )
        assert store.tasks(db) == [ADDING, READING]
        store.add_models(db, [replace(CARDS[1], n_params=5)])
        store.add_tasks(db, [Task("reading", 0.5)])
        assert {card.model: card.n_params for card in store.models(db)} == {"ant": 5, "bee": 2000}
        assert store.tasks(db) == [ADDING, replace(READING, chance=0.5)]
        store.add_models(db, [ModelCard("ant", "else")])  # what a card does not tell stays
        [ant] = [card for card in store.models(db) if card.model == "ant"]
        assert ant == replace(CARDS[1], family="else", n_params=5)


def test_accuracies_come_back_and_equal_repeats_change_nothing(database: Path) -> None:
    entries = [Accuracy("ant", "reading", 1 / 3, 400), Accuracy("bee", "reading", 0.0)]
    with store.connect(database) as db:
        words(db)
        store.add_accuracies(db, entries)
        store.add_accuracies(db, entries)
        assert sorted(store.accuracies(db), key=lambda e: e.model) == entries


@pytest.mark.parametrize(
    ("entry", "refusal"),
    [
        (Accuracy("yak", "reading", 0.5), "name the model 'yak', which is not stored"),
        (Accuracy("ant", "riding", 0.5), "name the task 'riding', which is not stored"),
        (Accuracy("ant", "reading", 0.6, 400), r"stored as 0\.5 .*the file says 0\.6"),
        (Accuracy("ant", "reading", 0.5, 401), r"\(400 items\), the file says 0\.5 \(401 items\)"),
    ],
)
def test_an_accuracy_that_contradicts_the_database_is_refused(
    database: Path, entry: Accuracy, refusal: str
) -> None:
    with store.connect(database) as db:
        words(db)
        store.add_accuracies(db, [Accuracy("ant", "reading", 0.5, 400)])
    before = contents(database)
    with pytest.raises(InputError, match=refusal), store.connect(database) as db:
        store.add_accuracies(db, [Accuracy("bee", "reading", 0.1), entry])
    assert contents(database) == before


def test_a_split_comes_back_and_a_newer_one_replaces_all_of_it(database: Path) -> None:
    with store.connect(database) as db:
        store.add_split(db, "sides", SIDES)
        store.add_split(db, "other", {"yak": "test"})
        assert store.split(db, "sides") == SIDES
        store.add_split(db, "sides", {"ant": "test"})
        assert store.split(db, "sides") == {"ant": "test"}
        assert store.splits(db) == ["other", "sides"]
        with pytest.raises(InputError, match="there is no split 'sdies'; stored: other, sides"):
            store.split(db, "sdies")


def test_losses_come_back_by_model_and_in_document_order(database: Path, world: World) -> None:
    rows = pack_rows(world, ["ant", "bee"])
    rows[0]["token_id"] = list(range(len(rows[0]["nll"])))
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    manifest = Manifest(dtype="float32", prefix={"rule": "bos"})
    with store.connect(database) as db:
        words(db)
        table = pa.Table.from_pylist(shuffled, schema=loss_packs.SCHEMA)
        store.add_losses(db, "words", table, {"ant": manifest})
    with store.connect(database, read_only=True) as db:
        assert store.loss_rows(db, "words", ["bee", "ant"]).to_pylist() == rows
        assert store.coverage(db, "words") == {"ant": 6, "bee": 6}
        assert store.manifests(db, "words") == {"ant": manifest, "bee": None}
        both = store.losses(db, "words", ["ant", "bee", "nobody"])
        [one] = store.losses(db, "words", ["bee"], "note-1")
        assert store.losses(db, "words", []) == []
    assert [entry.model for entry in both] == ["ant", "bee"]
    for entry in both:
        wanted = [row for row in rows if row["model"] == entry.model]
        assert_array_equal(entry.n_tokens, [len(row["nll"]) for row in wanted])
        assert_array_equal(entry.byte_end, np.concatenate([row["byte_end"] for row in wanted]))
        assert_array_equal(entry.nll, np.concatenate([row["nll"] for row in wanted]))
        assert entry.nll.dtype == np.float64
    assert_array_equal(one.nll, world.nll["bee"]["note-1"])


def test_the_same_model_has_losses_on_each_corpus_of_its_own(database: Path, world: World) -> None:
    with store.connect(database) as db:
        words(db)
        store.add_corpus(db, "again", "def", DOCS)
        store.add_losses(db, "words", table(world, "ant"), None)
        store.add_losses(db, "again", table(world, "ant"), None)
        assert store.coverage(db, "words") == store.coverage(db, "again") == {"ant": 6}
        assert len(store.loss_rows(db, "words", ["ant"])) == 6


def test_two_rows_of_a_model_on_a_document_are_refused(database: Path, world: World) -> None:
    with store.connect(database) as db:
        words(db)
        store.add_losses(db, "words", table(world, "ant", "bee"), None)
        store.add_losses(db, "words", table(world, "ant"), None)  # again changes nothing
        assert store.coverage(db, "words") == {"ant": 6, "bee": 6}
        db.execute("INSERT INTO losses SELECT * FROM losses WHERE model = 'bee' LIMIT 1")
        [ant] = store.losses(db, "words", ["ant"])
        assert ant.n_tokens.size == 6
        refusal = r"losses of bee on \S+ of words are stored twice; `csvcore doctor` lists"
        with pytest.raises(StoreError, match=refusal):
            store.losses(db, "words", ["ant", "bee"])


def test_losses_of_strangers_are_refused(database: Path, world: World) -> None:
    with store.connect(database) as db:
        words(db)
        store.add_losses(db, "words", table(world, "ant"), None)
    before = contents(database)
    refusal = "name the model 'cow', which is not stored"
    with pytest.raises(InputError, match=refusal), store.connect(database) as db:
        store.add_losses(db, "words", table(world, "bee", "cow"), None)
    assert contents(database) == before


def test_a_fit_comes_back_as_it_was_with_its_weights_on_the_bytes(database: Path) -> None:
    with store.connect(database) as db:
        words(db)
        store.add_fit(db, FIT, ["sum-1", "sum-2"], EDGES, WEIGHT)
    with store.connect(database, read_only=True) as db:
        assert store.fit(db, FIT.fit) == FIT
        assert store.has_fit(db, FIT.fit)
        assert not store.has_fit(db, "another")
        assert store.weights(db, FIT.fit).to_pylist() == [
            {"doc_id": "sum-1", "byte_end": [4, 4, 10], "weight": [0.5, 1.5, 2.0], "spread": None},
            {"doc_id": "sum-2", "byte_end": [3], "weight": [0.25], "spread": None},
        ]
        assert store.weights(db, FIT.fit, "sum-2")["doc_id"].to_pylist() == ["sum-2"]
        placed = store.predictions(db, FIT.fit)
        listed = store.fits(db)
    assert placed["model"].tolist() == ["ant", "bee"]
    assert placed["family"].tolist() == ["tame", "wild"]
    assert placed["split"].tolist() == ["train", "test"]
    assert_allclose(
        placed[["score", "predicted", "low", "high"]], [[0.5, 0.6, 0.5, 0.7], [1.5, 0.3, 0.2, 0.4]]
    )
    [row] = listed.to_dict("records")
    assert (row["fit"], row["mse_test"], row["floor_test"], row["n_train"]) == (
        FIT.fit,
        1e-9,
        0.125,
        1,
    )
    assert listed["mse_validation"].isna().all()
    assert row["config"] == FIT.config


def test_a_fit_replaces_the_one_of_the_same_id_and_no_other(database: Path) -> None:
    other = replace(FIT, fit="another", trace=())
    shorter = replace(FIT, alpha=-9.0, predictions=FIT.predictions[:1], trace=FIT.trace[:1])
    with store.connect(database) as db:
        words(db)
        for record in (FIT, other, shorter):
            store.add_fit(db, record, ["sum-1", "sum-2"], EDGES, WEIGHT)
        assert store.fit(db, FIT.fit) == shorter
        assert store.fit(db, "another") == other
        assert len(store.fits(db)) == 2
        assert len(store.weights(db, FIT.fit)) == 2


def test_what_a_fast_fit_adds_comes_back(database: Path) -> None:
    chosen = Penalty("all-token", 1e-3, 0.1, {"tame": 0.25, "validation": 1e-9})
    tried = (Penalty("all-token", None, 0.5, {}), chosen)
    noted = replace(
        FIT, notes=('saturated: it\'s, "so"', "猫"), choice=PenaltyChoice(chosen, tried)
    )
    spread = np.array([0.125, 0.0, 0.5, 0.25])
    with store.connect(database) as db:
        words(db)
        store.add_fit(db, noted, ["sum-1", "sum-2"], EDGES, WEIGHT, spread)
    with store.connect(database, read_only=True) as db:
        assert store.fit(db, FIT.fit) == noted
        assert store.weights(db, FIT.fit)["spread"].to_pylist() == [[0.125, 0.0, 0.5], [0.25]]
        assert list(store.fits(db)["notes"][0]) == list(noted.notes)
        assert store.control(db, FIT.fit) is None


def test_a_control_comes_back_with_its_fit_and_no_other(database: Path) -> None:
    control = Control(200, 1e-4, 0.001, 0.02, 1 / 201)
    with store.connect(database) as db:
        words(db)
        for record in (FIT, replace(FIT, fit="another")):
            store.add_fit(db, record, ["sum-1", "sum-2"], EDGES, WEIGHT)
        store.set_control(db, FIT.fit, control)
    with store.connect(database, read_only=True) as db:
        assert store.control(db, FIT.fit) == control
        assert store.control(db, "another") is None
        assert store.fit(db, FIT.fit) == FIT
        with pytest.raises(InputError, match="there is no fit 'nothing'"):
            store.control(db, "nothing")


def test_a_fit_that_is_not_stored_is_refused(database: Path) -> None:
    with store.connect(database, read_only=True) as db:
        for read in (store.fit, store.weights):
            with pytest.raises(InputError, match="there is no fit 'nothing'"):
                read(db, "nothing")
        assert store.fits(db).empty
