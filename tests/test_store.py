import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from helpers import ADDING, DOCS, READING, SIDES, World, contents, pack_rows
from numpy.testing import assert_allclose, assert_array_equal

from csvcore import packs, store
from csvcore.errors import InputError, StoreError
from csvcore.records import (
    Accuracy,
    Control,
    Document,
    Fit,
    ModelCard,
    Penalty,
    PenaltyChoice,
    Prediction,
    Task,
    TraceStep,
)
from csvcore.store import connection

CARDS = (
    ModelCard("bee", "wild", 2000, 5000, "base", 10, "mit", "x/y"),
    ModelCard("ant", "tame"),
)
FIT = Fit(
    fit="reading-csv-1",
    corpus="words",
    split="sides",
    task="reading",
    method="csv",
    alpha=-2.5,
    beta=1.75,
    gamma=0.1,
    steps=1,
    seconds=0.5,
    n_models={"train": 1, "validation": 0, "test": 1},
    mse={"train": 0.25, "test": 1e-9},
    noise_floor={"test": 0.125},
    predictions=(
        Prediction("ant", "train", 0.5, 0.7, 0.6, 0.5, 0.7),
        Prediction("bee", "test", 1.5, 0.2, 0.3, 0.2, 0.4),
    ),
    left_out=("cow", "dog"),
    config={"steps": 1, "scorer": "somewhere"},
    trace=(TraceStep(0, -1.0, 2.0, 0.5, None), TraceStep(1, -2.5, 1.75, 0.25, 0.125)),
)
EDGES = [np.array([0, 4, 4, 10]), np.array([0, 3])]
WEIGHT = np.array([0.5, 1.5, 2.0, 0.25])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An empty database."""
    path = tmp_path / "results.duckdb"
    assert store.create(path)
    return path


def words(db: store.Connection) -> None:
    """The corpus, cards and tasks that other rows refer to."""
    store.add_corpus(db, "words", "abc", DOCS)
    store.add_models(db, CARDS)
    store.add_tasks(db, [READING, ADDING])


def table(world: World, *models: str) -> pa.Table:
    """Rows of a loss pack of these made-up models."""
    return pa.Table.from_pylist(pack_rows(world, models), schema=packs.SCHEMA)


# Opening and making


def test_making_a_database_twice_changes_nothing(database: Path) -> None:
    with store.connect(database) as db:
        words(db)
    before = contents(database)
    assert not store.create(database)
    assert contents(database) == before


def test_a_database_that_is_not_there_is_refused_with_the_command_that_makes_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "none.duckdb"
    with (
        pytest.raises(StoreError, match=r"there is no database .*none\.duckdb; .* init"),
        store.connect(path),
    ):
        pass
    assert not path.exists()


@pytest.mark.parametrize("content", [b"these are my notes\n" * 500, b"", b"\x00" * 20_000])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    write: Callable[[str, bytes], Path], content: bytes
) -> None:
    path = write("notes.txt", content)
    for read_only in (True, False):
        with pytest.raises(StoreError), store.connect(path, read_only=read_only):
            pass
    with pytest.raises(StoreError):
        store.create(path)
    assert path.read_bytes() == content


def test_a_text_file_is_named_in_its_refusal(write: Callable[[str, bytes], Path]) -> None:
    path = write("notes.txt", b"these are my notes\n" * 500)
    with (
        pytest.raises(StoreError, match=r"notes\.txt cannot be opened as a results database: "),
        store.connect(path),
    ):
        pass


def test_a_database_cut_short_is_refused(database: Path) -> None:
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError), store.connect(database):
        pass


def test_somebody_elses_duckdb_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE TABLE theirs AS SELECT 42 AS answer")
    refusal = r"foreign\.duckdb is a DuckDB file but not a results database"
    with pytest.raises(StoreError, match=refusal), store.connect(path):
        pass
    with pytest.raises(StoreError, match=refusal):
        store.create(path)
    assert contents(path) == {"theirs": [(42,)]}


@pytest.mark.parametrize("table", ["meta", "other"])
def test_somebody_elses_meta_table_is_not_taken_for_ours(tmp_path: Path, table: str) -> None:
    path = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute(f"CREATE TABLE {table} (name VARCHAR)")
    with (
        pytest.raises(StoreError, match="a DuckDB file but not a results database"),
        store.connect(path),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "found"),
    [("UPDATE meta SET schema_version = 99", "99"), ("DELETE FROM meta", "none")],
)
def test_another_schema_version_is_refused(database: Path, change: str, found: str) -> None:
    with duckdb.connect(str(database)) as db:
        db.execute(change)
    refusal = f"has schema version {found}, this program reads 3; make a new database"
    with pytest.raises(StoreError, match=refusal), store.connect(database, read_only=True):
        pass
    with pytest.raises(StoreError, match=refusal):
        store.create(database)


def test_a_reader_cannot_write(database: Path) -> None:
    with (
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
        store.connect(database, read_only=True) as db,
    ):
        store.add_models(db, CARDS)


# Transactions and processes


def test_a_block_that_fails_leaves_nothing_behind(database: Path, world: World) -> None:
    before = contents(database)
    with pytest.raises(ZeroDivisionError), store.connect(database) as db:
        words(db)
        store.add_losses(db, "words", table(world, "ant"), None)
        store.add_accuracies(db, [Accuracy("ant", "reading", 0.5)])
        store.add_split(db, "sides", {"ant": "train"})
        store.add_fit(db, FIT, ["sum-1", "sum-2"], EDGES, WEIGHT)
        raise ZeroDivisionError
    assert contents(database) == before


def test_a_block_that_is_interrupted_leaves_nothing_behind(database: Path) -> None:
    with pytest.raises(KeyboardInterrupt), store.connect(database) as db:
        words(db)
        raise KeyboardInterrupt
    assert contents(database)["documents"] == []


WRITER = """
import sys
from pathlib import Path
from csvcore import store
from csvcore.records import ModelCard

