"""Collection on a Ray cluster: one task per shard and model, retried if a node dies.

Tasks write their shards to storage shared by all nodes. A stored shard is not scored again, so
tasks are idempotent.
"""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from csvcore.collection.shards import Shard, Shards
from csvcore.collection.work import (
    Outcome,
    Progress,
    Report,
    Stopwatch,
    Work,
    load_for,
    score_shard,
    summary,
)
from csvcore.errors import CsvcoreError, InputError
from csvcore.lm import LanguageModel

RETRIES = 3
POLL_SECONDS = 0.5
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Cluster and resources of tasks.

    address: of a running cluster; None takes RAY_ADDRESS, or else starts one here.
    gpus, cpus: what one task reserves. n_cpus: size of a cluster started here.
    """

    address: str | None = None
    gpus: float = 0.0
    cpus: float = 1.0
    n_cpus: int | None = None


def run(works: Sequence[Work], config: ClusterConfig, report: Report) -> Iterator[Outcome]:
    """Score all models; yield the outcome of each after its last shard, failures included.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("--engine ray needs Ray; install csvcore[ray]") from error
    started_here = not ray.is_initialized()
    if started_here:
        _refuse_silent(config.address)
        try:
            ray.init(
                address=config.address,
                num_cpus=config.n_cpus if config.address is None else None,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(f"there is no Ray cluster at {config.address}: {reason}") from error
    try:
        yield from _tasks(ray, works, config, report)
    finally:
        if started_here:
            ray.shutdown()


def _refuse_silent(address: str | None) -> None:
    """Raise InputError if nothing listens at host:port; Ray itself would wait for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"there is no Ray cluster at {address}: {error}") from error


def _tasks(
    ray: Any, works: Sequence[Work], config: ClusterConfig, report: Report
) -> Iterator[Outcome]:
    watch = Stopwatch()
    task = ray.remote(num_gpus=config.gpus, num_cpus=config.cpus, max_retries=RETRIES)(_score)
    running = {
        task.remote(work, shard): number
        for number, work in enumerate(works)
        for shard in work.shards
    }
    left = [len(work.shards) for work in works]
    errors: dict[int, CsvcoreError] = {}
    while running:
        done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
        report(Progress(works[0].model))  # may raise to stop
        for reference in done:
            number = running.pop(reference)
            left[number] -= 1
            try:
                step = ray.get(reference)
            except ray.exceptions.RayError as error:
                if number not in errors:
                    errors[number] = _reason(error)
                    for other, owner in running.items():  # its other shards would fail alike
                        if owner == number:
                            ray.cancel(other)
            else:
                report(step)
            if left[number] == 0:
                yield Outcome(works[number], errors.get(number), watch.seconds)


def _reason(error: Exception) -> CsvcoreError:
    """Return the error of a task in one sentence; csvcore's errors are returned unchanged."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, CsvcoreError):
        return cause
    reason = str(error).splitlines()[-1]
    return CsvcoreError(f"a task failed {RETRIES + 1} times or its node is gone: {reason}")


_loaded: dict[str, LanguageModel] = {}  # the model this worker process scored last


def _score(work: Work, shard: Shard) -> Progress:
    """Score one shard as a Ray task, unless it is stored; return the tokens scored."""
    shards = Shards(work.place)
    if not shards.missing([shard]):
        return Progress(work.model)
    key = repr((work.name, work.load, work.weights_sha256, work.tokenizer_sha256))
    message = ""
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = load_for(work)
        message = summary(_loaded[key])
    n_tokens = 0

    def count(step: Progress) -> None:
        nonlocal n_tokens
        n_tokens += step.n_tokens

    score_shard(_loaded[key], work, shard, shards, count)
    return Progress(work.model, n_tokens, message)
