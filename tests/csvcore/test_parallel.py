"""Jobs of one function: the same results here and on a real Ray cluster, whatever dies."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from csvcore import parallel, store
from csvcore.errors import Cancelled, CsvcoreError, FitError, InputError
from csvcore.fitting.config import FitConfig
from csvcore.forecasting.forecaster import forecaster
from csvcore.optimise import permutation
from csvcore.parallel import ClusterConfig, each, on_ray
from csvcore.pipeline.compare import compare
from csvcore.pipeline.leave_one_family_out import leave_one_family_out
from csvcore.pipeline.mixes import mixes
from tests.support import parallel_jobs
from tests.support.ladders import planted_ladder

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.worker, pytest.mark.slow]
Twice = Callable[[Callable[[Path], Any]], None]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray cluster of two CPUs that all tests of the module use."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False,
            object_store_memory=80 << 20,
        )  # fmt: skip
        yield
        ray.shutdown()


@pytest.fixture
def on_cluster(cluster: None) -> Iterator[None]:
    with on_ray(ClusterConfig()):
        yield


@pytest.fixture
def twice(world_db: Path, tmp_path: Path) -> Twice:
    """Return a function that runs one on copies of a database, here and on Ray, and compares."""

    def run(function: Callable[[Path], Any]) -> None:
        other = shutil.copytree(world_db.parent, tmp_path / "other") / world_db.name
        here = function(world_db)
        with on_ray(ClusterConfig()):
            there = function(other)
        same(there, here)

    return run


def same(there: Any, here: Any) -> None:
    """Numbers are the same to 1e-9, all else is equal."""
    if isinstance(here, dict):
        assert there.keys() == here.keys()
        for key, value in here.items():
            same(there[key], value)
    elif isinstance(here, list | tuple):
        assert len(there) == len(here)
        for one, other in zip(there, here, strict=True):
            same(one, other)
    elif isinstance(here, float | np.ndarray):
        np.testing.assert_allclose(there, here, rtol=1e-9, atol=1e-12)
    else:
        assert there == here


# In this process


def test_results_come_in_the_order_of_the_jobs_and_steps_run_over_all() -> None:
    steps: list[tuple[int, int, str]] = []
    found = each(parallel_jobs.scaled, 2.0, [3.0, 1.0], lambda *step: steps.append(step))
    assert list(found) == [6.0, 2.0]
    assert steps == [(1, 4, "3"), (2, 4, "3"), (3, 4, "1"), (4, 4, "1")]


def test_a_job_is_done_when_its_result_is_wanted() -> None:
    found = each(parallel_jobs.refuses, None, [0, 1])
    assert next(found) == 0
    with pytest.raises(FitError):
        next(found)
    assert list(each(parallel_jobs.worker, None, [0, 1])) == [os.getpid()] * 2


# On Ray, but first without any


@pytest.mark.parametrize(
    ("gpus", "cpus", "lacks"),
    [
        (0.5, 1.0, ""),
        (1.0, 4.0, ""),
        (1.0, 5.0, "a task reserves 5 CPU and 1 GPU, and no node of the Ray cluster has as many"),
        (2.0, 1.0, "a task reserves 1 CPU and 2 GPU, and no node of the Ray cluster has as many"),
    ],
)
def test_what_no_single_living_node_has_is_told(gpus: float, cpus: float, lacks: str) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "memory": 1e9}},
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    ray = SimpleNamespace(nodes=lambda: nodes)
    assert parallel._lacks(ray, ClusterConfig(gpus=gpus, cpus=cpus)) == lacks


def test_an_error_without_a_text_is_told_by_its_kind() -> None:
    told = parallel.task_error(RuntimeError(""), 3)
    assert str(told) == "a task failed 4 times or its node is gone: RuntimeError"


def test_a_cluster_of_the_environment_where_nothing_listens_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with (
        pytest.raises(InputError, match=r"there is no Ray cluster at 127\.0\.0\.1:1"),
        parallel.connected(ClusterConfig()),
    ):
        pytest.fail("there is none")


def test_a_cluster_without_what_a_task_reserves_is_warned_of_and_one_started_here_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    nodes = [{"Alive": True, "Resources": {"CPU": 2.0}}]
    down: list[bool] = []
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda **options: None,
        nodes=lambda: nodes,
        shutdown=lambda: down.append(True),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    with (
        pytest.raises(InputError, match=r"1 CPU and 1 GPU, .*; reserve less, or name another"),
        parallel.connected(ClusterConfig(gpus=1.0)),
    ):
        pytest.fail("its tasks would wait for ever")
    assert down == [True]
    with parallel.connected(ClusterConfig("auto", gpus=1.0)):
        pass
    assert "tasks wait until a node with them joins" in caplog.text


@pytest.mark.parametrize("command", ["compare", "leave-one-family-out", "mixes", "forecast"])
def test_a_cluster_that_is_not_there_is_refused(
    invoke: Callable[..., Any], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    where = ["--corpus", "words", "--engine", "ray", "--ray", "nonsense"]
    where += [] if command == "leave-one-family-out" else ["--split", "sides"]
    where += {"mixes": ["--task", "reading"], "forecast": ["--model", "ant"]}.get(command, [])
    result = invoke(command, *where)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("csvcore: there is no Ray cluster at nonsense")


def test_jobs_are_done_elsewhere_and_results_come_in_their_order(on_cluster: None) -> None:
    steps: list[tuple[int, int, str]] = []
    found = each(parallel_jobs.scaled, 2.0, [3.0, 1.0, 2.0], lambda *step: steps.append(step))
    assert list(found) == [6.0, 2.0, 4.0]
    assert steps[-1] == (3, 3, "3 tasks on Ray")
    assert steps == sorted(steps)
    assert os.getpid() not in set(each(parallel_jobs.worker, None, [0, 1]))


def test_what_is_shared_is_sent_once(on_cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    put, sent = ray.put, []
    monkeypatch.setattr(ray, "put", lambda value: sent.append(value) or put(value))
    shared = np.arange(3.0)
    for _ in range(3):
        list(each(parallel_jobs.worker, shared, range(4)))
    assert len(sent) == 1 and sent[0] is shared
    list(each(parallel_jobs.worker, shared.copy(), range(2)))
    assert len(sent) == 2


def test_a_killed_worker_loses_nothing(on_cluster: None, tmp_path: Path) -> None:
    found = list(each(parallel_jobs.killed_once, tmp_path, range(6)))
    assert (tmp_path / "killed").exists()
    assert found == [0, 1, 4, 9, 16, 25]


def test_a_job_that_ends_every_worker_is_given_up_in_one_sentence(
    cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "RETRIES", 1)
    with on_ray(ClusterConfig()), pytest.raises(CsvcoreError) as refused:
        list(each(parallel_jobs.killed_always, None, range(3)))
    assert str(refused.value).startswith("a task failed 2 times or its node is gone: ")
    assert "\n" not in str(refused.value)


def test_errors_are_those_of_the_function(on_cluster: None) -> None:
    with pytest.raises(FitError, match="a curve needs models that differ"):
        list(each(parallel_jobs.refuses, None, [0, 1]))
    with pytest.raises(ZeroDivisionError):
        list(each(parallel_jobs.refuses, None, [0, 2]))


def test_who_reports_may_stop_it(on_cluster: None) -> None:
    def stop(step: int, total: int, message: str) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(each(parallel_jobs.scaled, 1.0, [1.0, 2.0], stop))


# The loops that use it


def test_families_left_out_are_the_same(cluster: None, twice: Twice, config: FitConfig) -> None:
    quick = replace(config, penalty=1e-4)

    def run(database: Path) -> Any:
        rows = leave_one_family_out(database, "words", ["reading"], quick)
        with store.connect(database, read_only=True) as db:
            weights = [
                store.weight_vector(db, one.row.fit)
                for one in rows
                if one.row.method == "csv" and one.row.fit
            ]
        return [asdict(one) for one in rows], weights

    twice(run)


def test_mixes_are_the_same(cluster: None, twice: Twice, config: FitConfig) -> None:
    quick = replace(config, penalty=1e-4, steps=3)
    twice(lambda db: [asdict(mix) for mix in mixes(db, ["words"], "sides", "reading", quick, 40)])


def test_permutation_tests_are_the_same(
    cluster: None,
    twice: Twice,
    config: FitConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(permutation, "HEADS", 4)
    quick = replace(config, penalty=1e-4)

    def run(database: Path) -> Any:
        rows = compare(database, "words", "sides", ["reading"], quick, permutations=10)
        [csv] = [row.fit for row in rows if row.method == "csv"]
        with store.connect(database, read_only=True) as db:
            control = store.control(db, str(csv))
        assert control is not None
        return [asdict(control), *(asdict(row) for row in rows)]

    twice(run)


def test_backtests_are_the_same(cluster: None) -> None:
    ladder = planted_ladder(noise=0.01)
    here = forecaster(ladder)
    with on_ray(ClusterConfig()):
        there = forecaster(ladder)
    same(asdict(there.tested), asdict(here.tested))
    same(there.weight, here.weight)
