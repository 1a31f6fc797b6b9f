from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from csvcore.errors import Cancelled, CsvcoreError, FitError, InputError, ModelError
from csvcore.fitting.config import FitConfig
from csvcore.pipeline import fit
from tests.support.world import change, contents

METHODS: tuple[str, ...] = ("csv", "all-token", "label-token", "source-token", "best-source")
PAPER: dict[str, Any] = {"algorithm": "paper", "steps": 12, "learning_rate": 0.05}
FIXED: dict[str, Any] = {"penalty": 1e-4}  # nothing to choose, so quicker


# Stored fits and stored hidden states
# Refusals: each leaves the database as it was


def refused(
    database: Path,
    config: FitConfig,
    error: type[CsvcoreError],
    match: str,
    *wanted: Any,
    corpus: str = "words",
    split: str = "sides",
) -> None:
    before = contents(database)
    pairs: Any = wanted or [("reading", "csv")]
    with pytest.raises(error, match=match):
        fit.fit(database, corpus, split, pairs, config)
    assert contents(database) == before


def test_one_task_that_cannot_be_fitted_stops_the_others_too(
    world_db: Path, config: FitConfig
) -> None:
    change(world_db, "UPDATE accuracies SET accuracy = 0.25 WHERE task = 'adding'")
    refused(
        world_db, config, FitError, "all 6 train models are at chance on adding",
        ("reading", "all-token"), ("adding", "all-token"),
    )  # fmt: skip


def test_equal_accuracies_above_chance_are_refused_by_task(
    world_db: Path, config: FitConfig
) -> None:
    change(world_db, "UPDATE accuracies SET accuracy = 0.75 WHERE task = 'adding'")
    message = r"all 6 train models have the same accuracy 0\.75 on adding"
    for method in METHODS:
        refused(world_db, config, FitError, message, ("adding", method))
    refused(world_db, replace(config, **PAPER), FitError, message, ("adding", "csv"))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"corpus": "wrods"}, "there is no corpus 'wrods'; stored: words"),
        ({"split": "sdies"}, "there is no split 'sdies'; stored: sides"),
    ],
)
def test_an_unknown_corpus_or_split_is_refused(
    world_db: Path, config: FitConfig, where: dict[str, str], message: str
) -> None:
    refused(world_db, config, InputError, message, **where)


def test_an_unknown_task_or_method_is_refused(world_db: Path, config: FitConfig) -> None:
    message = "there is no task 'riding'; stored: adding, reading"
    refused(world_db, config, InputError, message, ("riding", "csv"))
    message = "method must be one of stack, csv, all-token, .* got 'magic'"
    refused(world_db, config, InputError, message, ("reading", "magic"))


def test_a_scorer_that_is_not_there_is_refused(
    world_db: Path, config: FitConfig, tmp_path: Path
) -> None:
    nowhere = replace(config, scorer=str(tmp_path / "nowhere"))
    refused(world_db, nowhere, ModelError, "there is no folder .*nowhere")


def test_source_token_needs_sources_and_label_token_answers(
    world_db: Path, config: FitConfig
) -> None:
    message = "source-token needs the task's sources; name them in tasks.csv"
    refused(world_db, config, InputError, message, ("reading", "source-token"))
    change(world_db, "UPDATE tasks SET sources = ['notes'] WHERE task = 'adding'")
    message = "no answer spans in the documents of notes; label-token needs `answers`"
    refused(world_db, config, InputError, message, ("adding", "label-token"))
    change(world_db, "UPDATE tasks SET sources = ['poems'] WHERE task = 'adding'")
    message = "the corpus has no document of poems"
    refused(world_db, config, InputError, message, ("adding", "source-token"))


@pytest.mark.parametrize(("settings", "last"), [(FIXED, (5, 60)), (PAPER, (5, 12))])
def test_a_fit_that_is_stopped_stores_nothing(
    world_db: Path, config: FitConfig, settings: dict[str, Any], last: tuple[int, int]
) -> None:
    before = contents(world_db)
    seen: list[tuple[int, int]] = []

    def stop(step: int, total: int, message: str) -> None:
        seen.append((step, total))
        if message.startswith("optimising") and step == 5:
            raise Cancelled("enough")

    wanted: list[tuple[str, str]] = [("reading", "all-token"), ("adding", "csv")]
    with pytest.raises(Cancelled):
        fit.fit(world_db, "words", "sides", wanted, replace(config, **settings), stop)
    assert contents(world_db) == before
    assert seen[-1] == last
