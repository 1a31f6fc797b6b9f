import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from csvcore import store
from csvcore.errors import InputError, OffsetsError
from csvcore.formats import csv_tables, loss_packs
from csvcore.formats.manifest import Manifest
from csvcore.pipeline import exports, importers, imports
from csvcore.pipeline.importers import Evaluations
from csvcore.records import Accuracy
from tests.support.world import (
    ADDING,
    DOCS,
    PACK,
    READING,
    SIDES,
    World,
    change,
    contents,
    import_world,
    pack_rows,
    write_accuracies,
    write_csv,
    write_pack,
)


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory, world_files: Path) -> Path:
    path = tmp_path_factory.mktemp("importing") / "results.duckdb"
    imports.init(path)
    imports.import_corpus(path, world_files / "documents.jsonl", "words")
    imports.import_models(path, world_files / "models.csv")
    imports.import_tasks(path, world_files / "tasks.csv")
    return path


@pytest.fixture
def database(_made: Path, tmp_path: Path) -> Path:
    """The world without its losses, accuracies and split."""
    return Path(shutil.copy(_made, tmp_path / "results.duckdb"))


def rows(world: World, of: str = "ant", **change: Any) -> list[dict[str, Any]]:
    """A model's rows of a loss pack, with changes to the cells of the third."""
    made = pack_rows(world, [of])
    made[2] |= change
    return made


def bare_pack(path: Path, content: list[dict[str, Any]]) -> Path:
    """A pack without a manifest."""
    pq.write_table(pa.Table.from_pylist(content, schema=loss_packs.SCHEMA), path)
    return path


# What comes in is what was in the files


def test_every_file_of_a_world_is_found_again_in_the_database(
    tmp_path: Path, world: World, world_files: Path
) -> None:
    database = import_world(tmp_path / "results.duckdb", world_files)
    with store.connect(database, read_only=True) as db:
        assert store.documents(db, "words") == list(DOCS)
        assert sorted(store.models(db), key=lambda card: card.model) == world.cards
        assert store.tasks(db) == [ADDING, READING]
        assert set(store.accuracies(db)) == set(world.accuracies)
        assert store.split(db, "sides") == SIDES
        found = store.loss_rows(db, "words", list(SIDES)).to_pylist()
        assert store.manifests(db, "words").keys() == SIDES.keys()
    assert found == pack_rows(world)


def test_each_import_says_how_much_it_brought(database: Path, world_files: Path) -> None:
    assert imports.import_corpus(database, world_files / "documents.jsonl", "words") == (
        "corpus words: 6 documents, 2 sources"
    )
    assert imports.import_models(database, world_files / "models.csv") == "11 models of 2 families"
    assert imports.import_tasks(database, world_files / "tasks.csv") == "2 tasks"
    assert imports.import_accuracies(database, [world_files / "accuracies.csv"]) == "22 accuracies"
    assert imports.import_split(database, world_files / "splits" / "sides.csv", "sides") == (
        "split sides: 6 train, 2 validation, 3 test"
    )
    assert imports.import_losses(database, [world_files / PACK]) == (
        "66 documents' losses from 1 packs"
    )


def test_a_pack_without_a_manifest_is_taken_where_the_corpus_is_named_and_marked_so(
    database: Path, tmp_path: Path, world: World
) -> None:
    imports.import_losses(database, [bare_pack(tmp_path / "p.parquet", rows(world))], "words")
    with store.connect(database, read_only=True) as db:
        assert store.coverage(db, "words") == {"ant": 6}
        assert store.manifests(db, "words") == {"ant": None}


def test_one_span_for_the_whole_document_is_a_tiling_too(
    database: Path, tmp_path: Path, world: World
) -> None:
    whole = [
        row | {"byte_start": [0], "byte_end": row["byte_end"][-1:], "nll": [sum(row["nll"])]}
        for row in rows(world)
    ]
    imports.import_losses(database, [write_pack(tmp_path / "p.parquet", whole)])
    with store.connect(database, read_only=True) as db:
        [found] = store.losses(db, "words", ["ant"])
    assert found.n_tokens.tolist() == [1] * 6
    assert found.nll.sum() == pytest.approx(world.all_token("ant") * sum(len(d.text) for d in DOCS))


def test_losses_of_a_model_can_come_in_several_packs(
    database: Path, tmp_path: Path, world: World
) -> None:
    every = rows(world)
    files = [
        write_pack(tmp_path / f"{i}.parquet", part) for i, part in enumerate((every[:2], every[2:]))
    ]
    imports.import_losses(database, files[:1])
    imports.import_losses(database, files[1:])
    with store.connect(database, read_only=True) as db:
        assert store.loss_rows(db, "words", ["ant"]).to_pylist() == every


