import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from csvcore import lm
from csvcore.fitting.units import Units
from csvcore.formats import csv_tables
from csvcore.pipeline.units import scoring_units
from tests.support.processes import ask_for_units, die_in_the_middle, exit_codes, started
from tests.support.world import DOCS, save_gpt2

SHA256 = csv_tables.corpus_sha256(DOCS)


def ask(database: Path, scorer: Path) -> Units:
    found = scoring_units(database, SHA256, list(DOCS), str(scorer))
    assert found.hidden.shape[0] == found.n_tokens
    return found


def cached(database: Path) -> list[Path]:
    folder = database.with_name(f"{database.name}.cache")
    return sorted(folder.iterdir()) if folder.exists() else []


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a database would be; the cache stands beside it."""
    return tmp_path / "results.duckdb"


@pytest.fixture
def no_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm, "load", lambda *_: pytest.fail("the scorer was loaded"))


def check(found: Units, tiny_lm: Path) -> None:
    """They are the scorer's own tokens and states."""
    model = lm.load(str(tiny_lm))
    expected = list(lm.hidden_states(model, [doc.text for doc in DOCS]))
    assert len(found.edges) == len(DOCS)
    for edges, (encoding, _) in zip(found.edges, expected, strict=True):
        assert_array_equal(edges, encoding.tiling.edges)
    assert_allclose(found.hidden, np.concatenate([states for _, states in expected]), atol=1e-6)


def test_units_are_the_scorers_tokens_and_states_as_a_memory_map(
    database: Path, tiny_lm: Path
) -> None:
    found = ask(database, tiny_lm)
    check(found, tiny_lm)
    assert isinstance(found.hidden, np.memmap)
    assert found.hidden.dtype == np.float32
    assert found.hidden.shape[0] == sum(edges.size - 1 for edges in found.edges)
    for doc, edges in zip(DOCS, found.edges, strict=True):
        assert (edges[0], edges[-1]) == (0, len(doc.text.encode()))
    assert found.scorer_sha256 == lm.scorer_sha256(str(tiny_lm))


def test_the_cache_is_two_files_used_the_second_time(
    database: Path, tiny_lm: Path, request: pytest.FixtureRequest
) -> None:
    first = ask(database, tiny_lm)
    names = [file.name for file in cached(database)]
    assert [name.split(".", 1)[1] for name in names] == ["edges.npz", "hidden.npy"]
    assert len({name.split(".")[0] for name in names}) == 1
    request.getfixturevalue("no_scorer")
    second = ask(database, tiny_lm)
    assert_array_equal(second.hidden, first.hidden)
    for one, two in zip(first.edges, second.edges, strict=True):
        assert_array_equal(one, two)


def test_tokens_alone_take_no_scorer(database: Path, tiny_lm: Path, no_scorer: None) -> None:
    found = scoring_units(database, SHA256, list(DOCS), str(tiny_lm))
    assert len(found.edges) == len(DOCS)
    assert [file.suffix for file in cached(database)] == [".npz"]


def test_another_scorer_and_another_corpus_have_a_cache_of_their_own(
    database: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    first = ask(database, tiny_lm)
    second = ask(database, save_gpt2(tmp_path / "other", seed=3))
    assert not np.allclose(first.hidden, second.hidden)
    few = list(DOCS[:2])
    third = scoring_units(database, csv_tables.corpus_sha256(few), few, str(tiny_lm))
    assert len(third.edges) == 2
    assert third.hidden.shape[0] == third.n_tokens
    assert len(cached(database)) == 6
    check(ask(database, tiny_lm), tiny_lm)


@pytest.mark.worker
@pytest.mark.parametrize("n_docs", [3, len(DOCS)], ids=["states", "edges"])
def test_what_a_killed_process_left_behind_is_never_taken(
    database: Path, tiny_lm: Path, n_docs: int
) -> None:
    killed = started(die_in_the_middle, database, tiny_lm, n_docs)
    assert exit_codes(killed) == [-signal.SIGKILL]
    assert cached(database)  # something is left behind
    assert not [file for file in cached(database) if file.name.endswith(".hidden.npy")]
    check(ask(database, tiny_lm), tiny_lm)


def test_a_scorer_that_fails_in_the_middle_leaves_no_cache_to_take(
    database: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lm.hidden_states

    def failing(model: Any, texts: Any) -> Any:
        yield next(iter(real(model, texts)))
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(lm, "hidden_states", failing)
        with pytest.raises(RuntimeError, match="out of memory"):
            ask(database, tiny_lm)
    check(ask(database, tiny_lm), tiny_lm)


@pytest.mark.parametrize("missing", ["edges.npz", "hidden.npy"])
def test_half_a_cache_is_made_again(database: Path, tiny_lm: Path, missing: str) -> None:
    ask(database, tiny_lm)
    next(file for file in cached(database) if file.name.endswith(missing)).unlink()
    check(ask(database, tiny_lm), tiny_lm)
    assert len(cached(database)) == 2


@pytest.mark.worker
def test_two_processes_at_once_both_have_the_states(database: Path, tiny_lm: Path) -> None:
    both = [started(ask_for_units, database, tiny_lm) for _ in range(2)]
    assert exit_codes(*both) == [0, 0]
    assert len(cached(database)) == 2
    check(ask(database, tiny_lm), tiny_lm)
