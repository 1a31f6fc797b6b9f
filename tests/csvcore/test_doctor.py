import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from tokenizers import Tokenizer

from csvcore import alignment, doctor, store
from csvcore.alignment import Aligner, tile
from csvcore.doctor import Check
from csvcore.errors import InputError
from csvcore.pipeline import imports
from csvcore.records import ModelLosses
from csvcore.store import fair_lock
from tests.support.world import DOCS, World, change, contents, pack_rows, world_fit, write_pack

pytestmark = pytest.mark.slow


def findings(database: Path) -> list[Check]:
    """What is said of the database alone."""
    return list(doctor._database(database))


def wrong(database: Path) -> list[Check]:
    return [check for check in findings(database) if check.state == "wrong"]


# Laws


def test_a_sound_database_has_one_line_of_itself_and_one_of_each_corpus(world_db: Path) -> None:
    database, corpus = findings(world_db)
    assert (database.what, database.state) == ("database", "ok")
    assert f"schema version {store.SCHEMA_VERSION}" in database.said
    assert (corpus.what, corpus.state) == ("corpus words", "ok")
    assert "6 documents; 11 of 11 models without a finding" in corpus.said


def test_nothing_is_changed(world_db: Path) -> None:
    before = contents(world_db)
    findings(world_db)
    assert contents(world_db) == before


def test_the_installation_is_as_the_tests_want_it() -> None:
    found = {check.what: check for check in [*doctor._packages(), doctor._torch()]}
    assert {check.state for check in found.values()} == {"ok"}
    assert "on cpu" in found["torch"].said


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece", "unigram-bytes"])
def test_tokens_that_spell_every_text_leave_no_byte_unspelt(
    tokenizers: dict[str, Tokenizer], kind: str
) -> None:
    assert unspelt(tokenizers[kind]) == 0


def test_characters_that_a_tokenizer_does_not_know_are_counted(
    tokenizers: dict[str, Tokenizer],
) -> None:
    found = unspelt(tokenizers["wordpiece"])
    unknown = len("🎩".encode())
    assert unknown <= found < sum(len(doc.text.encode()) for doc in DOCS)


def unspelt(tokenizer: Tokenizer) -> int:
    encodings = [tokenizer.encode(doc.text, add_special_tokens=False) for doc in DOCS]
    edges = [
        tile(doc.text, one.tokens, one.offsets).edges
        for doc, one in zip(DOCS, encodings, strict=True)
    ]
    return alignment.unspelt_bytes(
        [doc.text.encode() for doc in DOCS],
        np.array([len(one.ids) for one in encodings]),
        np.concatenate([cuts[1:] for cuts in edges]),
        np.concatenate([one.ids for one in encodings]),
    )


def test_mass_error_is_the_share_that_alignment_lost() -> None:
    losses = ModelLosses("m", np.array([2]), np.array([1, 3]), np.array([1.0, 3.0]))

    class Lossy(Aligner):
        def map(self, losses: ModelLosses) -> Any:
            return losses.nll[:1]

    edges = [alignment.character_edges("aé")]
    assert edges[0].tolist() == [0, 1, 3]
    assert alignment.lost_share(losses, Aligner(["aé"], edges)) == 0.0
    assert alignment.lost_share(losses, Lossy(["aé"], edges)) == pytest.approx(0.75)


# What is wrong is found, and the rest is still looked at