def test_exported_losses_come_back_the_same_in_another_database(
    world_db: Path, database: Path, tmp_path: Path
) -> None:
    pack = tmp_path / "out.parquet"
    exports.export_losses(world_db, "words", [], pack)
    imports.import_losses(database, [pack])
    before, after = contents(world_db), contents(database)
    for table in ("losses", "manifests"):
        assert after[table] == before[table]
    exports.export_losses(world_db, "words", ["cow", "bee"], pack)
    assert set(pq.read_table(pack)["model"].to_pylist()) == {"bee", "cow"}


def test_a_newer_card_replaces_what_it_tells(database: Path, tmp_path: Path, world: World) -> None:
    file = write_csv(tmp_path / "models.csv", "model,family,n_params", [["ant", "other", 7]])
    imports.import_models(database, file)
    with store.connect(database, read_only=True) as db:
        [card] = [card for card in store.models(db) if card.model == "ant"]
    [old] = [card for card in world.cards if card.model == "ant"]
    assert card == replace(old, family="other", n_params=7)  # what the file does not tell stays


# Refusals: each leaves the database as it was


def spoilt_rows() -> dict[str, tuple[Callable[[World], list[dict[str, Any]]], str]]:
    """Packs that must be refused: their rows, and what the refusal says."""
    n = len(DOCS[2].text)
    size = len(DOCS[2].text.encode())
    ends = np.cumsum([len(char.encode()) for char in DOCS[2].text]).tolist()
    starts = [0, *ends[:-1]]
    return {
        "nan": (lambda w: rows(w, nll=[1.0] * (n - 1) + [np.nan]), "nll of token .* is nan"),
        "infinite": (lambda w: rows(w, nll=[np.inf] + [1.0] * (n - 1)), "nll of token 0 .* is inf"),
        "negative": (lambda w: rows(w, nll=[1.0, -0.5] + [1.0] * (n - 2)), r"is -0\.5; .*not neg"),
        "gap": (lambda w: rows(w, byte_start=[1, *starts[1:]]), "sum-3 by ant do not tile"),
        "short": (lambda w: rows(w, byte_end=[*ends[:-1], size - 1]), f"do not tile its {size} b"),
        "long": (lambda w: rows(w, byte_end=[*ends[:-1], size + 1]), f"do not tile its {size} b"),
        "overlap": (lambda w: rows(w, byte_start=[0, 0, *starts[2:]]), "do not tile"),
        "characters": (
            lambda w: rows(w, byte_start=list(range(n)), byte_end=list(range(1, n + 1))),
            "in UTF-8 bytes, not characters",
        ),
        "empty": (lambda w: rows(w, byte_start=[], byte_end=[], nll=[]), "do not tile"),
        "lengths": (lambda w: rows(w, nll=[1.0]), "byte_start of sum-3 and its nll differ"),
        "document": (lambda w: rows(w, doc_id="nowhere"), "document 'nowhere' is not in the corp"),
        "twice": (lambda w: rows(w, doc_id="sum-1"), "ant on sum-1 stands there twice"),
        "no card": (lambda w: rows(w, model="yak"), "the model 'yak', which is not stored"),
    }


@pytest.fixture(scope="module")
def refusing(_made: Path) -> tuple[Path, dict[str, Any]]:
    """A database that refuses whatever it is given here, and what stands in it."""
    return _made, contents(_made)


@pytest.mark.parametrize("case", spoilt_rows())
def test_a_pack_with_one_wrong_row_is_refused_as_a_whole(
    refusing: tuple[Path, dict[str, Any]], tmp_path: Path, world: World, case: str
) -> None:
    database, before = refusing
    make, refusal = spoilt_rows()[case]
    pack = write_pack(tmp_path / "p.parquet", make(world))
    with pytest.raises(InputError, match=refusal):
        imports.import_losses(database, [pack])
    assert contents(database) == before


def test_spans_that_do_not_tile_are_an_error_of_their_own(
    database: Path, tmp_path: Path, world: World
) -> None:
    make, _ = spoilt_rows()["gap"]
    with pytest.raises(OffsetsError):
        imports.import_losses(database, [write_pack(tmp_path / "p.parquet", make(world))])


def test_a_good_pack_beside_a_bad_one_is_not_stored_either(
    database: Path, tmp_path: Path, world: World
) -> None:
    good = write_pack(tmp_path / "good.parquet", rows(world, "bee"))
    bad = write_pack(tmp_path / "bad.parquet", rows(world, doc_id="nowhere"))
    before = contents(database)
    with pytest.raises(InputError, match=r"bad\.parquet: the document"):
        imports.import_losses(database, [good, bad])
    assert contents(database) == before


