import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from csvcore import cli
from csvcore.collection import Progress, ray_cluster
from csvcore.collection.shards import Shards
from csvcore.errors import Cancelled
from csvcore.pipeline.collect import CollectConfig, prepare
from tests.support import slow_scoring
from tests.support.collections import CPU, statuses
from tests.support.world import DOCS, collect_models, save_gpt2, spoil, stored_losses

pytestmark = pytest.mark.worker

RAY = CollectConfig(device="cpu", engine="ray")
DEADLINE = 120.0  # seconds; a machine that trains beside us takes a minute to load PyTorch
ALL = [("first", doc.doc_id) for doc in DOCS] + [("second", doc.doc_id) for doc in DOCS]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of one node with two CPUs, to which others may be added; its workers are slow."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        folder = tmp_path_factory.mktemp("ray")
        patch.setenv(slow_scoring.PAUSE, str(folder / "pause"))
        patch.setenv(slow_scoring.TRACE, str(folder / "trace"))
        patch.setenv(slow_scoring.DIE, "third")
        import ray

        started = Cluster()
        started.add_node(num_cpus=2, include_dashboard=False, object_store_memory=80 << 20)
        ray.init(address=started.address, log_to_driver=False, configure_logging=False)
        yield started
        ray.shutdown()
        started.shutdown()


