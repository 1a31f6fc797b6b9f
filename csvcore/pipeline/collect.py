"""Collection of per-token losses: plan, score by an engine, store each whole model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from csvcore import lm, store
from csvcore.collection import (
    ClusterConfig,
    Outcome,
    Progress,
    Work,
    local,
    ray_cluster,
    shards,
)
from csvcore.collection.plan import (
    Plan,
    common_context,
    free_memory,
    plan,
    stored_contexts,
    windowed,
)
from csvcore.collection.shards import Shard, Shards
from csvcore.errors import CsvcoreError, InputError, ModelError, StoreError
from csvcore.formats import loss_packs
from csvcore.formats.manifest import WHOLE, Manifest
from csvcore.lm import LoadConfig
from csvcore.records import Document, ModelCard

Engine = Literal["local", "ray"]


@dataclass(frozen=True, slots=True)
class CollectConfig:
    """Settings of a collection; each is a flag of `csvcore collect`.

    device: auto, cpu, cuda, cuda:1, mps, balanced, or several separated by commas. context,
    stride: of the windows over long documents, in tokens. shards: where work in progress is kept;
    beside the database if not given. ray: address of a cluster. gpus: what a Ray task reserves.
    """

    device: str = "auto"
    dtype: str = "float32"
    batch_tokens: int | None = None
    context: int | None = None
    stride: int | None = None
    prefix: str = lm.AUTO
    trust_remote_code: bool = False
    engine: Engine = "local"
    shards: str | None = None
    ray: str | None = None
    gpus: float = 0.0

    @property
    def load(self) -> LoadConfig:
        """Settings of loading a model."""
        return LoadConfig(self.device, self.dtype, self.prefix, self.trust_remote_code)


@dataclass(frozen=True, slots=True)
class Collected:
    """The result for one model: stored now, found stored, or the reason of a failure.

    n_tokens: scored, prefix not counted. bits_per_byte: of the whole corpus. seconds: wall time.
    passing: the failure is not the model's: a full disk or a process that died, so that the same
    model may be tried again.
    """

    model: str
    status: Literal["stored", "found", "failed"]
    message: str = ""
    n_tokens: int = 0
    bits_per_byte: float | None = None
    seconds: float = 0.0
    passing: bool = False

    @property
    def reason(self) -> str:
        """The message with the model's name in it."""
        named = self.message.startswith(self.model) or f" {self.model} " in self.message
        return self.message if named else f"{self.model}: {self.message}"


@dataclass(frozen=True, slots=True)
class Collection:
    """A prepared collection: its plans, common context and notes.

    cards: of models whose facts are known, by name.
    """

    database: Path
    corpus: str
    docs: list[Document]
    config: CollectConfig
    plans: list[Plan]
    context: int | None
    notes: tuple[str, ...]
    cards: Mapping[str, ModelCard] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Folder or URL of the shards."""
        beside = self.database.with_name(f"{self.database.name}.shards")
        path = self.config.shards or str(beside)
        return path if "://" in path else str(Path(path).resolve())

    def shards(self, planned: Plan) -> list[Shard]:
        """Return all shards of a model, scored or not."""
        assert planned.files is not None
        parts, at = [], 0
        for docs in shards.divide(self.docs):
            sizes = planned.n_tokens[at : at + len(docs)]
            at += len(docs)
            parts.append(Shard(shards.address(docs, self._recipe(planned, sizes)), docs))
        return parts

    def n_scored(self, planned: Plan, missing: Sequence[Shard]) -> int:
        """Count the tokens of a model in finished shards."""
        absent = {doc.doc_id for shard in missing for doc in shard.docs}
        sizes = zip(self.docs, planned.n_tokens, strict=True)
        return sum(n for doc, n in sizes if doc.doc_id not in absent)

    def _recipe(self, planned: Plan, sizes: Sequence[int]) -> dict[str, Any]:
        """Return every setting that affects the losses of documents with these token counts."""
        assert planned.files is not None
        seen = WHOLE
        if windowed(sizes, self.context):
            seen = f"{self.context} by {self.config.stride or 'half'}"
        return {
            "weights": planned.files.weights_sha256,
            "tokenizer": planned.files.tokenizer_sha256,
            "prefix": self.config.prefix,
            "dtype": self.config.dtype,
            "context": seen,
            "engine": "transformers",
            "version": lm.SCORING_VERSION,
        }

    def work(self, planned: Plan, missing: Sequence[Shard]) -> Work:
        """Return the work for an engine: a model and its missing shards."""
        longest = min(max(planned.n_tokens), self.context or max(planned.n_tokens))
        assert planned.files is not None
        return Work(
            name=str(Path(planned.name).resolve()) if Path(planned.name).exists() else planned.name,
            model=planned.model,
            weights_sha256=planned.files.weights_sha256,
            tokenizer_sha256=planned.files.tokenizer_sha256,
            shards=tuple(missing),
            place=self.place,
            load=replace(self.config.load, longest=longest),
            batch_tokens=self.config.batch_tokens,
            context=self.context,
            stride=self.config.stride,
            seen=self.seen(planned),
        )

    def seen(self, planned: Plan) -> str | int:
        """Return the context of a model's windows, or WHOLE if no document needs windows."""
        return self.context if self.context and windowed(planned.n_tokens, self.context) else WHOLE