def test_a_pack_made_on_another_corpus_is_refused(
    database: Path, tmp_path: Path, world: World
) -> None:
    edited = [replace(DOCS[0], text=DOCS[0].text + " "), *DOCS[1:]]
    other = csv_tables.corpus_sha256(edited)
    pack = write_pack(tmp_path / "p.parquet", rows(world), other)
    before = contents(database)
    with pytest.raises(InputError, match=f"a corpus with hash {other[:12]}, which is not stored"):
        imports.import_losses(database, [pack])
    with pytest.raises(InputError, match=f"hash {other[:12]}, not on words"):
        imports.import_losses(database, [pack], "words")
    assert contents(database) == before


def test_a_pack_of_one_stored_corpus_is_refused_for_another(
    database: Path, tmp_path: Path, world: World
) -> None:
    lines = [{"doc_id": "a", "source": "b", "text": "c"}]
    file = tmp_path / "other.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    imports.import_corpus(database, file, "other")
    pack = write_pack(tmp_path / "p.parquet", rows(world))
    with pytest.raises(InputError, match="not on other; import the corpus it was made on first"):
        imports.import_losses(database, [pack], "other")


def test_a_pack_without_a_manifest_is_refused_where_no_corpus_is_named(
    database: Path, tmp_path: Path, world: World
) -> None:
    pack = bare_pack(tmp_path / "p.parquet", rows(world))
    before = contents(database)
    with pytest.raises(InputError, match=r"p\.parquet has no manifest; say with --corpus"):
        imports.import_losses(database, [pack])
    with pytest.raises(InputError, match="there is no corpus 'wrods'; stored: words"):
        imports.import_losses(database, [pack], "wrods")
    assert contents(database) == before


def test_packs_that_overlap_add_what_is_new_and_must_agree_on_the_rest(
    database: Path, tmp_path: Path, world: World
) -> None:
    every = pack_rows(world, ["ant"])
    part, whole = (
        write_pack(tmp_path / f"{len(some)}.parquet", some) for some in (every[:2], every)
    )
    imports.import_losses(database, [part])
    told = imports.import_losses(database, [whole, whole])
    n = len(every)
    assert told == f"{n - 2} documents' losses from 2 packs; {n + 2} were stored already"
    before = contents(database)
    assert len(before["losses"]) == n
    every[-1]["nll"][0] += 1.0
    other = write_pack(tmp_path / "other.parquet", pack_rows(world, ["bee"]) + every)
    with pytest.raises(InputError, match=r"other losses of ant on .* of words are stored already"):
        imports.import_losses(database, [other])
    assert contents(database) == before


@pytest.mark.parametrize(
    ("entry", "refusal"),
    [
        (Accuracy("ant", "reading", 57.3), r"line 3: accuracy 57\.3 .* looks like percent"),
        (Accuracy("ant", "reading", -0.1), r"line 3: accuracy -0\.1 is below 0"),
        (Accuracy("ant", "reading", float("nan")), "line 3: accuracy must be finite"),
        (Accuracy("yak", "reading", 0.5), "the model 'yak', which is not stored; .*import models"),
        (
            Accuracy("ant", "riding", 0.5),
            "'riding', which is not stored; .*import tasks` first, or .*--chance riding=LEVEL",
        ),
        (Accuracy("bee", "reading", 0.5), "line 3: bee on reading stands there twice"),
    ],
)
def test_accuracies_with_one_wrong_line_are_refused_as_a_whole(
    refusing: tuple[Path, dict[str, Any]], tmp_path: Path, entry: Accuracy, refusal: str
) -> None:
    database, before = refusing
    file = write_accuracies(tmp_path / "a.csv", [Accuracy("bee", "reading", 0.25), entry])
    with pytest.raises(InputError, match=refusal):
        imports.import_accuracies(database, [file])
    assert contents(database) == before


def test_an_accuracy_that_changed_is_refused_and_the_same_one_is_not(
    database: Path, tmp_path: Path
) -> None:
    first = write_accuracies(tmp_path / "a.csv", [Accuracy("bee", "reading", 0.25, 100)])
    imports.import_accuracies(database, [first])
    imports.import_accuracies(database, [first])
    before = contents(database)
    changed = write_accuracies(tmp_path / "b.csv", [Accuracy("bee", "reading", 0.26, 100)])
    with pytest.raises(InputError, match=r"stored as 0\.25 .*, the file says 0\.26"):
        imports.import_accuracies(database, [changed])
    assert contents(database) == before


def test_accuracies_are_read_and_checked_before_the_database_is_locked_for_writing(
    database: Path, world_files: Path, tmp_path: Path
) -> None:
    file = Path(shutil.copy(world_files / "accuracies.csv", tmp_path / "accuracies.csv"))
    edit = importers.accuracies(database, [file], Evaluations())
    file.unlink()
    with store.connect(database) as db:
        assert edit(db).message == "22 accuracies"
        assert len(store.accuracies(db)) == 22


