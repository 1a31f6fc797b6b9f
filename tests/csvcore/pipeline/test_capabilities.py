from pathlib import Path

import numpy as np
import pytest

from csvcore import store
from csvcore.capability_records import Capabilities
from csvcore.errors import InputError
from csvcore.fitting.capabilities import CapabilityConfig
from csvcore.fitting.config import FitConfig
from csvcore.pipeline.capabilities import capabilities, contract
from csvcore.pipeline.jobs import run_job

QUICK = CapabilityConfig(permutations=2, few_shot=3, draws=1)


def found_in(database: Path) -> Capabilities | None:
    with store.connect(database, read_only=True) as db:
        return store.capabilities(db, "words", "sides")


def test_what_is_found_is_stored_with_weights_of_mean_1(world_db: Path, config: FitConfig) -> None:
    found = capabilities(world_db, "words", "sides", (), config, QUICK)
    assert found_in(world_db) == found
    assert [row.task for row in found.tasks] == ["adding", "reading"]
    assert all(row.n_test == 3 and row.test_separate is not None for row in found.tasks)
    assert {row.n_factors for row in found.tried} == {1, 2}
    for row in found.tasks:
        assert sum(row.share) == pytest.approx(1.0) or row.share == (0.0,) * len(found.factors)
    for profile in found.profiles:
        assert all(
            a <= b <= c for a, b, c in zip(profile.low, profile.score, profile.high, strict=True)
        )
    assert [row.n_known for row in found.few_shot] == [3, 3]
    with store.connect(world_db, read_only=True) as db:
        units = [store.factor_units(db, "words", "sides", f.number) for f in found.factors]
    for unit in units:
        assert unit.weight is not None
        assert unit.weight.mean() == pytest.approx(1.0, abs=1e-5)
        assert unit.weight.size == sum(cuts.size - 1 for cuts in unit.edges)
    record = contract(world_db, found)
    shares = [entry["share"] for entry in record["factors"][0]["sources"]]
    assert sum(shares) == pytest.approx(1.0)
    hidden = store.without_test(found)
    assert all(row.test_shared is None and row.test_separate is None for row in hidden.tasks)
    assert all(row.shared is None for row in hidden.few_shot)


def test_a_fixed_number_of_factors_is_kept_and_the_loadings_are_of_it(
    world_db: Path, config: FitConfig
) -> None:
    settings = CapabilityConfig(n_factors=1, permutations=0, few_shot=0)
    found = capabilities(world_db, "words", "sides", ("reading", "adding"), config, settings)
    (factor,) = found.factors
    assert factor.p_value is None and factor.shown
    assert found.few_shot == ()
    assert np.array([row.loading for row in found.tasks]).shape == (2, 1)


def test_a_job_stores_them_and_they_go_with_what_they_were_made_from(
    world_db: Path, config: FitConfig
) -> None:
    params = {
        "corpus": "words",
        "split": "sides",
        "settings": {"permutations": 0, "few_shot": 0, "n_factors": 2},
        "config": {"scorer": config.scorer},
    }
    said = run_job(world_db, "capabilities", params, lambda step, total, message: None)
    assert said == "2 factors of 2 tasks stored"
    for target in (
        store.Target("tasks", ("adding",)),
        store.Target("models", ("ant",)),
        store.Target("splits", ("sides",)),
        store.Target("corpora", ("words",)),
        store.Target("accuracies", models=("ant",)),
        store.Target("losses", models=("ant",)),
    ):
        changes = store.rehearse(world_db, store.removal(target))
        gone = [row for row in changes.rows if row.what == "set of factors"]
        assert [row.name for row in gone] == ["words on sides"], target


def test_one_task_and_the_papers_loop_are_refused(world_db: Path, config: FitConfig) -> None:
    with pytest.raises(
        InputError, match=r"two tasks or more, but only .* can be fitted; name another task"
    ):
        capabilities(world_db, "words", "sides", ("reading",), config, QUICK)
    paper = FitConfig(scorer=config.scorer, algorithm="paper")
    with pytest.raises(InputError, match="need the fast fit"):
        capabilities(world_db, "words", "sides", (), paper, QUICK)
    assert found_in(world_db) is None
