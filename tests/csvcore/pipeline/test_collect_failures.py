import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from csvcore import lm, store
from csvcore.collection.shards import Shards
from csvcore.errors import StoreError
from csvcore.lm.loading import PROBE
from csvcore.pipeline.collect import CollectConfig, prepare
from csvcore.pipeline.dry_run import try_out
from tests.support.collections import CPU, coverage, statuses
from tests.support.world import DOCS, collect_models, contents, copies, save_gpt2, spoil

pytestmark = pytest.mark.slow

# Refused because something else is stored


def problem(database: Path, name: str, config: CollectConfig = CPU) -> str:
    """Why a model is refused; nothing changes."""
    before = contents(database)
    [found] = collect_models(database, [name], config)
    assert found.status == "failed", found
    assert "\n" not in found.message
    assert contents(database) == before
    return str(found.message)


def test_losses_of_other_weights_under_the_same_name_are_refused(
    words_db: Path, tiny_lm: Path, tmp_path: Path, three_models: list[str]
) -> None:
    collect_models(words_db, [str(tiny_lm)])
    other = save_gpt2(tmp_path / "tiny-gpt2", seed=1)
    assert problem(words_db, str(other)) == (
        "losses of other weights are stored as tiny-gpt2 on words; rename the folder to store "
        "these beside them"
    )
    assert statuses(collect_models(words_db, [str(other), three_models[0]])) == {
        "tiny-gpt2": "failed",
        "first": "stored",
    }


def test_losses_by_another_tokenizer_under_the_same_name_are_refused(
    words_db: Path, three_models: list[str]
) -> None:
    collect_models(words_db, three_models[:1])
    file = Path(three_models[0]) / "tokenizer.json"
    coded = json.loads(file.read_text())
    coded["model"]["merges"] = coded["model"]["merges"][:5]
    file.write_text(json.dumps(coded))
    assert "tokenizer" in problem(words_db, three_models[0])


def test_losses_in_another_dtype_are_refused(words_db: Path, tiny_lm: Path) -> None:
    collect_models(words_db, [str(tiny_lm)])
    assert problem(words_db, str(tiny_lm), replace(CPU, dtype="bfloat16")) == (
        "losses of tiny-gpt2 on words are stored in float32, not bfloat16; models that are "
        "compared should share their dtype"
    )


def test_losses_behind_another_prefix_are_refused_and_behind_the_same_found(
    words_db: Path, tiny_llama: Path
) -> None:
    collect_models(words_db, [str(tiny_llama)])  # bos, by itself
    [found] = collect_models(words_db, [str(tiny_llama)], replace(CPU, prefix="bos"))
    assert found.status == "found"
    assert problem(words_db, str(tiny_llama), replace(CPU, prefix="eos")) == (
        "losses of tiny-llama on words are stored with the prefix bos, not eos; give the model "
        "another name to store both"
    )


def test_losses_through_other_windows_than_asked_for_are_refused(
    words_db: Path, tiny_lm: Path
) -> None:
    collect_models(words_db, [str(tiny_lm)], replace(CPU, context=20))
    [found] = collect_models(words_db, [str(tiny_lm)], replace(CPU, context=20))
    assert found.status == "found"
    assert "context" in problem(words_db, str(tiny_lm), replace(CPU, context=15))


def test_a_model_with_losses_on_some_documents_is_refused(words_db: Path, tiny_lm: Path) -> None:
    collect_models(words_db, [str(tiny_lm)])
    with store.connect(words_db) as db:
        db.execute("DELETE FROM losses WHERE doc_id = 'sum-1'")
    assert problem(words_db, str(tiny_lm)) == "tiny-gpt2 has losses on 5 of 6 documents of words"


# One model fails, the others go on


def test_models_after_one_that_fails_go_on(
    words_db: Path, three_models: list[str], tmp_path: Path, tiny_lm: Path
) -> None:
    [empty] = copies(tmp_path, tiny_lm, "empty")
    (Path(empty) / "model.safetensors").unlink()
    nan = spoil(shutil.copytree(tiny_lm, tmp_path / "nan"))
    names = [
        str(tmp_path / "nowhere"),
        three_models[0],
        nan,
        three_models[1],
        empty,
        three_models[2],
    ]
    found = {Path(one.model).name: one for one in collect_models(words_db, names)}
    assert {name for name, one in found.items() if one.status == "stored"} == {
        "first",
        "second",
        "third",
    }
    assert coverage(words_db) == {"first": 6, "second": 6, "third": 6}
    assert found["nowhere"].message == f"there is no folder {tmp_path / 'nowhere'}"
    assert found["nan"].message.startswith("nan: it gives a loss that is not a number")
    assert found["empty"].message.startswith("empty has no .safetensors file")
    with store.connect(words_db, read_only=True) as db:
        assert {card.model for card in store.models(db)} == {"first", "second", "third"}