def prepare(
    database: Path,
    names: Sequence[str],
    corpus: str,
    config: CollectConfig,
    report: Callable[[str], None] = lambda model: None,
    cards: Mapping[str, ModelCard] | None = None,
) -> Collection:
    """Plan a collection from models, corpus and database, without loading or writing.

    Args:
        database: the results database.
        names: folders, GGUF files or hub names.
        corpus: a stored corpus.
        config: settings.
        report: called with each model's name before it is planned; may raise to stop.
        cards: of some of the models, by folder, file or hub name; a new model is stored as its
            card says, the others after their files.

    Raises:
        InputError: an unknown corpus, dtype or prefix, two models of one name, or a context larger
            than a model's.
    """
    for setting, value, choices in (
        ("dtype", config.dtype, tuple(lm.DTYPES)),
        ("prefix", config.prefix, (lm.AUTO, *lm.RULES)),
    ):
        if value not in choices:
            raise InputError(f"{setting} must be one of {', '.join(choices)}, got {value!r}")
    with store.connect(database, read_only=True) as db:
        docs = store.documents(db, corpus)
    given = cards or {}
    called = {name: given[name].model if name in given else lm.model_name(name) for name in names}
    _refuse_twice([called[name] for name in names])
    counts: dict[str, Any] = {}
    plans = []
    for name in names:
        report(called[name])
        entry = plan(name, docs, config.load, counts, called[name])
        plans.append(_looked_up(database, corpus, entry, len(docs), config))
    context = common_context([entry for entry in plans if entry.problem is None], config.context)
    if context and config.stride and config.stride > context:
        raise InputError(f"--stride {config.stride} is more than the context of {context} tokens")
    by_model = {card.model: card for card in given.values()}
    collection = Collection(database, corpus, docs, config, plans, context, (), by_model)
    return replace(collection, notes=tuple(_notes(collection)))


def _refuse_twice(models: Sequence[str]) -> None:
    twice = sorted({model for model in models if models.count(model) > 1})
    if twice:
        raise InputError(f"two of the models are called {twice[0]}; rename one folder")


def _looked_up(
    database: Path, corpus: str, planned: Plan, n_docs: int, config: CollectConfig
) -> Plan:
    """Mark the plan as stored, or set its problem, from the database."""
    if planned.files is None:
        return planned
    with store.connect(database, read_only=True) as db:
        n_stored = store.coverage(db, corpus).get(planned.model, 0)
        manifest = store.manifests(db, corpus).get(planned.model) or Manifest()
    if n_stored == 0:
        return planned
    problem = _stored_otherwise(planned, corpus, manifest, config)
    if problem is not None:
        return replace(planned, problem=problem)
    if n_stored != n_docs:
        problem = f"{planned.model} has losses on {n_stored} of {n_docs} documents of {corpus}"
        return replace(planned, problem=problem)
    return replace(planned, stored=True)


def _stored_otherwise(
    planned: Plan, corpus: str, made: Manifest, config: CollectConfig
) -> str | None:
    """Return how the stored losses differ from those to be collected, or None."""
    assert planned.files is not None
    if made.weights_sha256 != planned.files.weights_sha256:
        return (
            f"losses of other weights are stored as {planned.model} on {corpus}; "
            "rename the folder to store these beside them"
        )
    if made.dtype != config.dtype:
        return (
            f"losses of {planned.model} on {corpus} are stored in {made.dtype}, not "
            f"{config.dtype}; models that are compared should share their dtype"
        )
    if made.tokenizer_sha256 not in (None, planned.files.tokenizer_sha256):
        return (
            f"losses of {planned.model} on {corpus} are stored with another tokenizer; "
            "rename the folder to store these beside them"
        )
    wanted = config.context
    seen = wanted if wanted and windowed(planned.n_tokens, wanted) else WHOLE
    if wanted and made.context not in (None, seen):
        return (
            f"losses of {planned.model} on {corpus} are stored with the context {made.context}, "
            f"not {seen}; give the model another name to store both"
        )
    rule = made.prefix_rule
    if config.prefix not in (lm.AUTO, rule):
        return (
            f"losses of {planned.model} on {corpus} are stored with the prefix {rule}, not "
            f"{config.prefix}; give the model another name to store both"
        )
    return None


