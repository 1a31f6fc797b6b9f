"""Collection on a Ray cluster: one task per shard and model, retried if a node dies.

Tasks write their shards to storage shared by all nodes. A stored shard is not scored again, so
tasks are idempotent.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from csvcore.collection.shards import Shard, Shards
from csvcore.collection.work import (
    Outcome,
    Progress,
    Report,
    Work,
    load_for,
    score_shard,
    summary,
)
from csvcore.errors import CsvcoreError
from csvcore.lm import LanguageModel
from csvcore.parallel import POLL_SECONDS, RETRIES, ClusterConfig, connected, task_error


def run(works: Sequence[Work], config: ClusterConfig, report: Report) -> Iterator[Outcome]:
    """Score all models; yield the outcome of each after its last shard, failures included.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """
    with connected(config) as ray:
        yield from _tasks(ray, works, config, report)


def _tasks(
    ray: Any, works: Sequence[Work], config: ClusterConfig, report: Report
) -> Iterator[Outcome]:
    started = time.perf_counter()
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
                    errors[number] = task_error(error, RETRIES)
                    for other, owner in running.items():  # its other shards would fail alike
                        if owner == number:
                            ray.cancel(other)
            else:
                report(step)
            if left[number] == 0:
                yield Outcome(works[number], errors.get(number), time.perf_counter() - started)


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
