"""The data of a fit: losses on the scorer's tokens, accuracies, sides, and groups of models."""

import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from csvcore import salience, splits, values
from csvcore.errors import FitError, InputError
from csvcore.fitting.units import Units
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.records import Accuracy, Document, Floats, Ints, Mask, ModelCard, Side, Task

# An accuracy this many standard errors above chance is not chance; without n_items, this far.
CHANCE_ERRORS, CHANCE_MARGIN = 3.0, 0.02


MAX_GROUPS = 8  # left out in turn; every one of them is another head to fit


NAMED = 2  # members of a group that its name tells


@dataclass(frozen=True, slots=True)
class Dataset:
    """Input of a fit: nll is (n_models, n_tokens) on the units, a row for each of models.

    cards: of these models, in their order. counts: (n_tokens,) which units are part of the score;
    the others have nll 0. n_chars: N_c, characters of the validation text that count. span:
    (n_models,) bytes of text that one loss stands for, on average, as the models' losses came.
    pulls: (n_tokens,) weights of the caller that learnt weights may be pulled towards, by name.
    ranked: rank tokens by the models and accuracies that they come from, see `rank_tokens`.
    """

    corpus: str
    corpus_sha256: str
    docs: list[Document]
    units: Units
    models: list[str]
    cards: list[ModelCard]
    nll: NDArray[np.float32]
    split_name: str
    split: dict[str, Side]
    tasks: dict[str, Task]
    accuracies: dict[tuple[str, str], Accuracy]
    counts: Mask
    n_chars: int
    span: Floats
    pulls: Mapping[str, Floats] = field(default_factory=dict)
    ranked: dict[tuple[bytes, bytes], Mask] = field(default_factory=dict, init=False, repr=False)

    def sources(self) -> tuple[list[str], Ints]:
        """Return the corpus' sources, and the index of each unit's source, (n_tokens,)."""
        names = sorted({doc.source for doc in self.docs})
        source = [names.index(doc.source) for doc in self.docs]
        return names, np.repeat(source, [cuts.size - 1 for cuts in self.units.edges])

    def only(self, doc_ids: Collection[str]) -> "Dataset":
        """Return the dataset of some documents, as if the corpus had no others.

        Raises:
            InputError: none of them is in the corpus.
        """
        kept = np.array([doc.doc_id in doc_ids for doc in self.docs], dtype=bool)
        if not kept.any():
            raise InputError(f"the corpus {self.corpus} has none of the {len(doc_ids)} documents")
        on = np.repeat(kept, [cuts.size - 1 for cuts in self.units.edges])
        docs = [doc for doc, keep in zip(self.docs, kept, strict=True) if keep]
        edges = [cuts for cuts, keep in zip(self.units.edges, kept, strict=True) if keep]
        return replace(
            self,
            corpus_sha256=corpus_sha256(docs),
            docs=docs,
            units=replace(self.units, edges=edges, states=cache(lambda: self.units.hidden[on])),
            nll=self.nll[:, on],
            counts=self.counts[on],
            n_chars=self._n_chars_of(docs, edges, on),
            pulls={name: row[on] for name, row in self.pulls.items()},
        )

    def joined(self, other: "Dataset") -> "Dataset":
        """Return the dataset with another corpus' documents appended, for the models of both.

        Raises:
            InputError: another scorer or split, a document's name in both corpora, or not 3 models
                in common.
        """
        one = (self.units.scorer_sha256, self.split_name)
        if one != (other.units.scorer_sha256, other.split_name):
            raise InputError("corpora are joined for one scorer and one split only")
        mine = {doc.doc_id for doc in self.docs}
        values.refuse_shared([doc.doc_id for doc in other.docs], mine, other.corpus)
        common = [model for model in self.models if model in other.models]
        if len(common) < 3:
            raise InputError(
                f"{len(common)} models have losses on both {self.corpus} and {other.corpus}; "
                "collect the other's"
            )
        at = [self.models.index(model) for model in common]
        at_other = [other.models.index(model) for model in common]
        docs = [*self.docs, *other.docs]
        return replace(
            self,
            corpus=f"{self.corpus}+{other.corpus}",
            corpus_sha256=corpus_sha256(docs),
            docs=docs,
            units=replace(
                self.units,
                edges=[*self.units.edges, *other.units.edges],
                states=cache(lambda: np.concatenate([self.units.hidden, other.units.hidden])),
            ),
            models=common,
            cards=[self.cards[row] for row in at],
            span=np.maximum(self.span[at], other.span[at_other]),
            nll=np.concatenate([self.nll[at], other.nll[at_other]], axis=1),
            counts=np.concatenate([self.counts, other.counts]),
            n_chars=self.n_chars + other.n_chars,
            pulls={},
        )

    def _n_chars_of(self, docs: Sequence[Document], edges: Sequence[Ints], on: Mask) -> int:
        """Return the characters of these documents in units that count."""
        counts = np.split(self.counts[on], np.cumsum([cuts.size - 1 for cuts in edges])[:-1])
        return sum(
            len(doc.text.encode()[cuts[:-1][own][0] :].decode()) if own.any() else 0
            for doc, cuts, own in zip(docs, edges, counts, strict=True)
        )

    def groups(self) -> dict[str, Mask]:
        """Return the models to leave out together inside train, (n_models,) masks by name.

        Families in turn where train has three or more; else its training runs, since one family
        left is too little to learn another from. More than MAX_GROUPS are dealt out into as many,
        the smallest together. Empty where train is one run.
        """
        if len(self._train_families()) >= 3:
            return self._left_out([card.family for card in self.cards])
        return self._left_out([f"run {splits.run_name(card)}" for card in self.cards])

    def interval_groups(self) -> dict[str, Mask]:
        """Return the models to leave out together for prediction intervals, as `groups`.

        Families are left out in turn if a test model's family has no train model, so that the
        intervals cover the error on a new family.
        """
        if self.unseen_families() and len(self._train_families()) > 1:
            return self._left_out([card.family for card in self.cards])
        return self.groups()

    def unseen_families(self) -> set[str]:
        """Return the families of test models without a train model."""
        tested = {card.family for card in self.cards if self.split[card.model] == "test"}
        return tested - self._train_families()

    def like_test(self) -> Mask:
        """Return the validation models whose errors tell of those on test models, (n_models,).

        All of them, but where test models are of unseen families those of unseen families alone.
        """
        known = self._train_families() if self.unseen_families() else set()
        return np.array(
            [
                self.split[card.model] == "validation" and card.family not in known
                for card in self.cards
            ]
        )

    def _train_families(self) -> set[str]:
        """Return the families of the train models."""
        return {card.family for card in self.cards if self.split[card.model] == "train"}

    def _left_out(self, keys: list[str]) -> dict[str, Mask]:
        train = [self.split[model] == "train" for model in self.models]
        counts = Counter(key for key, trains in zip(keys, train, strict=True) if trains)
        if len(counts) < 2:
            return {}
        parts: list[list[str]] = [[] for _ in range(min(len(counts), MAX_GROUPS))]
        for key, _ in counts.most_common():
            min(parts, key=lambda part: sum(counts[member] for member in part)).append(key)
        return {_short(part): np.array([key in part for key in keys]) for part in parts}

    def runs(self) -> Ints:
        """Return a number for the training run of each model, (n_models,)."""
        return np.array([zlib.crc32(splits.run_name(card).encode()) for card in self.cards])


