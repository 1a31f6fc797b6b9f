"""Laws of the pulls: what a head leaves out has no part in the baseline it is pulled to."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from csvcore.analysis.rank_tokens import TOP, best_ranking
from csvcore.fitting import ranked
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.fitting.pulls import REST, Pulls, pulls
from csvcore.optimise import Singles
from csvcore.pipeline.dataset import load_dataset


@pytest.fixture
def given(world_db: Path, tiny_lm: Path) -> tuple[Dataset, TaskModels]:
    """The made-up world's `reading`."""
    data = load_dataset(world_db, "words", "sides", str(tiny_lm))
    return data, task_models(data, "reading")


def pulls_of(data: Dataset, models: TaskModels) -> Pulls:
    return pulls(data, {"reading": models}, ["reading"])


def rank_row(found: Pulls, group: str | None) -> Singles:
    """Return the row (n_tokens,) of the rank tokens without a group."""
    full = found.names["reading"]["rank-token"]
    row: Singles = found.rows[found.without["reading"].get(("rank-token", group or ""), full)]
    return row


def test_the_rank_pull_has_mean_one_and_two_levels(given: tuple[Dataset, TaskModels]) -> None:
    data, models = given
    row = rank_row(pulls_of(data, models), None)
    assert_allclose(row.mean(), 1.0, rtol=1e-5)
    n_kept = round(TOP * int(data.counts.sum()))
    assert (row == row.max()).sum() == n_kept
    assert_allclose(row.min() / row.max(), REST, rtol=1e-5)


def test_accuracies_of_the_group_left_out_do_not_move_the_pull_without_it(
    given: tuple[Dataset, TaskModels],
) -> None:
    data, models = given
    before = pulls_of(data, models)
    groups = {name: mask[models.rows] for name, mask in data.groups().items()}
    for name, out in groups.items():
        changed = np.where(out, models.accuracy[::-1] * 0.5, models.accuracy)
        after = pulls_of(data, replace(models, accuracy=changed))
        assert_array_equal(rank_row(after, name), rank_row(before, name))
    assert any((rank_row(before, name) != rank_row(before, None)).any() for name in groups)


def test_losses_are_ranked_once_for_all_that_ask(
    given: tuple[Dataset, TaskModels], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, models = given
    n_calls = 0

    def counted(*args: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        return best_ranking(*args)

    monkeypatch.setattr(ranked, "best_ranking", counted)
    train = models.on("train")
    first = ranked.rank_tokens(data, [models], train)
    assert_array_equal(
        first, best_ranking(data.nll[models.rows], models.accuracy[None], train, data.counts)
    )
    other = replace(models, accuracy=models.accuracy[::-1].copy())
    both = ranked.rank_tokens(data, [models, other], train)
    assert_array_equal(both[0], first[0])
    assert_array_equal(ranked.rank_tokens(data, [other], train)[0], both[1])
    assert n_calls == 2
    fresh = data.only([doc.doc_id for doc in data.docs])
    assert_array_equal(ranked.rank_tokens(fresh, [models], train), first)
    assert n_calls == 3


def test_accuracies_of_validation_and_test_models_do_not_move_any_pull(
    given: tuple[Dataset, TaskModels],
) -> None:
    data, models = given
    before = pulls_of(data, models)
    unseen = ~models.on("train")
    after = pulls_of(data, replace(models, accuracy=np.where(unseen, 0.123, models.accuracy)))
    assert_array_equal(after.rows, before.rows)
    turned = np.where(models.on("train"), 1.0 - models.accuracy, models.accuracy)
    assert (pulls_of(data, replace(models, accuracy=turned)).rows != before.rows).any()
