import shutil
import time
import uuid
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest

from csvcore import lm, store
from csvcore.collection.shards import Shards
from csvcore.formats import loss_packs
from csvcore.pipeline import imports
from csvcore.pipeline.collect import CollectConfig, collect, prepare
from csvcore.records import ModelCard
from tests.support.collections import CPU, SIZES, coverage, manifest, missing, statuses
from tests.support.world import DOCS, collect_models, contents, stored_losses, write_csv

# What is stored


@pytest.mark.parametrize("in_shards", [True, False])
def test_collected_losses_are_the_scores_of_the_model_and_a_pack_that_tiles(
    words_db: Path, tiny_lm: Path, in_shards: bool, request: pytest.FixtureRequest
) -> None:
    if in_shards:
        request.getfixturevalue("one_by_one")
    [found] = collect_models(words_db, [str(tiny_lm)])
    scored = list(lm.score(lm.load(str(tiny_lm), CPU.load), DOCS))
    with store.connect(words_db, read_only=True) as db:
        rows = store.loss_rows(db, "words", ["tiny-gpt2"])
    loss_packs.check_documents("stored", rows, SIZES)
    for row, expected in zip(rows.to_pylist(), scored, strict=True):
        assert row["doc_id"] == expected.doc_id
        assert row["byte_start"] == expected.byte_start.tolist()
        assert row["byte_end"] == expected.byte_end.tolist()
        assert expected.token_id is not None
        assert row["token_id"] == expected.token_id.tolist()
        np.testing.assert_allclose(row["nll"], expected.nll, atol=1e-5)  # other texts in its pass
    total = sum(row.nll.sum() for row in scored)
    assert found.bits_per_byte == pytest.approx(total / log(2) / sum(SIZES.values()), rel=1e-6)
    assert found.n_tokens == sum(row.nll.size for row in scored)
    assert (found.model, found.status) == ("tiny-gpt2", "stored")
    assert found.seconds > 0


def test_the_manifest_says_how_and_when_the_losses_were_made(words_db: Path, tiny_lm: Path) -> None:
    collect_models(words_db, [str(tiny_lm)])
    made = manifest(words_db, "tiny-gpt2")
    files = lm.find(str(tiny_lm))
    assert made.pop("created") <= time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    assert made == {
        "weights_sha256": files.weights_sha256,
        "tokenizer_sha256": files.tokenizer_sha256,
        "prefix": {"token_id": 0, "token": "<|endoftext|>", "rule": "eos", "why": "the only one"},
        "dtype": "float32",
        "engine": "transformers",
        "rows": "packed",
        "head": "chunked",
        "scoring_version": lm.SCORING_VERSION,
        "context": "whole",
    }


def test_what_was_asked_for_stands_in_the_manifest(words_db: Path, tiny_lm: Path) -> None:
    config = CollectConfig(device="cpu", dtype="bfloat16", context=15, prefix="eos")
    collect_models(words_db, [str(tiny_lm)], config)
    made = manifest(words_db, "tiny-gpt2")
    assert (made["dtype"], made["context"]) == ("bfloat16", 15)
    assert (made["prefix"]["rule"], made["prefix"]["why"]) == ("eos", "asked for")


def test_a_model_without_a_card_gets_one_from_its_own_files(
    words_db: Path, tiny_lm: Path, tiny_llama: Path
) -> None:
    collect_models(words_db, [str(tiny_lm), str(tiny_llama)])
    with store.connect(words_db, read_only=True) as db:
        cards = {card.model: card for card in store.models(db)}
    n_params = lm.load(str(tiny_lm), CPU.load).model.num_parameters()
    assert cards["tiny-gpt2"] == ModelCard("tiny-gpt2", "gpt2", n_params)
    assert cards["tiny-llama"].family == "llama"


def test_a_card_that_the_user_gave_stays(words_db: Path, tiny_lm: Path, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "m.csv", "model,family,n_params", [["tiny-gpt2", "mine", 3]])
    imports.import_models(words_db, file)
    collect_models(words_db, [str(tiny_lm)])
    with store.connect(words_db, read_only=True) as db:
        assert store.models(db) == [ModelCard("tiny-gpt2", "mine", 3)]


def test_shards_lie_beside_the_database_or_where_they_are_told(
    words_db: Path, tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    collection = prepare(Path(words_db.name), [str(tiny_lm)], "words", CPU)
    assert collection.place == str(tmp_path / "results.duckdb.shards")
    elsewhere = replace(CPU, shards=f"memory://{uuid.uuid4()}")
    collection = prepare(words_db, [str(tiny_lm)], "words", elsewhere)
    assert missing(collection) == 1
    assert statuses(list(collect(collection))) == {"tiny-gpt2": "stored"}
    assert missing(collection) == 0
    assert not (tmp_path / "results.duckdb.shards").exists()


def test_what_an_engine_gets_means_the_same_in_every_working_directory(
    words_db: Path, three_models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = replace(CPU, shards="losses")
    collection = prepare(words_db, ["first"], "words", config)
    work = collection.work(collection.plans[0], ())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # as the workers of a cluster are
    assert Shards(work.place)._root == str(tmp_path / "losses")
    assert lm.find(work.name).folder == tmp_path / "first"


# Found and not scored again


def test_a_stored_model_is_found_without_loading_and_its_losses_stay(
    words_db: Path,
    three_models: list[str],
    scored: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collect_models(words_db, three_models[:1])
    before = contents(words_db)
    real = lm.load
    loaded: list[str] = []
    monkeypatch.setattr(lm, "load", lambda *a: (loaded.append(a[0]), real(*a))[1])
    scored.clear()
    assert statuses(collect_models(words_db, three_models)) == {
        "first": "found",
        "second": "stored",
        "third": "stored",
    }
    assert loaded == three_models[1:]
    assert {model for model, _ in scored} == {"second", "third"}
    assert coverage(words_db) == {"first": 6, "second": 6, "third": 6}
    for table in ("losses", "manifests"):
        assert [row for row in contents(words_db)[table] if row[1] == "first"] == before[table]
    shutil.rmtree(prepare(words_db, three_models, "words", CPU).place)
    assert set(statuses(collect_models(words_db, three_models)).values()) == {
        "found"
    }  # even without shards
    assert loaded == three_models[1:]


def test_a_folder_of_another_name_with_the_same_model_is_not_scored_again(
    words_db: Path, three_models: list[str], scored: list[tuple[str, str]]
) -> None:
    collect_models(words_db, three_models[:1])
    scored.clear()
    renamed = Path(three_models[0]).rename(Path(three_models[0]).with_name("renamed"))
    assert statuses(collect_models(words_db, [str(renamed)])) == {"renamed": "stored"}
    assert scored == []
    assert stored_losses(words_db, "renamed") == stored_losses(words_db, "first")
    assert manifest(words_db, "renamed") == manifest(words_db, "first")


@pytest.mark.usefixtures("one_by_one")
def test_a_model_whose_shards_are_all_written_is_stored_without_loading(
    words_db: Path, three_models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Path(shutil.copy(words_db, words_db.with_name("other.duckdb")))
    collect_models(undisturbed, three_models[:1], replace(CPU, shards=f"{words_db}.shards"))
    monkeypatch.setattr(lm, "load", lambda *_: pytest.fail("it was loaded"))
    [found] = collect_models(words_db, three_models[:1])
    assert found.status == "stored"
    assert contents(words_db) == contents(undisturbed)
