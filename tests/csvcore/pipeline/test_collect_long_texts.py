import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from csvcore import lm, store
from csvcore.pipeline.collect import collect, prepare
from tests.support.collections import CPU, SIZES, manifest, statuses
from tests.support.world import DOCS, collect_models

pytestmark = pytest.mark.slow

# Long documents


@pytest.mark.usefixtures("one_by_one")
def test_long_documents_are_seen_through_the_smallest_context_of_all_models(
    words_db: Path, tiny_lm: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    short = Path(shutil.copytree(tiny_llama, tmp_path / "short"))
    file = short / "config.json"
    settings = json.loads(file.read_text()) | {"max_position_embeddings": 20}
    file.write_text(json.dumps(settings))
    collection = prepare(words_db, [str(short), str(tiny_lm)], "words", CPU)
    assert collection.context == 20
    assert any("common context of 20 tokens" in note for note in collection.notes)
    assert set(statuses(list(collect(collection))).values()) == {"stored"}
    model = lm.load(str(tiny_lm), CPU.load)
    scored = {row.doc_id: row.nll for row in lm.score(model, DOCS, context=20)}
    whole = {row.doc_id: row.nll for row in lm.score(model, DOCS)}
    with store.connect(words_db, read_only=True) as db:
        rows = store.loss_rows(db, "words", ["tiny-gpt2"])
    for row in rows.to_pylist():
        np.testing.assert_allclose(row["nll"], scored[row["doc_id"]], atol=1e-5)
        same = np.allclose(scored[row["doc_id"]], whole[row["doc_id"]], atol=1e-4)
        assert same == (len(row["nll"]) <= 20)
    assert manifest(words_db, "tiny-gpt2")["context"] == 20
    assert manifest(words_db, "short")["context"] == 20


def test_a_model_that_is_refused_does_not_shorten_the_others_context(
    words_db: Path, three_models: list[str], tiny_llama: Path
) -> None:
    file = Path(three_models[0]) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"n_positions": 30}))
    names = [three_models[0], str(tiny_llama)]
    with store.connect(words_db) as db:  # of some other weights
        rows = [["words", "first", doc.doc_id, [0], [SIZES[doc.doc_id]], [1.0]] for doc in DOCS]
        db.executemany("INSERT INTO losses VALUES (?, ?, ?, ?, ?, ?, NULL)", rows)
    collection = prepare(words_db, names, "words", CPU)
    assert [one.problem is None for one in collection.plans] == [False, True]
    assert collection.context == 128


def test_a_context_other_than_the_stored_models_had_is_noted(
    words_db: Path, three_models: list[str]
) -> None:
    collect_models(words_db, three_models[:1], replace(CPU, context=15))
    same = prepare(words_db, three_models[1:2], "words", replace(CPU, context=15)).notes
    other = prepare(words_db, three_models[1:2], "words", replace(CPU, context=14)).notes
    assert (len(same), len(other)) == (1, 2)
    assert other[1] == (
        "models stored on this corpus used a context of 15; give --context to have the same"
    )
