import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import DOCS, contents, save_gpt2, write_csv

from csvcore import packs, pipeline, scoring, store
from csvcore.errors import Cancelled, InputError, ModelError
from csvcore.pipeline import CollectConfig
from csvcore.records import ModelCard

CONFIG = CollectConfig(device="cpu")
DEADLINE = 180.0  # seconds; a machine that trains beside us takes a minute to load PyTorch


@pytest.fixture
def database(tmp_path: Path, world_files: Path) -> Path:
    """A database with the corpus and nothing else."""
    path = tmp_path / "results.duckdb"
    pipeline.init(path)
    pipeline.import_corpus(path, world_files / "documents.jsonl", "words")
    return path


@pytest.fixture
def three(tmp_path: Path, tiny_lm: Path) -> list[str]:
    """Folders of three models, alike but for their names."""
    return [str(shutil.copytree(tiny_lm, tmp_path / name)) for name in ("first", "second", "third")]


def coverage(database: Path) -> dict[str, int]:
    with store.connect(database, read_only=True) as db:
        return store.coverage(db, "words")


def collect(database: Path, names: Sequence[str], **more: Any) -> list[str]:
    return list(pipeline.collect(database, names, "words", CONFIG, **more))


def test_collected_losses_are_the_scores_of_the_model_and_a_pack_that_tiles(
    database: Path, tiny_lm: Path
) -> None:
    assert collect(database, [str(tiny_lm)]) == ["tiny-gpt2"]
    scored = list(scoring.score(scoring.load(str(tiny_lm), "cpu"), DOCS))
    with store.connect(database, read_only=True) as db:
        rows = store.loss_rows(db, "words", ["tiny-gpt2"])
    packs.check_documents("stored", rows, {doc.doc_id: len(doc.text.encode()) for doc in DOCS})
    for row, expected in zip(rows.to_pylist(), scored, strict=True):
        assert row["doc_id"] == expected.doc_id
        assert row["byte_start"] == expected.byte_start.tolist()
        assert row["byte_end"] == expected.byte_end.tolist()
        assert expected.token_id is not None
        assert row["token_id"] == expected.token_id.tolist()
        np.testing.assert_allclose(row["nll"], expected.nll, atol=1e-5)


def test_the_manifest_says_how_and_when_the_losses_were_made(database: Path, tiny_lm: Path) -> None:
    collect(database, [str(tiny_lm)])
    with store.connect(database, read_only=True) as db:
        made = store.manifests(db, "words")["tiny-gpt2"]
    assert made is not None
    assert set(made) == {
        "weights_sha256",
        "tokenizer_sha256",
        "prefix",
        "dtype",
        "engine",
        "created",
    }
    assert made["weights_sha256"] == scoring.weights_sha256(str(tiny_lm))
    assert made["prefix"] == {"token_id": 0, "token": "<|endoftext|>", "rule": "eos"}


def test_a_model_without_a_card_gets_one_from_its_own_files(
    database: Path, tiny_lm: Path, tiny_llama: Path
) -> None:
    collect(database, [str(tiny_lm), str(tiny_llama)])
    with store.connect(database, read_only=True) as db:
        cards = {card.model: card for card in store.models(db)}
    n_params = scoring.load(str(tiny_lm), "cpu").model.num_parameters()
    assert cards["tiny-gpt2"] == ModelCard("tiny-gpt2", "gpt2", n_params)
    assert cards["tiny-llama"].family == "llama"


def test_a_card_that_the_user_gave_stays(database: Path, tiny_lm: Path, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "m.csv", "model,family,n_params", [["tiny-gpt2", "mine", 3]])
    pipeline.import_models(database, file)
    collect(database, [str(tiny_lm)])
    with store.connect(database, read_only=True) as db:
        assert store.models(db) == [ModelCard("tiny-gpt2", "mine", 3)]


def test_a_stored_model_is_skipped_and_its_losses_stay(database: Path, three: list[str]) -> None:
    collect(database, three[:1])
    before = contents(database)
    scored: list[tuple[str, int, int]] = []
    assert collect(
        database, three, report=lambda model, done, total: scored.append((model, done, total))
    ) == ["first", "second", "third"]
    assert scored == [("second", 6, 6), ("third", 6, 6)]
    after = contents(database)
    assert coverage(database) == {"first": 6, "second": 6, "third": 6}
    for table in ("losses", "manifests"):
        assert [row for row in after[table] if row[1] == "first"] == before[table]


