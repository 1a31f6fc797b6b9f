import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from csvcore import lm, store
from csvcore.collection import Progress
from csvcore.collection.shards import Shards
from csvcore.formats import loss_packs
from csvcore.pipeline import imports
from csvcore.pipeline.collect import prepare
from tests.support.collections import CPU, keys, manifest, missing, stop_within
from tests.support.world import DOCS, collect_models, save_gpt2, stored_losses

pytestmark = pytest.mark.slow

# Never stale


@pytest.mark.usefixtures("one_by_one")
def test_other_weights_under_the_same_name_are_scored_anew_from_the_first_shard(
    words_db: Path, tiny_lm: Path, tmp_path: Path, scored: list[tuple[str, str]]
) -> None:
    folder = save_gpt2(tmp_path / "model", seed=7)
    stop_within(words_db, str(folder), 3)
    shutil.rmtree(folder)
    save_gpt2(folder, seed=8)
    scored.clear()
    collect_models(words_db, [str(folder)])
    assert scored == [("model", doc.doc_id) for doc in DOCS]
    assert manifest(words_db, "model")["weights_sha256"] == lm.find(str(folder)).weights_sha256
    apart = Path(shutil.copy(words_db, tmp_path / "apart.duckdb"))
    with store.connect(apart) as db:
        db.execute("DELETE FROM losses")
        db.execute("DELETE FROM manifests")
    collect_models(apart, [str(folder)])
    assert stored_losses(words_db) == stored_losses(apart)


@pytest.mark.usefixtures("one_by_one")
def test_a_changed_text_alone_is_scored_again(
    words_db: Path, tiny_lm: Path, tmp_path: Path, scored: list[tuple[str, str]]
) -> None:
    place = replace(CPU, shards=str(tmp_path / "shards"))
    collect_models(words_db, [str(tiny_lm)], place)
    docs = [
        {"doc_id": doc.doc_id, "source": doc.source, "text": doc.text.replace("pears", "figs")}
        for doc in DOCS
    ]
    (tmp_path / "changed.jsonl").write_text("\n".join(map(json.dumps, docs)) + "\n")
    imports.import_corpus(words_db, tmp_path / "changed.jsonl", "changed")
    scored.clear()
    collect_models(words_db, [str(tiny_lm)], place, "changed")
    assert scored == [("tiny-gpt2", "sum-3")]
    with store.connect(words_db, read_only=True) as db:
        rows = store.loss_rows(db, "changed", ["tiny-gpt2"])
    loss_packs.check_documents(
        "changed", rows, {d["doc_id"]: len(d["text"].encode()) for d in docs}
    )


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize(
    ("change", "n_changed"),
    [
        ({"dtype": "bfloat16"}, 6),
        ({"prefix": "eos"}, 6),
        ({"context": 20}, 2),  # tokens: 13, 12, 15, 20, 25, 27
        ({"context": 13}, 4),
        ({"stride": 3}, 0),  # no document needs a window
        ({"device": "cuda"}, 0),
        ({"batch_tokens": 7}, 0),
        ({"shards": "/elsewhere"}, 0),
        ({"engine": "ray"}, 0),
    ],
)
def test_settings_that_move_losses_and_no_others_change_the_shards(
    words_db: Path, tiny_lm: Path, change: dict[str, Any], n_changed: int
) -> None:
    before = keys(words_db, str(tiny_lm), CPU)
    after = keys(words_db, str(tiny_lm), replace(CPU, **change))
    assert sum(a != b for a, b in zip(before, after, strict=True)) == n_changed


@pytest.mark.usefixtures("one_by_one")
def test_a_stride_changes_the_shards_of_long_documents(words_db: Path, tiny_lm: Path) -> None:
    config = replace(CPU, context=20)
    before = keys(words_db, str(tiny_lm), config)
    after = keys(words_db, str(tiny_lm), replace(config, stride=3))
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 2


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_changed_files_of_a_model_change_all_its_shards(
    words_db: Path, three_models: list[str], file: str
) -> None:
    before = keys(words_db, three_models[0], CPU)
    collection = prepare(words_db, three_models[:1], "words", CPU)
    with (Path(three_models[0]) / file).open("ab") as stream:
        stream.write(b" ")
    changed = replace(collection.plans[0], files=lm.find(three_models[0]))
    assert not {shard.key for shard in collection.shards(changed)} & {*before}


def test_a_new_version_of_scoring_changes_all_shards(
    words_db: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(words_db, str(tiny_lm), CPU)
    monkeypatch.setattr(lm, "SCORING_VERSION", lm.SCORING_VERSION + 1)
    assert not {*keys(words_db, str(tiny_lm), CPU)} & {*before}


def test_weights_that_change_after_they_were_looked_at_never_pass_for_the_old_ones(
    words_db: Path, three_models: list[str], tmp_path: Path
) -> None:
    old = Path(shutil.copytree(three_models[1], tmp_path / "kept"))

    def overwrite(step: Progress) -> None:
        if (step.model, step.message) == ("first", "loading"):  # an hour of training goes by
            save_gpt2(Path(three_models[1]), seed=9)

    place = replace(CPU, shards=str(tmp_path / "shards"))
    collect_models(words_db, three_models[:2], place, report=overwrite)
    undisturbed = Path(shutil.copy(words_db, tmp_path / "undisturbed.duckdb"))
    collect_models(words_db, [str(old)], place)
    collect_models(undisturbed, [str(old)])
    assert stored_losses(words_db, "kept") == stored_losses(undisturbed, "kept")


@pytest.mark.usefixtures("one_by_one")
def test_the_manifests_context_is_that_of_the_losses_stored(
    words_db: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    place = str(tmp_path / "shards")
    wide = replace(CPU, shards=place, context=25)
    narrow = replace(CPU, shards=place, context=20)
    others = Path(shutil.copy(words_db, tmp_path / "others.duckdb"))
    collect_models(others, [str(tiny_lm)], narrow)
    collection = prepare(words_db, [str(tiny_lm)], "words", narrow)
    short = collection.shards(collection.plans[0])[0]  # the same for both
    Path(Shards(place)._path(short.key)).write_bytes(b"torn")
    time.sleep(1.1)  # shards are dated to the second
    stop_within(words_db, str(tiny_lm), 1, wide)
    assert missing(collection) == 0
    collect_models(words_db, [str(tiny_lm)], narrow)
    assert manifest(words_db, "tiny-gpt2")["context"] == 20