@pytest.mark.usefixtures("one_by_one")
def test_a_loss_that_is_not_a_number_on_one_document_keeps_the_model_out_of_the_database(
    words_db: Path, tiny_llama: Path, three_models: list[str], tmp_path: Path
) -> None:
    [odd] = copies(tmp_path, tiny_llama, "odd")
    tokenizer = lm.load_tokenizer(lm.find(odd))
    others = [PROBE, *(doc.text for doc in DOCS if doc.doc_id != "note-2")]
    known = {token for text in others for token in tokenizer(text).input_ids}
    own = {token for doc in DOCS for token in tokenizer(doc.text).input_ids} - known
    spoil(odd, "model.embed_tokens.weight", min(own))  # only note-2 has this token
    first, second = collect_models(words_db, [odd, three_models[1]])
    assert first.message == "odd gives a loss that is not a number on note-2"
    assert (first.status, second.status) == ("failed", "stored")
    assert coverage(words_db) == {"second": 6}


@pytest.mark.usefixtures("one_by_one")
def test_a_full_disk_fails_in_words_and_the_next_run_goes_on(
    words_db: Path, tiny_lm: Path, scored: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    written: list[int] = []

    def fill(file: int) -> None:
        written.append(file)
        if len(written) > 2:
            raise OSError(28, "No space left on device")
        real(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        [found] = collect_models(words_db, [str(tiny_lm)])
    assert found.status == "failed"
    assert "no space is left; what is stored stays" in found.message
    place = Path(prepare(words_db, [str(tiny_lm)], "words", CPU).place)
    assert sorted(file.suffix for file in place.iterdir()) == [".parquet"] * 2
    scored.clear()
    assert statuses(collect_models(words_db, [str(tiny_lm)])) == {"tiny-gpt2": "stored"}
    assert scored == [("tiny-gpt2", doc.doc_id) for doc in DOCS[2:]]


def test_a_database_in_use_fails_in_words_and_the_next_run_scores_nothing_again(
    words_db: Path,
    three_models: list[str],
    scored: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def in_use(*_: Any) -> None:
        raise StoreError("it has been in use by another process for 30 s; try again")

    with monkeypatch.context() as patch:
        patch.setattr(store, "add_losses", in_use)
        found = collect_models(words_db, three_models[:2])
    assert [one.message for one in found] == [str(StoreError(found[0].message))] * 2
    assert "in use by another process" in found[0].message
    assert coverage(words_db) == {}
    scored.clear()
    assert set(statuses(collect_models(words_db, three_models[:2])).values()) == {"stored"}
    assert scored == []


def test_shards_that_are_gone_when_they_are_to_be_stored_fail_their_model_alone(
    words_db: Path, three_models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are when the nodes of a cluster do not share the folder they write to."""
    place = tmp_path / "shards"
    real = Shards.write

    def write(self: Shards, key: str, rows: Any, made: Any) -> None:
        if rows[0].model != "first":
            real(self, key, rows, made)

    monkeypatch.setattr(Shards, "write", write)
    done = collect_models(words_db, three_models[:2], replace(CPU, shards=str(place)))
    assert statuses(done) == {"first": "failed", "second": "stored"}
    assert str(place) in done[0].message


def test_nothing_to_do_is_done_at_once(words_db: Path, tiny_lm: Path) -> None:
    assert collect_models(words_db, []) == []


# A dry run


def test_a_dry_run_tries_every_model_that_is_to_be_scored_and_writes_nothing(
    words_db: Path, three_models: list[str], tiny_llama: Path, tmp_path: Path
) -> None:
    collect_models(words_db, three_models[:1])
    place = tmp_path / "elsewhere"
    before = contents(words_db)
    nan = spoil(three_models[1])
    names = [three_models[0], nan, str(tmp_path / "nowhere"), str(tiny_llama)]
    tried = list(try_out(prepare(words_db, names, "words", replace(CPU, shards=str(place)))))
    assert [Path(one.model).name for one in tried] == ["second", "nowhere", "tiny-llama"]
    assert [one.failed for one in tried] == [True, True, False]
    assert tried[0].message.startswith("second: it gives a loss that is not a number")
    assert tried[2].message.startswith("prefix <s> (bos, the tokenizer's own); rows packed, head")
    assert tried[2].seconds is not None
    assert tried[2].seconds > 0
    assert contents(words_db) == before
    assert not place.exists()
