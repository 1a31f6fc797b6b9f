"""Ladders of made-up models whose losses and accuracies follow known laws, with seeded noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.special import expit

from csvcore import store
from csvcore.forecasting.known import Known
from csvcore.forecasting.ladder import Ladder
from csvcore.forecasting.score_table import ScoreTable
from csvcore.formats import loss_packs
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.pipeline import imports
from csvcore.records import Accuracy, Document, Floats, ModelCard, Side, Task

SIZES = (1e7, 2e7, 4e7, 8e7, 16e7)
TOKENS = np.geomspace(2e8, 3.2e9, 6)


def planted_loss(n_params: Floats, train_tokens: Floats) -> Floats:
    """Return E + A / N^a + B / D^b of known numbers."""
    return np.asarray(0.4 + 20.0 / n_params**0.3 + 30.0 / train_tokens**0.25)


def planted_accuracy(n_params: Floats, train_tokens: Floats) -> Floats:
    """Return the accuracy of the loss of `planted_loss`, from a chance level of 0.25."""
    return np.asarray(0.25 + 0.75 * expit(-12.0 * (planted_loss(n_params, train_tokens) - 0.72)))


def planted_ladder(noise: float = 0.0, seed: int = 0, sizes: tuple[float, ...] = SIZES) -> Ladder:
    """Return runs of these sizes; a second score is another loss, which tells nothing."""
    n = np.repeat(sizes, TOKENS.size)
    d = np.tile(TOKENS, len(sizes))
    rng = np.random.default_rng(seed)
    accuracy = planted_accuracy(n, d) + noise * rng.normal(size=(1, n.size))
    score = np.stack([planted_loss(n, d), 1.0 + 0.2 * rng.random(n.size)])
    return Ladder(
        names=tuple(f"m{at}" for at in range(n.size)),
        n_params=n,
        train_tokens=d,
        run=tuple(f"run {size:g}" for size in n),
        tasks=("reading",),
        gamma=np.array([0.25]),
        accuracy=np.clip(accuracy, 0.0, 1.0),
        scores=("Loss of books", "Loss of noise"),
        score=score,
        probable=np.zeros(2, dtype=bool),
        uses=np.ones((1, 2), dtype=bool),
    )


READING = Task("reading", 0.25, sources=("books",))
LADDER_DOCS = (
    Document("book", "books", "A page of a book."),
    Document("noise", "noise", "qz vv xq kj"),
)


def ladder_cards(ladder: Ladder, family: str) -> list[ModelCard]:
    """Return the cards of a ladder's models, named after the family."""
    rows = zip(ladder.names, ladder.n_params.tolist(), ladder.train_tokens.tolist(), strict=True)
    return [
        ModelCard(f"{family}-{name}", family, int(n), int(d), step=int(d) // 1000)
        for name, n, d in rows
    ]


def known(*families: str, **ladders: Ladder) -> Known:
    """Return what is known of families: those named have planted ladders, others are given."""
    parts = {family: planted_ladder() for family in families} | ladders
    cards = [card for family, ladder in parts.items() for card in ladder_cards(ladder, family)]
    accuracies = {
        (card.model, "reading"): Accuracy(card.model, "reading", value)
        for family, ladder in parts.items()
        for card, value in zip(
            ladder_cards(ladder, family), ladder.accuracy[0].tolist(), strict=True
        )
    }
    some = next(iter(parts.values()))
    table = ScoreTable(
        models=tuple(card.model for card in cards),
        scores=some.scores,
        score=np.concatenate([ladder.score for ladder in parts.values()], axis=1),
        probable=some.probable,
        uses=some.uses,
    )
    names = frozenset(card.model for card in cards)
    return Known(tuple(cards), (READING,), accuracies, table, names)


def store_ladders(database: Path, test: Ladder, **ladders: Ladder) -> None:
    """Store families in a new database; the split "small" has the family `big` of `test` to test.

    A document's loss is one number, its score times its characters.
    """
    parts = ladders | {"big": replace(test, names=tuple(f"t{at}" for at in range(len(test.names))))}
    cards = {family: ladder_cards(ladder, family) for family, ladder in parts.items()}
    rows = [
        {
            "model": card.model,
            "doc_id": doc.doc_id,
            "byte_start": [0],
            "byte_end": [doc.n_bytes],
            "nll": [float(ladder.score[column, at]) * len(doc.text)],
            "token_id": None,
        }
        for family, ladder in parts.items()
        for at, card in enumerate(cards[family])
        for column, doc in enumerate(LADDER_DOCS)
    ]
    pack = database.with_suffix(".parquet")
    table = pa.Table.from_pylist(rows, schema=loss_packs.SCHEMA)
    loss_packs.write(pack, table, corpus_sha256(LADDER_DOCS), {})
    imports.init(database)
    side: dict[str, Side] = {
        card.model: "test" if family == "big" else "train"
        for family, own in cards.items()
        for card in own
    }
    with store.connect(database) as db:
        store.add_corpus(db, "words", corpus_sha256(LADDER_DOCS), LADDER_DOCS)
        store.add_models(db, [card for own in cards.values() for card in own])
        store.add_tasks(db, [READING])
        store.add_accuracies(
            db,
            [
                Accuracy(card.model, "reading", float(value))
                for family, ladder in parts.items()
                for card, value in zip(cards[family], ladder.accuracy[0], strict=True)
            ],
        )
        store.add_split(db, "small", side)
    imports.import_losses(database, [pack], "words")
