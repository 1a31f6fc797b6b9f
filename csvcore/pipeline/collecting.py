"""Losses of models into the database, one model after another; interrupted, it goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa

from csvcore import packs, scoring, store
from csvcore.errors import InputError
from csvcore.records import ModelCard, TokenLosses


@dataclass(frozen=True, slots=True)
class CollectConfig:
    """Settings of a collection; each is a flag of `csvcore collect`."""

    device: str = "auto"
    dtype: str = "float32"
    batch_tokens: int = 4096


def collect(
    database: Path,
    names: Sequence[str],
    corpus: str,
    config: CollectConfig,
    report: Callable[[str, int, int], None] = lambda model, done, total: None,
) -> Iterator[str]:
    """Score and store each model that is not stored yet; yields every name when it is done.

    A model's losses land in one transaction, so stopping at any moment loses at most that model's.

    Args:
        database: the results database.
        names: local folders or hub names.
        corpus: a stored corpus.
        config: device, dtype and batch size.
        report: called with (model, documents done, documents); may raise to stop.

    Raises:
        InputError: losses of other weights are stored under the same name.
        ModelError: see `scoring.load` and `scoring.score`.
    """
    with store.connect(database, read_only=True) as db:
        docs = store.documents(db, corpus)
    for name in names:
        model = scoring.model_name(name)
        weights = scoring.weights_sha256(name)
        if not _is_stored(database, corpus, model, weights, config.dtype, len(docs)):
            lm = scoring.load(name, config.device, config.dtype)
            rows = list(scoring.score(lm, docs, config.batch_tokens, partial(report, model)))
            made = lm.manifest() | {"created": datetime.now(UTC).isoformat(timespec="seconds")}
            with store.connect(database) as db:
                if model not in {card.model for card in store.models(db)}:
                    store.add_models(db, [_card(lm, name)])
                store.add_losses(db, corpus, loss_table(rows), {model: made})
        yield model


def _is_stored(
    database: Path, corpus: str, model: str, weights_sha256: str, dtype: str, n_docs: int
) -> bool:
    with store.connect(database, read_only=True) as db:
        n_stored = store.coverage(db, corpus).get(model, 0)
        manifest = store.manifests(db, corpus).get(model)
    if n_stored == 0:
        return False
    if manifest is None or manifest.get("weights_sha256") != weights_sha256:
        raise InputError(
            f"losses of other weights are stored as {model} on {corpus}; "
            "rename the folder to store these beside them"
        )
    if manifest.get("dtype") != dtype:
        raise InputError(
            f"losses of {model} on {corpus} are stored in {manifest.get('dtype')}, not {dtype}; "
            "models that are compared should share their dtype"
        )
    if n_stored != n_docs:
        raise InputError(f"{model} has losses on {n_stored} of {n_docs} documents of {corpus}")
    return True


def _card(lm: scoring.LanguageModel, origin: str) -> ModelCard:
    """What the model's own files say of it; `import models` replaces it by what the user knows."""
    return ModelCard(
        model=lm.name,
        family=str(lm.model.config.model_type),
        n_params=int(lm.model.num_parameters()),
        origin=origin if "/" in origin and not Path(origin).exists() else None,
    )


def loss_table(rows: Sequence[TokenLosses]) -> pa.Table:
    """Records as the rows of a loss pack."""
    return pa.table(
        {
            "model": [row.model for row in rows],
            "doc_id": [row.doc_id for row in rows],
            "byte_start": pa.array([row.byte_start for row in rows], pa.list_(pa.int32())),
            "byte_end": pa.array([row.byte_end for row in rows], pa.list_(pa.int32())),
            "nll": pa.array([row.nll for row in rows], pa.list_(pa.float32())),
            "token_id": pa.array([row.token_id for row in rows], pa.list_(pa.int32())),
        },
        schema=packs.SCHEMA,
    )