def test_a_model_that_was_removed_while_its_accuracies_were_read_is_named(
    database: Path, world_files: Path
) -> None:
    edit = importers.accuracies(database, [world_files / "accuracies.csv"], Evaluations())
    change(database, "DELETE FROM models WHERE model = 'cow'")
    refusal = "accuracies name the model 'cow', which is not stored"
    with pytest.raises(InputError, match=refusal), store.connect(database) as db:
        edit(db)
    assert contents(database)["accuracies"] == []


def test_item_results_are_checked_before_any_database_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "items.parquet"
    rows = [{"model": "ant", "task": "adding", "item": str(i), "correct": i} for i in (0, 1, 2)]
    pq.write_table(pa.Table.from_pylist(rows), file)
    with pytest.raises(InputError, match="item 2 of adding by ant has the result 2"):
        importers.items(file)


def test_a_corpus_with_one_wrong_line_is_refused_as_a_whole(database: Path, tmp_path: Path) -> None:
    good = json.dumps({"doc_id": "a", "source": "b", "text": "c"})
    file = tmp_path / "d.jsonl"
    before = contents(database)
    for bad, refusal in (
        ('{"doc_id": "b", "source": "b", "text": ""}', "line 2: text must be a string"),
        (good, "line 2: doc_id 'a' stands there twice"),
        ('{"doc_id": "b", "source": "b", "text": "c", "answers": [[0, 2]]}', r"line 2: answer sp"),
        ("not JSON", "line 2 is not JSON"),
    ):
        file.write_text(f"{good}\n{bad}\n")
        with pytest.raises(InputError, match=refusal):
            imports.import_corpus(database, file, "new")
    file.write_text(good)
    with pytest.raises(InputError, match="a corpus 'words' with other documents is stored"):
        imports.import_corpus(database, file, "words")
    assert contents(database) == before


@pytest.mark.parametrize("what", ["models", "tasks", "accuracies"])
def test_a_table_without_rows_is_refused(database: Path, tmp_path: Path, what: str) -> None:
    headers = {
        "models": "model,family",
        "tasks": "task,chance",
        "accuracies": "model,task,accuracy",
    }
    file = tmp_path / f"{what}.csv"
    file.write_text(headers[what] + "\n")
    before = contents(database)
    with pytest.raises(InputError, match=f"{what}.csv has a header and no rows"):
        if what == "accuracies":
            imports.import_accuracies(database, [file])
        else:
            getattr(imports, f"import_{what}")(database, file)
    assert contents(database) == before


def test_a_pack_without_rows_is_refused(database: Path, tmp_path: Path) -> None:
    pack = bare_pack(tmp_path / "empty.parquet", [])
    with pytest.raises(InputError, match="has no rows; there is nothing to import"):
        imports.import_losses(database, [pack], "words")


def test_a_corpus_imported_again_takes_over_its_new_answers(
    world_db: Path, world_files: Path, tmp_path: Path
) -> None:
    lines = [json.loads(s) for s in (world_files / "documents.jsonl").read_text().splitlines()]
    lines[0]["answers"] = [[0, 1]]
    file = tmp_path / "documents.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    imports.import_corpus(world_db, file, "words")
    with store.connect(world_db, read_only=True) as db:
        assert store.documents(db, "words")[0].answers == ((0, 1),)
        assert store.corpora(db)["n_docs"].tolist() == [len(lines)]


def test_losses_of_other_weights_under_one_name_are_refused(
    database: Path, world: World, tmp_path: Path
) -> None:
    first, *others = rows(world)
    imports.import_losses(database, [write_pack(tmp_path / "one.parquet", [first])])
    table = pq.read_table(write_pack(tmp_path / "two.parquet", others))
    models = {str(first["model"]): Manifest(weights_sha256="other")}
    loss_packs.write(tmp_path / "two.parquet", table, csv_tables.corpus_sha256(DOCS), models)
    before = contents(database)
    with pytest.raises(InputError, match="losses of other weights are stored as ant on words"):
        imports.import_losses(database, [tmp_path / "two.parquet"])
    assert contents(database) == before


def test_of_two_corpora_with_the_same_texts_the_named_one_gets_the_losses(
    database: Path, world: World, world_files: Path, tmp_path: Path
) -> None:
    imports.import_corpus(database, world_files / "documents.jsonl", "again")
    imports.import_losses(database, [write_pack(tmp_path / "p.parquet", rows(world))], "again")
    with store.connect(database, read_only=True) as db:
        assert list(store.coverage(db, "again")) == ["ant"]
        assert "ant" not in store.coverage(db, "words")