name, database = sys.argv[1], Path(sys.argv[2])
for i in range(6):
    with store.connect(database) as db:
        seen = len(store.models(db))
        store.add_models(db, [ModelCard(f"{name}-{i}", "f", n_params=seen)])
"""


def test_two_processes_that_write_in_turn_lose_nothing(database: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name, str(database)])
        for name in ("left", "right")
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    with store.connect(database, read_only=True) as db:
        cards = store.models(db)
    assert {card.model for card in cards} == {
        f"{n}-{i}" for n in ("left", "right") for i in range(6)
    }
    seen = sorted(card.n_params or 0 for card in cards)
    assert seen == list(range(12))  # each writer saw all that was written before it


KILLED = """
import os, signal, sys
from pathlib import Path
from csvcore import store
from csvcore.records import ModelCard

with store.connect(Path(sys.argv[1])) as db:
    store.add_models(db, [ModelCard("half", "f")])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_killed_in_its_transaction_leaves_the_database_whole_and_unlocked(
    database: Path,
) -> None:
    with store.connect(database) as db:
        store.add_models(db, CARDS)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(database)], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    with store.connect(database) as db:
        assert {card.model for card in store.models(db)} == {"ant", "bee"}
        store.add_models(db, [ModelCard("cow", "f")])
    with store.connect(database, read_only=True) as db:
        assert len(store.models(db)) == 3


def test_a_database_in_use_for_long_is_refused_and_not_waited_for_without_end(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_SECONDS", 0.2)
    with store.connect(database):
        pid = os.fork()
        if pid == 0:  # another process; it must not come back into pytest
            try:
                with store.connect(database, read_only=True):
                    os._exit(0)
            except StoreError as error:
                os._exit(7 if "has been in use by another process" in str(error) else 8)
            os._exit(9)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7


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
        assert store.tasks(db) == [ADDING, Task("reading", 0.5)]


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
    manifest = {"dtype": "float32", "prefix": {"rule": "bos"}}
    with store.connect(database) as db:
        words(db)
        incoming = pa.Table.from_pylist(shuffled, schema=packs.SCHEMA)
        store.add_losses(db, "words", incoming, {"ant": manifest})
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


@pytest.mark.parametrize(
    ("model", "refusal"),
    [("cow", "name the model 'cow', which is not stored"), ("ant", "of ant on .* stored already")],
)
def test_losses_of_strangers_and_losses_stored_twice_are_refused(
    database: Path, world: World, model: str, refusal: str
) -> None:
    with store.connect(database) as db:
        words(db)
        store.add_losses(db, "words", table(world, "ant"), None)
    before = contents(database)
    with pytest.raises(InputError, match=refusal), store.connect(database) as db:
        store.add_losses(db, "words", table(world, "bee", model), None)
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
