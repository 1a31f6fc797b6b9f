"""Two collections of the same models at once: each text is scored once, and both end well."""

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from csvcore import lm
from csvcore.collection import work
from csvcore.pipeline.collect import collect, prepare
from tests.support.collections import CPU
from tests.support.world import DOCS, collect_models, stored_losses

pytestmark = pytest.mark.worker


@pytest.mark.usefixtures("one_by_one")
def test_two_identical_collections_share_their_work(
    words_db: Path, three_models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Path(shutil.copy(words_db, words_db.with_name("alone.duckdb")))
    collect_models(alone, three_models[:1])
    scored: list[tuple[str, int]] = []
    both_loaded, one_works = threading.Barrier(2, timeout=120), threading.Lock()
    score, load_for = lm.score, work.load_for

    def slow(model: Any, docs: Any, *more: Any) -> Iterator[Any]:
        scored.extend((doc.doc_id, threading.get_ident()) for doc in docs)
        time.sleep(0.2)
        with one_works:
            found = list(score(model, docs, *more))
        yield from found

    def load_together(one: work.Work) -> Any:
        with one_works:  # a process, as a collection is, loads and scores one model at a time
            model = load_for(one)
        both_loaded.wait()
        return model

    monkeypatch.setattr(lm, "score", slow)
    monkeypatch.setattr(work, "load_for", load_together)
    monkeypatch.setattr(work, "HELD_SECONDS", 0.05)
    plans = [prepare(words_db, three_models[:1], "words", CPU) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda plan: list(collect(plan)), plans))
    assert [[end.status for end in each] for each in ends] == [["stored"], ["stored"]]
    assert sorted(doc for doc, _ in scored) == sorted(doc.doc_id for doc in DOCS)
    assert len({thread for _, thread in scored}) == 2
    assert stored_losses(words_db) == stored_losses(alone)
    assert not list(words_db.with_name(f"{words_db.name}.shards").glob(".*"))
