"""Scoring of one model in a collection: its missing shards, each written once scored."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from csvcore import lm
from csvcore.collection.shards import Shard, Shards
from csvcore.errors import CsvcoreError, ModelError
from csvcore.lm import Encoding, LanguageModel, LoadConfig

HELD_SECONDS = 1.0  # between two looks at shards that another process scores


@dataclass(frozen=True, slots=True)
class Work:
    """A model to score, in plain values for other processes and machines.

    name: folder, GGUF file or hub name. model: its name in the database. weights_sha256,
    tokenizer_sha256: hashes in its shards' keys. shards: the missing shards. place: path or URL of
    the shards. context, stride, batch_tokens: see `lm.score`. seen: the context recorded in the
    manifest.
    """

    name: str
    model: str
    shards: tuple[Shard, ...]
    place: str
    load: LoadConfig
    weights_sha256: str
    tokenizer_sha256: str
    batch_tokens: int | None = None
    context: int | None = None
    stride: int | None = None
    seen: str | int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Step of a collection: tokens of a model scored since the last step, and a message."""

    model: str
    n_tokens: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of scoring a model: error is None once all its shards are written."""

    work: Work
    error: CsvcoreError | None = None
    seconds: float = 0.0


Report = Callable[[Progress], None]


def work_off(work: Work, report: Report) -> None:
    """Load the model and write its shards; those that others score meanwhile are left to them.

    Args:
        work: the model and its missing shards.
        report: called at every step; may raise to stop, which loses at most one shard.

    Raises:
        ModelError: see `lm.load` and `lm.score`.
        StoreError: a shard cannot be written.
    """
    report(Progress(work.model, message="loading"))
    model = load_for(work)
    report(Progress(work.model, message=summary(model)))
    shards = Shards(work.place)
    waiting = work.shards
    while waiting:
        held = tuple(
            shard
            for shard, encodings in _tokenised_ahead(model, waiting)
            if not _score_once(model, work, shard, shards, report, encodings)
        )
        if len(held) == len(waiting):
            report(Progress(work.model, message="another collection scores the rest"))
            time.sleep(HELD_SECONDS)
        waiting = held


def _score_once(
    model: LanguageModel,
    work: Work,
    shard: Shard,
    shards: Shards,
    report: Report,
    encodings: list[Encoding],
) -> bool:
    """Score a shard unless another process has meanwhile; return False if it is at it."""
    with shards.claimed(shard.key) as ours:
        if ours and shards.missing([shard]):
            score_shard(model, work, shard, shards, report, encodings)
        elif ours:
            n_tokens = sum(len(encoding.token_ids) for encoding in encodings)
            report(Progress(work.model, n_tokens=n_tokens))
        return ours


def load_for(work: Work) -> LanguageModel:
    """Load the model of a work and check its hashes against the planned ones.

    Raises:
        ModelError: see `lm.load`; or its files have changed since the work was planned.
    """
    model = lm.load(work.name, work.load)
    planned = (work.weights_sha256, work.tokenizer_sha256)
    if (model.weights_sha256, model.tokenizer_sha256) != planned:
        raise ModelError(f"{model.name} has changed since the collection began; start it again")
    return model


def score_shard(
    model: LanguageModel,
    work: Work,
    shard: Shard,
    shards: Shards,
    report: Report,
    encodings: list[Encoding] | None = None,
) -> None:
    """Score one shard with a loaded model and write it."""
    encoded = encodings or encode_all(model, shard)
    sizes = [len(encoding.token_ids) for encoding in encoded]
    seen = 0

    def step(done: int, total: int) -> None:
        nonlocal seen
        so_far = sum(sizes) * done // total
        report(Progress(work.model, n_tokens=so_far - seen))
        seen = so_far

    rows = list(
        lm.score(model, shard.docs, work.batch_tokens, work.context, work.stride, step, encoded)
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    shards.write(shard.key, rows, replace(model.manifest(), context=work.seen, created=now))


def encode_all(model: LanguageModel, shard: Shard) -> list[Encoding]:
    """Encode a shard's documents."""
    return [lm.encode(model.tokenizer, doc.text) for doc in shard.docs]


def _tokenised_ahead(
    model: LanguageModel, shards: tuple[Shard, ...]
) -> Iterator[tuple[Shard, list[Encoding]]]:
    """Yield each shard with its tokens; the next shard is encoded in a thread meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(encode_all, model, shards[0]) if shards else None
        for i, shard in enumerate(shards):
            assert coming is not None
            ready = coming.result()
            if i + 1 < len(shards):
                coming = pool.submit(encode_all, model, shards[i + 1])
            yield shard, ready


def summary(model: LanguageModel) -> str:
    """Return the prefix and self-test of a loaded model in one line."""
    test = model.self_test
    parts = [
        f"prefix {model.prefix.token} ({model.prefix.rule}, {model.prefix.why})",
        f"rows {test.rows}, head {test.head}",
        f"within {test.difference:.1e} nats of the full forward",
        *test.notes,
    ]
    if model.prefix.warning:
        parts.append(model.prefix.warning)
    return "; ".join(parts)
