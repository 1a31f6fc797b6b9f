"""Losses from a server into the database, after a check against the model itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from csvcore import lm, store, values
from csvcore.collection import shards
from csvcore.collection.server import Server
from csvcore.collection.shards import Shard, Shards
from csvcore.errors import InputError, ModelError
from csvcore.formats.manifest import WHOLE, Manifest
from csvcore.lm import LanguageModel, LoadConfig
from csvcore.records import Document, ModelCard, TokenLosses

CHECKED = 2  # documents compared with the model itself


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server's model and its reference; each field is a flag of `csvcore import completions`.

    url: up to /v1. served: the model's name there. reference: the same model as a folder, GGUF
    file or hub name, for its tokenizer, its prefix and the check. name: what to store it as; the
    reference's name if not given. tolerance: mean difference per token, in nats, that the server
    may have (bfloat16 weights alone move a token by 0.008). key: of the server, if it wants one.
    """

    url: str
    served: str
    reference: str
    name: str | None = None
    tolerance: float = 0.02
    key: str | None = None


def import_completions(
    database: Path,
    corpus: str,
    config: ServerConfig,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Read a model's losses from a server and store them; resume after an interruption.

    Raises:
        InputError: losses are stored under this name.
        ModelError: the server differs from the model, or does not answer as it should.
    """
    with store.connect(database, read_only=True) as db:
        docs = store.documents(db, corpus)
        stored = store.coverage(db, corpus)
    server = Server(config.url, config.served, config.key)
    model = lm.load(config.reference, LoadConfig())
    name = values.name(config.name or model.name, "the name of a model")
    if name in stored:
        raise InputError(f"losses of {name} on {corpus} are stored; give another --name")
    apart = parity(server, model, docs)
    if apart > config.tolerance:
        raise ModelError(
            f"{config.url} differs from {model.name} by {apart:.3g} nats a token on {CHECKED} "
            f"documents, more than --tolerance {config.tolerance:g}; nothing was stored"
        )
    shard_store = Shards(str(database.with_name(f"{database.name}.shards").resolve()))
    recipe = {
        "engine": "completions",
        "server": [config.url, config.served],
        "prefix": model.prefix.token_id,
        "tokenizer": model.tokenizer_sha256,
        "weights": model.weights_sha256,
    }
    whole = [Shard(shards.address(run, recipe), run) for run in shards.divide(docs)]
    made = _manifest(model, docs, config, apart)
    for number, shard in enumerate(whole):
        report(number, len(whole))
        if shard_store.missing([shard]):
            shard_store.write(shard.key, served_losses(server, model, shard.docs), made)
    report(len(whole), len(whole))
    table, made = shard_store.read_all(whole, name)
    with store.connect(database) as db:
        if name not in {card.model for card in store.models(db)}:
            card = ModelCard(name, str(model.model.config.model_type), model.model.num_parameters())
            store.add_models(db, [card])
        store.add_losses(db, corpus, table, {name: made})
    return f"{name}: {len(docs)} documents from {config.url}, {apart:.2g} nats a token apart"


def _manifest(
    model: LanguageModel, docs: Sequence[Document], config: ServerConfig, apart: float
) -> Manifest:
    """Return how the losses were made; the weights are the reference's."""
    reference, room = model.manifest(), _room(model)
    longest = max(len(lm.encode(model.tokenizer, doc.text).token_ids) for doc in docs)
    return Manifest(
        weights_sha256=reference.weights_sha256,
        tokenizer_sha256=reference.tokenizer_sha256,
        prefix=reference.prefix,
        dtype="as served",
        engine="completions",
        served=config.served,
        apart=apart,
        context=room if room and longest > room else WHOLE,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def parity(server: Server, model: LanguageModel, docs: list[Document]) -> float:
    """Return the mean absolute difference per token to the model on two documents, nats."""
    some = [docs[0], docs[len(docs) // 2]][: min(CHECKED, len(docs))]
    theirs = served_losses(server, model, some)
    ours = list(lm.score(model, some, context=_room(model)))
    pairs = zip(theirs, ours, strict=True)
    return float(np.abs(np.concatenate([served.nll - local.nll for served, local in pairs])).mean())


def _room(model: LanguageModel) -> int | None:
    """Return the window size: the context less the prefix and one generated token."""
    return None if model.max_tokens is None else max(1, model.max_tokens - 2)


def served_losses(
    server: Server, model: LanguageModel, docs: Sequence[Document]
) -> list[TokenLosses]:
    """Return the server's losses of documents, on the reference's tokens."""
    encodings = [lm.encode(model.tokenizer, doc.text) for doc in docs]
    owners, segments = lm.cut(model, encodings, _room(model), None)
    parts = server.nll(segments)
    return list(lm.put_together(model.name, docs, encodings, owners, parts))