@dataclass(frozen=True, slots=True)
class TaskModels:
    """The models in a fit of one task: rows of `Dataset.nll`, sides and accuracies."""

    task: Task
    rows: list[int]
    names: list[str]
    sides: list[Side]
    accuracy: Floats
    n_items: list[int | None]
    left_out: tuple[str, ...]

    def losses(self, data: Dataset) -> NDArray[np.float32]:
        """Return the rows of these models in a dataset, not a copy where they are all."""
        return data.nll if self.rows == list(range(len(data.nll))) else data.nll[self.rows]

    def score(self, data: Dataset, weight: Floats) -> Floats:
        """Return `salience.capability_score` of these models, without a copy of their losses."""
        return salience.capability_score(weight, data.nll, data.n_chars)[..., self.rows]

    def on(self, side: Side) -> Mask:
        """Return the mask of the models on a side, (n_models,)."""
        return np.array([entry == side for entry in self.sides], dtype=bool)


def _short(names: list[str]) -> str:
    """Return the name of a left-out group: its first few members."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def task_models(data: Dataset, name: str) -> TaskModels:
    """Return the split's models that have losses and an accuracy on the task; name the others.

    Raises:
        InputError: the task is unknown, or fewer than 3 train models are left.
        FitError: every train model is at chance or all have one accuracy, so there is nothing to
            learn from.
    """
    if name not in data.tasks:
        raise InputError(f"there is no task {name!r}; stored: {', '.join(data.tasks) or 'none'}")
    used = [
        (row, model) for row, model in enumerate(data.models) if (model, name) in data.accuracies
    ]
    entries = [data.accuracies[model, name] for _, model in used]
    names = {model for _, model in used}
    chosen = TaskModels(
        task=data.tasks[name],
        rows=[row for row, _ in used],
        names=[model for _, model in used],
        sides=[data.split[model] for _, model in used],
        accuracy=np.array([entry.accuracy for entry in entries], dtype=np.float64),
        n_items=[entry.n_items for entry in entries],
        left_out=tuple(model for model in data.split if model not in names),
    )
    n_train = int(chosen.on("train").sum())
    if n_train < 3:
        raise InputError(
            f"{name} has {n_train} train models with losses on every document and an accuracy; "
            f"a fit needs 3, and {len(chosen.left_out)} of the split were left out"
        )
    _refuse_flat(chosen)
    return chosen


def _refuse_flat(chosen: TaskModels) -> None:
    gamma, train = chosen.task.chance, chosen.on("train")
    known = chosen.accuracy[train]
    items = [n for n, trains in zip(chosen.n_items, train, strict=True) if trains]
    spread = [
        CHANCE_ERRORS * np.sqrt(max(gamma, 1 / n) * (1 - gamma) / n) if n else CHANCE_MARGIN
        for n in items
    ]
    if not np.any(known > gamma + np.array(spread)):
        raise FitError(
            f"all {known.size} train models are at chance on {chosen.task.task} "
            f"(best {known.max():.3f}, chance {gamma:g}); put models that have the ability into "
            "train"
        )
    if np.ptp(known) == 0.0:
        raise FitError(
            f"all {known.size} train models have the same accuracy {known[0]:.4g} on "
            f"{chosen.task.task}; a curve needs models that differ"
        )