def _notes(collection: Collection) -> Iterator[str]:
    free = free_memory()
    for planned in collection.plans:
        needed = planned.n_bytes or 0
        if collection.config.device in ("auto", "cpu") and needed > free:
            yield (
                f"{planned.model} takes {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of "
                "the machine's memory are free; --dtype bfloat16 halves it"
            )
    long = max((windowed(p.n_tokens, collection.context) for p in collection.plans), default=0)
    if not long:
        return
    yield (
        f"{long} documents are longer than the common context of {collection.context} tokens and "
        "are seen through overlapping windows"
    )
    others = stored_contexts(collection.database, collection.corpus) - {str(collection.context)}
    if others:
        yield (
            f"models stored on this corpus used a context of {', '.join(sorted(others))}; give "
            "--context to have the same"
        )


def collect(
    collection: Collection, report: Callable[[Progress], None] = lambda step: None
) -> Iterator[Collected]:
    """Score missing losses; yield the result of each finished or failed model.

    A model's losses are stored in one transaction when all its shards are written. After an
    interruption the next run resumes from the finished shards.

    Args:
        collection: see `prepare`.
        report: called with every step; may raise to stop.
    """
    shard_store = Shards(collection.place)
    works: list[Work] = []
    by_model = {planned.model: planned for planned in collection.plans}
    for planned in collection.plans:
        if planned.problem is not None:
            yield Collected(planned.model, "failed", planned.problem)
        elif planned.stored:
            yield Collected(planned.model, "found", "its losses are stored already")
        else:
            whole = collection.shards(planned)
            missing = shard_store.missing(whole)
            works.append(collection.work(planned, missing))
            report(Progress(planned.model, n_tokens=collection.n_scored(planned, missing)))
    to_score = [work for work in works if work.shards]
    for work in works:
        if not work.shards:
            yield _store(collection, by_model[work.model], Outcome(work))
    with shard_store.in_use() if to_score else nullcontext():
        for outcome in _run(to_score, collection.config, report):
            yield _store(collection, by_model[outcome.work.model], outcome)


def _run(
    works: Sequence[Work], config: CollectConfig, report: Callable[[Progress], None]
) -> Iterator[Outcome]:
    if not works:
        return iter(())
    if config.engine == "ray":
        return ray_cluster.run(works, ClusterConfig(config.ray, config.gpus), report)
    return local.run(works, config.device, report)


def _store(collection: Collection, planned: Plan, outcome: Outcome) -> Collected:
    """Store a model's shards in the database, in one transaction."""
    if outcome.error is not None:
        return _failed(planned, outcome, outcome.error)
    n_bytes = {doc.doc_id: doc.n_bytes for doc in collection.docs}
    try:
        table, made = Shards(collection.place).read_all(collection.shards(planned), planned.model)
        made = replace(made, context=collection.seen(planned))
        loss_packs.check_documents(planned.model, table, n_bytes)
        with store.connect(collection.database) as db:
            store.corpus_sha256(db, collection.corpus)  # it may have been removed meanwhile
            if planned.model not in {card.model for card in store.models(db)}:
                store.add_models(db, [_card(planned, collection.cards.get(planned.model))])
            store.add_losses(db, collection.corpus, table, {planned.model: made})
    except (InputError, StoreError) as error:
        return _failed(planned, outcome, error)
    return Collected(
        model=planned.model,
        status="stored",
        n_tokens=planned.total_tokens,
        bits_per_byte=_bits_per_byte(table, collection.docs),
        seconds=outcome.seconds,
    )


def _failed(planned: Plan, outcome: Outcome, error: CsvcoreError) -> Collected:
    return Collected(
        planned.model,
        "failed",
        str(error),
        seconds=outcome.seconds,
        passing=not isinstance(error, ModelError | InputError),
    )


def _bits_per_byte(table: pa.Table, docs: Sequence[Document]) -> float:
    total = float(loss_packs.flat(table, "nll").astype(np.float64).sum())
    return total / log(2) / sum(doc.n_bytes for doc in docs)


def _card(planned: Plan, given: ModelCard | None) -> ModelCard:
    """Return a model's card: the given one, or one from its files; `import models` replaces it."""
    if given is not None:
        return replace(given, family=given.family or planned.model_type, n_params=planned.n_params)
    return ModelCard(
        model=planned.model,
        family=planned.model_type,
        n_params=planned.n_params,
        origin=planned.name if "/" in planned.name and not Path(planned.name).exists() else None,
    )
