"""Batches of a training step: encoded documents of a mix, several or one to a row."""

import random
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from zoo_build import documents
from zoo_build.families import Family

IGNORED = -100  # transformers' label of a position without loss
POOL = 64


class Rows:
    """Batches of whole documents, each after its prefix token and hidden from the others.

    The mix counts tokens, so a source is drawn in proportion to its share over its mean length.
    The state can be saved, so a resumed run reads the same data as an uninterrupted one.
    """

    def __init__(self, family: Family, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        """Start the stream of a run's seed."""
        self.tokenizer, self.family = tokenizer, family
        self.rng = random.Random(f"{seed}-rows")
        self.pool: list[list[int]] = []
        self.planned: list[list[list[int]]] = []
        probe = random.Random(0)
        self.sources = [source for source, share in family.mix.items() if share > 0]
        self.shares = []
        for source in self.sources:
            drawn = [self.encode(documents.SOURCES[source](probe).text) for _ in range(200)]
            self.shares.append(family.mix[source] / (sum(map(len, drawn)) / len(drawn)))

    def encode(self, text: str) -> list[int]:
        """Return the ids of a document between its prefix token and the end token."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        prefix = self.tokenizer.bos_token_id
        end = self.tokenizer.eos_token_id
        return [end if prefix is None else prefix, *ids, end][: self.family.context]

    def batch(self) -> dict[str, torch.Tensor]:
        """Return the inputs of one step, about family.batch * family.context tokens."""
        return self._alone() if self.family.architecture == "mamba2" else self._packed()

    def _packed(self) -> dict[str, torch.Tensor]:
        """Fill rows with documents; transformers masks earlier text where positions restart."""
        ids, positions = zip(*(self._row() for _ in range(self.family.batch)), strict=True)
        return _padded(ids, self.family.context, self.tokenizer.pad_token_id) | {
            "position_ids": _filled(positions, self.family.context, 0)
        }

    def _row(self) -> tuple[list[int], list[int]]:
        """Return ids and positions of one row without padding."""
        self._refill(POOL)
        ids = list(self.pool.pop(0))
        positions = list(range(len(ids)))
        room = self.family.context
        while fits := [i for i, doc in enumerate(self.pool) if len(doc) <= room - len(ids)]:
            doc = self.pool.pop(fits[0])
            ids += doc
            positions += range(len(doc))
        return ids, positions

    def _alone(self) -> dict[str, torch.Tensor]:
        """Put one document in a row, for recurrent models whose state is never reset."""
        if not self.planned:
            self._refill(8 * POOL)
            self.planned = _cut(sorted(self.pool, key=len), self.family.batch * self.family.context)
            self.pool = []
            self.rng.shuffle(self.planned)
        ids = self.planned.pop()
        return _padded(ids, len(ids[-1]), self.tokenizer.pad_token_id)

    def _refill(self, n_docs: int) -> None:
        while len(self.pool) < n_docs:
            for source in self.rng.choices(self.sources, self.shares, k=POOL):
                self.pool.append(self.encode(documents.SOURCES[source](self.rng).text))

    def state(self) -> dict[str, Any]:
        """Return the state for `resume`."""
        return {"rng": self.rng.getstate(), "pool": self.pool, "planned": self.planned}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        version, words, gauss = state["rng"]
        self.rng.setstate((version, tuple(words), gauss))
        self.pool, self.planned = state["pool"], state["planned"]


def _cut(ordered: list[list[int]], n_tokens: int) -> list[list[list[int]]]:
    """Cut rows, sorted from short to long, into batches of at most n_tokens with padding."""
    batches: list[list[list[int]]] = [[]]
    for row in ordered:
        if (len(batches[-1]) + 1) * len(row) > n_tokens:
            batches.append([])
        batches[-1].append(row)
    return batches


def _padded(rows: Any, width: int, pad: int) -> dict[str, torch.Tensor]:
    """Return padded ids and labels, (n_rows, width); padding has no loss."""
    return {"input_ids": _filled(rows, width, pad), "labels": _filled(rows, width, IGNORED)}


def _filled(rows: Any, width: int, value: int) -> torch.Tensor:
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])