def test_a_stored_model_is_not_even_loaded(
    database: Path, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(database, three[:1])
    monkeypatch.setattr(scoring, "load", lambda *_: pytest.fail("it was loaded again"))
    assert collect(database, three[:1]) == ["first"]


def test_stopping_between_two_models_keeps_the_first(database: Path, three: list[str]) -> None:
    run = pipeline.collect(database, three, "words", CONFIG)
    assert next(run) == "first"
    run.close()
    assert coverage(database) == {"first": 6}


def test_stopping_within_a_model_loses_that_one_alone(database: Path, three: list[str]) -> None:
    def stop(model: str, done: int, total: int) -> None:
        if model == "second":
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        collect(database, three, report=stop)
    assert coverage(database) == {"first": 6}


# The collection's process, killed in the middle of its second model: `csvcore` itself, but that
# scoring `second` says so in a file and then takes for ever.
SLOW = """
import os, time
from pathlib import Path
from csvcore import scoring

real = scoring._batch_nll

def slow(lm, rows):
    if lm.name == "second":
        Path(os.environ["MARKER"]).touch()
        time.sleep(3600)
    return real(lm, rows)

scoring._batch_nll = slow
from csvcore.cli import main
main()
"""


def test_a_collection_killed_within_its_second_model_goes_on_from_there(
    database: Path, three: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "second-has-begun"
    command = ["--db", str(database), "collect", *three, "--corpus", "words", "--device", "cpu"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, *command],
            stdout=log,
            stderr=log,
            env=os.environ | {"MARKER": str(marker), "OMP_NUM_THREADS": "1"},
        )
        deadline = time.monotonic() + DEADLINE
        while not marker.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert marker.exists()
    left = contents(database)
    assert coverage(database) == {"first": 6}
    assert [row[0] for row in left["models"]] == ["first"]

    batches: Counter[str] = Counter()
    real = scoring._batch_nll

    def count(lm: scoring.LanguageModel, rows: Sequence[Sequence[int]]) -> Any:
        batches[lm.name] += 1
        return real(lm, rows)

    monkeypatch.setattr(scoring, "_batch_nll", count)
    assert collect(database, three) == ["first", "second", "third"]
    assert coverage(database) == {"first": 6, "second": 6, "third": 6}
    assert set(batches) == {"second", "third"}
    first = [row for row in contents(database)["losses"] if row[1] == "first"]
    assert first == left["losses"]


# Refusals


def test_losses_of_other_weights_under_the_same_name_are_refused(
    database: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    collect(database, [str(tiny_lm)])
    before = contents(database)
    other = save_gpt2(tmp_path / "tiny-gpt2", seed=1)
    with pytest.raises(InputError, match="losses of other weights are stored as tiny-gpt2 on word"):
        collect(database, [str(other)])
    assert contents(database) == before


def test_a_model_with_losses_on_some_documents_is_refused(database: Path, tiny_lm: Path) -> None:
    collect(database, [str(tiny_lm)])
    with store.connect(database) as db:
        db.execute("DELETE FROM losses WHERE doc_id = 'sum-1'")
    with pytest.raises(InputError, match="tiny-gpt2 has losses on 5 of 6 documents of words"):
        collect(database, [str(tiny_lm)])


def test_a_model_that_cannot_be_loaded_is_refused_and_the_ones_before_it_are_kept(
    database: Path, three: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="there is no folder"):
        collect(database, [three[0], str(tmp_path / "nowhere"), three[1]])
    assert coverage(database) == {"first": 6}


def test_an_unknown_corpus_is_refused_before_any_model_is_loaded(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "load", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(InputError, match="there is no corpus 'wrods'; stored: words"):
        list(pipeline.collect(database, ["some/model"], "wrods", CONFIG))


def test_a_model_whose_losses_are_not_numbers_leaves_nothing_behind(
    database: Path, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(database)
    real = scoring._batch_nll
    monkeypatch.setattr(
        scoring, "_batch_nll", lambda lm, rows: [np.nan * nll for nll in real(lm, rows)]
    )
    with pytest.raises(ModelError, match="first gives a loss that is not a number"):
        collect(database, three)
    assert contents(database) == before