@pytest.fixture
def trace(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that learns who scores what."""
    monkeypatch.setattr(ray_cluster, "_score", slow_scoring.score)
    path = Path(os.environ[slow_scoring.TRACE])
    path.unlink(missing_ok=True)
    return path


def slow_down(seconds: float) -> None:
    """How long workers wait from now on."""
    Path(os.environ[slow_scoring.PAUSE]).write_text(str(seconds))


@pytest.fixture
def alone(words_db: Path, tmp_path: Path) -> Path:
    """Another database with the same corpus, to collect here and compare."""
    return Path(shutil.copy(words_db, tmp_path / "alone.duckdb"))


def check_complete(database: Path, alone: Path, names: list[str], scored: list[Any]) -> None:
    """Every shard is there once, at most one was scored twice, and the losses are those of here."""
    collection = prepare(database, names, "words", RAY)
    assert len([*Path(collection.place).glob("*.parquet")]) == len(ALL)
    assert {*scored} == {*ALL}
    assert len(scored) <= len(ALL) + 1
    collect_models(alone, names, CPU)
    assert stored_losses(database) == stored_losses(alone)


@pytest.mark.usefixtures("one_by_one")
def test_a_killed_worker_costs_one_shard_which_is_scored_again(
    words_db: Path, alone: Path, three_models: list[str], trace: Path
) -> None:
    slow_down(0.15)
    killed: list[int] = []

    def report(step: Progress) -> None:
        lines = slow_scoring.trace(trace)
        if not killed and len({line["pid"] for line in lines}) == 2 and len(lines) >= 4:
            killed.append(lines[-1]["pid"])
            os.kill(killed[0], signal.SIGKILL)

    found = collect_models(words_db, three_models[:2], RAY, report=report)
    assert statuses(found) == {"first": "stored", "second": "stored"}
    assert len(killed) == 1
    check_complete(words_db, alone, three_models[:2], slow_scoring.scored(trace))


@pytest.mark.usefixtures("one_by_one")
def test_the_shards_of_a_node_that_dies_are_scored_on_the_others(
    words_db: Path, alone: Path, three_models: list[str], trace: Path, nodes: Any
) -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    other = nodes.add_node(num_cpus=1, object_store_memory=80 << 20)
    there = NodeAffinitySchedulingStrategy(other.node_id, soft=False)
    ready = ray.remote(slow_scoring.ready).options(scheduling_strategy=there).remote()
    raylet = ray.get(ready, timeout=DEADLINE)
    slow_down(0.3)
    removed: list[Any] = []

    def report(step: Progress) -> None:
        if not removed and raylet in {line["parent"] for line in slow_scoring.trace(trace)}:
            nodes.remove_node(other, allow_graceful=False)
            removed.append(other)

    found = collect_models(words_db, three_models[:2], RAY, report=report)
    assert statuses(found) == {"first": "stored", "second": "stored"}
    assert len(removed) == 1
    check_complete(words_db, alone, three_models[:2], slow_scoring.scored(trace))


@pytest.mark.usefixtures("one_by_one")
def test_shards_that_are_there_are_not_scored_again(
    words_db: Path, alone: Path, three_models: list[str], trace: Path
) -> None:
    slow_down(0.0)
    place = f"{words_db}.shards"
    scored: list[Progress] = []

    def stop(step: Progress) -> None:
        scored.append(step)
        if len([step for step in scored if step.n_tokens]) == 4:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        collect_models(
            alone, three_models[:1], CollectConfig(device="cpu", shards=place), report=stop
        )
    found = collect_models(words_db, three_models[:1], RAY)
    assert statuses(found) == {"first": "stored"}
    assert sorted(slow_scoring.scored(trace)) == sorted(ALL[3:6])  # the fourth was lost


def test_a_model_that_fails_on_ray_fails_alone_with_its_own_sentence(
    words_db: Path, three_models: list[str], trace: Path, one_by_one: None
) -> None:
    slow_down(0.0)
    spoil(three_models[0])
    found = {one.model: one for one in collect_models(words_db, three_models[:2], RAY)}
    assert found["first"].status == "failed"
    assert found["first"].message == (
        "first: it gives a loss that is not a number on an ordinary text"
    )
    assert found["second"].status == "stored"
    assert {model for model, _ in slow_scoring.scored(trace)} == {"second"}


def test_a_model_that_ends_every_worker_is_given_up_in_one_sentence(
    words_db: Path, three_models: list[str], trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_down(0.0)
    monkeypatch.setattr(ray_cluster, "RETRIES", 1)
    found = {one.model: one for one in collect_models(words_db, three_models[1:], RAY)}
    assert found["second"].status == "stored"
    assert found["third"].status == "failed"
    assert found["third"].message.startswith("a task failed 2 times or its node is gone: ")
    assert "\n" not in found["third"].message
    assert len([line for line in slow_scoring.trace(trace) if line.get("dies") == "third"]) == 2


def test_the_command_collects_on_ray_and_the_cluster_goes_on(
    words_db: Path, alone: Path, three_models: list[str], trace: Path
) -> None:
    import ray

    slow_down(0.0)
    arguments = ["--db", str(words_db), "collect", three_models[0], "--corpus", "words"]
    result = CliRunner().invoke(cli.main, [*arguments, "--device", "cpu", "--engine", "ray"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].startswith("first: stored, 112 tokens, ")  # not Ray's
    assert "first: prefix <|endoftext|> (eos, the only one); rows packed" in result.stderr
    collect_models(alone, three_models[:1], CPU)
    assert stored_losses(words_db) == stored_losses(alone)
    assert ray.is_initialized()


# A task by itself, without Ray


def test_a_task_whose_shard_is_there_loads_nothing(
    words_db: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = prepare(words_db, [str(tiny_lm)], "words", CPU)
    [one] = collection.plans
    [shard] = collection.shards(one)
    work = collection.work(one, [shard])
    first = ray_cluster._score(work, shard)
    assert first.n_tokens == one.total_tokens
    assert first.message.startswith("prefix <|endoftext|> (eos, the only one); rows packed")
    assert Shards(work.place).missing([shard]) == []
    ray_cluster._loaded.clear()
    monkeypatch.setattr(ray_cluster, "load_for", lambda *_: pytest.fail("it was loaded"))
    assert ray_cluster._score(work, shard) == Progress("tiny-gpt2")


@pytest.mark.usefixtures("one_by_one")
def test_a_worker_loads_a_model_once_and_again_when_its_weights_have_changed(
    words_db: Path, alone: Path, three_models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Any] = []
    real = ray_cluster.load_for
    monkeypatch.setattr(ray_cluster, "load_for", lambda *a: (loaded.append(a[0]), real(*a))[1])

    def score_all() -> None:
        collection = prepare(words_db, three_models[:1], "words", CPU)
        [one] = collection.plans
        shards = collection.shards(one)
        for shard in shards:
            ray_cluster._score(collection.work(one, shards), shard)

    ray_cluster._loaded.clear()
    score_all()
    assert len(loaded) == 1
    shutil.rmtree(three_models[0])
    save_gpt2(Path(three_models[0]), seed=21)
    score_all()
    assert statuses(collect_models(words_db, three_models[:1], CPU)) == {"first": "stored"}
    collect_models(alone, three_models[:1], CPU)
    ray_cluster._loaded.clear()
    assert stored_losses(words_db) == stored_losses(alone)