@pytest.mark.parametrize(
    ("statement", "what", "said"),
    [
        ("UPDATE losses SET nll = list_transform(nll, lambda x: -x) WHERE model = 'bee'",
         "bee on words", "nll of token 0 of sum-1 by bee is -.* finite and not negative"),
        ("UPDATE losses SET nll = list_transform(nll, lambda x: 'nan'::FLOAT) WHERE model = 'bee'",
         "bee on words", "by bee is nan"),
        ("UPDATE losses SET byte_end = list_transform(byte_end, lambda x: x + 1)"
         " WHERE model = 'bee'", "bee on words", "by bee do not tile its"),
        ("UPDATE losses SET doc_id = 'gone' WHERE model = 'bee' AND doc_id = 'sum-1'",
         "bee on words", "1 documents with losses are not in the corpus"),
        ("INSERT INTO losses SELECT * FROM losses WHERE model = 'bee' AND doc_id = 'sum-1'",
         "bee on words", "bee on sum-1 stands there twice"),
        ("UPDATE documents SET text = text || '!' WHERE doc_id = 'sum-1'",
         "corpus words", "not those it was stored with"),
        ("UPDATE meta SET schema_version = 99", "database", "schema version 99"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(world_db: Path, statement: str, what: str, said: str) -> None:
    change(world_db, statement)
    found = wrong(world_db)
    assert any(check.what == what and re.search(said, check.said) for check in found)


def test_alignment_that_loses_mass_is_found(
    world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "lost_share", lambda *_: 1e-3)
    assert {check.said for check in wrong(world_db)} == {
        "alignment loses or adds 1.0e-03 of the total nll"
    }


def test_a_file_that_is_no_database_is_wrong_and_none_at_all_is_a_note(tmp_path: Path) -> None:
    [found] = findings(tmp_path / "none.duckdb")
    assert (found.state, found.what) == ("note", "database")
    (tmp_path / "text.duckdb").write_text("not a database")
    [found] = findings(tmp_path / "text.duckdb")
    assert found.state == "wrong"
    assert "cannot be opened as a results database" in found.said


def test_a_database_cut_off_in_the_middle_is_wrong(world_db: Path) -> None:
    content = world_db.read_bytes()
    world_db.write_bytes(content[: len(content) // 2])
    assert wrong(world_db)


def test_what_is_missing_or_not_known_is_a_note(
    world_db: Path, world: World, tmp_path: Path
) -> None:
    change(
        world_db,
        "DELETE FROM losses WHERE model = 'bee' AND doc_id = 'sum-1'",
        "UPDATE manifests SET manifest = NULL WHERE model = 'cow'",
        "DELETE FROM losses WHERE model = 'ant'",
    )
    rows = pack_rows(world, ["ant"])
    for row in rows:
        row["token_id"] = [7] * len(row["nll"])  # one id for every character: all are unknown
    imports.import_losses(world_db, [write_pack(tmp_path / "unknown.parquet", rows)])
    found = {check.what: check for check in findings(world_db)}
    assert found["bee on words"].said == "losses on 5 of 6 documents; collect the others"
    assert "did not say how" in found["cow on words"].said
    total = sum(len(doc.text.encode()) for doc in DOCS)
    first = sum(len(doc.text[0].encode()) for doc in DOCS)
    assert f"{total - first} of {total} bytes" in found["ant on words"].said
    assert not wrong(world_db)
    assert "8 of 11 models without a finding" in found["corpus words"].said


def test_a_corpus_without_losses_is_a_note(world_db: Path) -> None:
    change(world_db, "DELETE FROM losses", "DELETE FROM manifests")
    [corpus] = [check for check in findings(world_db) if check.what == "corpus words"]
    assert corpus.state == "note"
    assert corpus.said == "6 documents and no losses; bring them by `csvcore import losses`"


def test_who_has_the_database_open_is_said(world_db: Path) -> None:
    from csvcore.jobs import queue

    with FileLock(queue.worker_lock_path(world_db)):
        assert "a worker is at its queue" in [check.said for check in findings(world_db)]
    with fair_lock.held(store.lock_path(world_db), 1.0):
        said = [check.said for check in doctor._locks(world_db)]
    assert said == ["another process has the database open"]
    assert list(doctor._locks(world_db)) == []


def test_a_package_that_is_missing_is_wrong_and_another_version_is_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda _: ["no-such-thing==1.0", "numpy==0.1", "ray==2.60.0; extra == 'ray'"],
    )
    states = {check.what: check.state for check in doctor._packages()}
    assert states == {
        "python": "ok", "no-such-thing": "wrong", "numpy": "note", "packages": "ok"
    }  # fmt: skip


# The command


def test_the_command_prints_a_line_each_and_ends_with_1_where_something_is_wrong(
    invoke: Callable[..., Any], world_db: Path
) -> None:
    sound = invoke("doctor")
    assert sound.exit_code == 0
    assert "ok     corpus words: 6 documents;" in sound.stdout
    change(world_db, "UPDATE documents SET text = text || '!' WHERE doc_id = 'sum-1'")
    found = invoke("doctor", "--json")
    assert found.exit_code == 1
    document = json.loads(found.stdout)
    assert document["sound"] is False
    assert {"what", "state", "said"} == set(document["checks"][0])


def test_an_export_can_be_imported_elsewhere_and_is_the_same(
    invoke: Callable[..., Any], world_db: Path, words_db: Path, tmp_path: Path, world_files: Path
) -> None:
    pack = tmp_path / "two.parquet"
    told = invoke("export", "losses", "--corpus", "words", "--model", "ant", "bee", "--out", pack)
    assert told.exit_code == 0
    assert "2 models, 12 rows" in told.stdout
    imports.import_models(words_db, world_files / "models.csv")
    imports.import_losses(words_db, [pack])
    mine = [row for row in contents(world_db)["losses"] if row[1] in ("ant", "bee")]
    assert contents(words_db)["losses"] == mine
    assert (
        invoke("export", "losses", "--corpus", "words", "--model", "yak", "--out", pack).exit_code
        == 1
    )


# A database from elsewhere


def untrusted(database: Path) -> list[tuple[str, str, str]]:
    """What is said of the file itself."""
    checks = list(doctor.look_at_untrusted(database))
    return [(c.what, c.state, c.said) for c in checks if not c.what.startswith(str(database))]


def test_a_received_database_is_checked_without_a_trace(world_db: Path, tmp_path: Path) -> None:
    received = tmp_path / "received" / "results.duckdb"
    received.parent.mkdir()
    received.write_bytes(world_db.read_bytes())
    negative = "UPDATE losses SET nll = list_transform(nll, lambda x: -x) WHERE model = 'bee'"
    change(received, negative)
    store.lock_path(received).unlink()
    before = received.read_bytes()
    [contents_, database, bee, corpus] = untrusted(received)
    assert contents_[:2] == ("contents", "ok")
    assert database[2].startswith(f"{received}, schema version")
    assert (bee[:2], corpus[:2]) == (("bee on words", "wrong"), ("corpus words", "ok"))
    assert list(received.parent.iterdir()) == [received]
    assert received.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "what", "said"),
    [
        ("UPDATE accuracies SET accuracy = 5 WHERE model = 'bee' AND task = 'adding'",
         "accuracies", "bee on adding: a model has one accuracy on a task, from 0 to 1"),
        ("UPDATE accuracies SET accuracy = 'nan'", "accuracies", " and [0-9]+ more: "),
        ("UPDATE tasks SET chance = 1 WHERE task = 'adding'", "tasks", "adding: .* chance level"),
        ("UPDATE splits SET side = 'tests' WHERE model = 'bee'", "splits", "sides: .* one side"),
        ("INSERT INTO item_results SELECT 'bee', 'adding', 1, 1 FROM range(2)",
         "item results", "bee on adding: a model has one result on an item"),
        ("UPDATE predictions SET low = 'nan' WHERE model = 'bee'", "predictions", "made-up: a fit"),
        ("DELETE FROM models WHERE model = 'bee'", "predictions", "made-up: a fit predicts stored"),
        ("UPDATE weights SET weight = [1, 2]", "weights", "made-up: a fit has a weight for every"),
        ("UPDATE weights SET byte_end = [-1]", "weights", "made-up: a fit has a weight for every"),
        ("UPDATE fits SET alpha = 'inf'", "fits", "made-up: a fit stands there once"),
        ("UPDATE fits SET n_models = 'x'", "fits", "the fit made-up is damaged .*csvcore remove"),
        ("UPDATE fits SET mse = '[]'", "fits", "the fit made-up is damaged .* object was expected"),
        ("""UPDATE fits SET mse = '{"train": "a"}'""", "fits", "the fit made-up is damaged .*numb"),
        ("UPDATE fits SET choice = '{}'", "fits", "the fit made-up is damaged .*KeyError"),
        ("UPDATE fits SET control = ''", "fits", "the permutation test of made-up is damaged"),
        ("UPDATE manifests SET manifest = '1'", "manifests", "how the losses of ant were made is"),
        ("INSERT INTO mixes VALUES ('words', 'sides', 'adding', '[1]', NULL)",
         "mixes", "the mixes of adding is damaged"),
    ],
)  # fmt: skip
def test_rows_that_csvcore_would_not_store_are_named(
    world_db: Path, statement: str, what: str, said: str
) -> None:
    with store.connect(world_db) as db:
        world_fit(db, "made-up", "adding")
    assert not wrong(world_db)
    change(world_db, statement)
    found = [one for one in wrong(world_db) if one.what == what]
    assert any(re.search(said, one.said) for one in found), found


def test_a_link_is_checked_with_the_log_of_its_file(world_db: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "link.duckdb"
    link.parent.mkdir()
    link.symlink_to(world_db)
    leaves = (
        "import duckdb, os, sys; db = duckdb.connect(sys.argv[1]); "
        "db.execute('CREATE VIEW evil AS SELECT 1'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", leaves, str(world_db)], check=True, timeout=60)
    found = [check for check in untrusted(link) if check[0] == "contents"]
    assert found == [("contents", "wrong", f"{world_db} contains the view 'evil'; do not use it")]


def test_all_that_does_not_belong_is_listed(world_db: Path) -> None:
    change(world_db, "CREATE VIEW a AS SELECT 1", "CREATE MACRO b(x) AS 2")
    assert untrusted(world_db) == [
        ("contents", "wrong", f"{world_db} contains {what}; do not use it")
        for what in ("the macro 'b'", "the view 'a'")
    ]


def test_an_older_database_is_checked_and_stays_old(world_db: Path) -> None:
    change(
        world_db,
        "ALTER TABLE documents DROP COLUMN results",
        "ALTER TABLE fits DROP COLUMN candidates",
        "ALTER TABLE fits DROP COLUMN interval_error",
        "ALTER TABLE reveals DROP COLUMN who",
        "ALTER TABLE models DROP COLUMN run",
        "DROP TABLE item_results",
        "DROP TABLE unit_weights",
        "DROP TABLE fit_labels",
        "DROP TABLE saved_views",
        "DROP TABLE capabilities",
        "DROP TABLE factor_weights",
        "UPDATE meta SET schema_version = 4",
    )
    assert [state for _, state, _ in untrusted(world_db)][-3:] == ["ok"] * 3
    assert contents(world_db)["meta"] == [(4,)]


def test_a_queue_that_came_along_is_named(world_db: Path) -> None:
    jobs = world_db.with_name("world.duckdb.jobs.sqlite")
    jobs.write_bytes(b"")
    said = "was not checked; a received database comes alone, remove this"
    assert Check(str(jobs), "note", said) in list(doctor.look_at_untrusted(world_db))


def test_what_is_no_database_is_one_wrong_line(write: Callable[..., Path], tmp_path: Path) -> None:
    [(_, state, said)] = untrusted(write("x.duckdb", b"notes" * 5000))
    assert (state, "cannot be opened as a results database" in said) == ("wrong", True)
    with pytest.raises(InputError, match=r"there is no file .*none"):
        untrusted(tmp_path / "none")
