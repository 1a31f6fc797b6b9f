"""The sets of real measurements, each read from its files and stored in a database of its own.

Gemstones and open_lm come as tables; loss packs are made of them in which a document is one unit
with one span. Natural Stories and the zoo come as the files that csvcore imports. Checkpoints of
one run are strongly autocorrelated, so at most CHECKPOINTS of a Gemstones run are taken.
"""

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from csvcore import store
from csvcore.fitting.config import FitConfig
from csvcore.formats import loss_packs
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.pipeline import imports
from csvcore.records import SIDES, Accuracy, Document, ModelCard, Side, Task

CORPUS = "public"  # what every set's documents are stored as
CHECKPOINTS = 8
ZOO_SPLITS = ("by-size", "closed-source")
GEMSTONE_TASKS = {
    "arc:challenge": ("arcc", 0.25),
    "arc:easy": ("arce", 0.25),
    "hellaswag": ("hellaswag", 0.25),
    "mmlu": ("mmlu", 0.25),
    "openbookqa": ("openbook", 0.25),
    "piqa": ("piqa", 0.5),
    "siqa": ("siqa", 1 / 3),
    "winogrande": ("winogrande", 0.5),
}
OPEN_LM_TASKS = {
    "arc_easy": 0.25,
    "hellaswag": 0.25,
    "piqa": 0.5,
    "boolq": 0.5,
    "winograd": 0.5,
    "lambada_openai": 0.0,
    "coqa": 0.0,
    "jeopardy": 0.0,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a stored set is compared: on these splits, and with each family left out if `families`.

    config: settings of its fits.
    """

    splits: tuple[str, ...]
    families: bool
    config: FitConfig


@dataclass(frozen=True, slots=True)
class Measured:
    """What the files of a set without loss packs say: losses is (n_models, n_docs)."""

    docs: list[Document]
    cards: list[ModelCard]
    losses: np.ndarray
    tasks: list[Task]
    accuracies: list[Accuracy]
    splits: dict[str, dict[str, Side]]
    families: bool = False


def thinned(cards: list[ModelCard]) -> list[int]:
    """Return CHECKPOINTS or fewer of every run, evenly over its steps."""
    chosen: list[int] = []
    for family in dict.fromkeys(card.family for card in cards):
        own = [k for k, card in enumerate(cards) if card.family == family]
        own.sort(key=lambda k: cards[k].step or 0)
        chosen += [own[at] for at in np.linspace(0, len(own) - 1, CHECKPOINTS).round().astype(int)]
    return sorted(set(chosen))


def gemstone_card(name: str, n_params: int) -> ModelCard:
    """Return a checkpoint's card; its run is its shape, and `main` its last step."""
    shape, _, step = name.removeprefix("Gemstone-").partition("-")
    found = re.search(r"(\d+)$", step)
    return ModelCard(name, shape, n_params, step=int(found.group(1)) if found else 10**6)


def by_shape(cards: list[ModelCard], ranked: list[str]) -> dict[str, Side]:
    """Return a split: the last quarter of the shapes tests, the quarter before validates."""
    quarter = len(ranked) // 4
    side: dict[str, Side] = dict.fromkeys(ranked, "train")
    side |= dict.fromkeys(ranked[-quarter:], "test")
    side |= dict.fromkeys(ranked[-2 * quarter : -quarter], "validation")
    return {card.model: side[card.family] for card in cards}


def shape_splits(cards: list[ModelCard]) -> dict[str, dict[str, Side]]:
    """Return splits from small to large shapes, and of random shapes."""
    size = {card.family: card.n_params or 0 for card in cards}
    ranked = sorted(size, key=lambda shape: size[shape])
    dealt = np.random.default_rng(0).permutation(ranked).tolist()
    return {"small-to-large": by_shape(cards, ranked), "unseen-shape": by_shape(cards, dealt)}


def items(folder: Path) -> Measured:
    """Read Gemstones: 900 single items of 9 benchmarks, without their texts."""
    data = np.load(folder / "gemstones" / "gemstones_items_A_770x900.npz")
    every = [
        gemstone_card(str(name), int(n))
        for name, n in zip(data["checkpoint"], data["params"], strict=True)
    ]
    rows = thinned(every)
    cards = [every[row] for row in rows]
    pairs = zip(data["item_task"], data["item_index"], strict=True)
    names = [f"{task} {index}" for task, index in pairs]
    docs = [
        Document(name.replace(" ", "-"), str(task), name)
        for name, task in zip(names, data["item_task"], strict=True)
    ]
    sources = {str(task) for task in data["item_task"]}
    columns = [str(name) for name in data["accuracy_names"]]
    tasks = [
        Task(name, chance, sources=(source,) if source in sources else ())
        for name, (source, chance) in GEMSTONE_TASKS.items()
    ]
    accuracies = [
        Accuracy(card.model, task.task, float(data["accuracy"][row, columns.index(task.task)]))
        for card, row in zip(cards, rows, strict=True)
        for task in tasks
    ]
    return Measured(docs, cards, data["losses"][rows], tasks, accuracies, shape_splits(cards))


def questions(folder: Path) -> Measured:
    """Read Gemstones: 500 MMLU questions with their texts."""
    data = np.load(folder / "gemstones" / "gemstones_mmlu500_losses_770x500.npz")
    texts = pd.read_json(folder / "gemstones" / "gemstones_mmlu500_text.jsonl", lines=True)
    every = [
        gemstone_card(str(name), int(n))
        for name, n in zip(data["checkpoint"], data["params"], strict=True)
    ]
    rows = thinned(every)
    cards = [every[row] for row in rows]
    docs = [
        Document(f"{one['subject']}-{one['index']}", str(one["subject"]), _question(one))
        for one in texts.to_dict("records")
    ]
    tasks = [Task("mmlu", 0.25), Task("hellaswag", 0.25)]
    accuracies = [
        Accuracy(card.model, task.task, float(data[f"{task.task}_accuracy"][row]))
        for card, row in zip(cards, rows, strict=True)
        for task in tasks
    ]
    return Measured(docs, cards, data["losses"][rows], tasks, accuracies, shape_splits(cards))


def _question(one: Mapping[Hashable, Any]) -> str:
    return "\n".join([one["question"], *one["choices"]])


def corpora(folder: Path) -> Measured:
    """Read open_lm: 104 models of three training corpora, mean losses on 8 corpora."""
    table = pd.read_csv(folder / "open_lm_scaling" / "scaling_104models_8losses_46acc.csv")
    names = [column.removeprefix("loss:") for column in table if column.startswith("loss:")]
    docs = [Document(name, name, name.replace("_", " ")) for name in names]
    columns = (table[name].tolist() for name in ("name", "train_set", "params", "tokens"))
    cards = [ModelCard(*row) for row in zip(*columns, strict=True)]
    tasks = [Task(name, chance) for name, chance in OPEN_LM_TASKS.items()]
    accuracies = [
        Accuracy(name, task.task, min(max(float(value), 0.0), 1.0))
        for task in tasks
        for name, value in zip(table["name"], table[f"acc:{task.task}"], strict=True)
    ]
    sizes = np.array([card.n_params or 0 for card in cards])
    bounds = np.quantile(sizes, [0.6, 0.8])  # of models; those of one size stay together
    small = {
        card.model: SIDES[int(np.searchsorted(bounds, size))]
        for card, size in zip(cards, sizes.tolist(), strict=True)
    }
    losses = table[[f"loss:{name}" for name in names]].to_numpy()
    return Measured(docs, cards, losses, tasks, accuracies, {"small-to-large": small}, True)


def load(measured: Measured, database: Path, pack: Path) -> None:
    """Import everything into a new database, the losses from a loss pack."""
    ends = [len(doc.text.encode()) for doc in measured.docs]
    n_models, n_docs = measured.losses.shape
    table = pa.table(
        {
            "model": np.repeat([card.model for card in measured.cards], n_docs),
            "doc_id": [doc.doc_id for doc in measured.docs] * n_models,
            "byte_start": [[0]] * (n_models * n_docs),
            "byte_end": [[end] for end in ends] * n_models,
            "nll": [[value] for value in measured.losses.ravel().tolist()],
            "token_id": pa.nulls(n_models * n_docs, loss_packs.SCHEMA.field("token_id").type),
        }
    )
    loss_packs.write(pack, table, corpus_sha256(measured.docs), {})
    imports.init(database)
    with store.connect(database) as db:
        store.add_corpus(db, CORPUS, corpus_sha256(measured.docs), measured.docs)
        store.add_models(db, measured.cards)
        store.add_tasks(db, measured.tasks)
        store.add_accuracies(db, measured.accuracies)
        for name, split in measured.splits.items():
            store.add_split(db, name, split)
    imports.import_losses(database, [pack], CORPUS)


def stored_table(reader: Callable[[Path], Measured], folder: Path, database: Path) -> Plan:
    """Store a set that comes as tables."""
    measured = reader(folder)
    load(measured, database, database.with_suffix(".parquet"))
    return Plan(tuple(measured.splits), measured.families, FitConfig())


def load_files(folder: Path, database: Path, packs: str) -> None:
    """Import the files of a folder into a new database, its loss packs by a glob pattern."""
    imports.init(database)
    imports.import_corpus(database, folder / "documents.jsonl", CORPUS)
    imports.import_models(database, folder / "models.csv")
    imports.import_tasks(database, folder / "tasks.csv")
    imports.import_accuracies(database, [folder / "accuracies.csv"])
    imports.import_losses(database, sorted(folder.glob(packs)), CORPUS)


def stories(folder: Path, database: Path) -> Plan:
    """Store Natural Stories: word losses of 20 models, fitted with the words as units."""
    load_files(folder / "natural_stories", database, "losses.parquet")
    return Plan((), True, FitConfig(own_units=True))


def zoo(folder: Path, database: Path) -> Plan:
    """Store a zoo with its own splits by size and of closed source; its scorer if it has one."""
    load_files(folder, database, "losses/zoo/*.parquet")
    for name in ZOO_SPLITS:
        imports.import_split(database, folder / "splits" / f"{name}.csv", name)
    scorer = folder / "scorer"
    config = FitConfig(scorer=str(scorer)) if scorer.is_dir() else FitConfig()
    return Plan(ZOO_SPLITS, True, config)


TABLES: dict[str, Callable[[Path], Measured]] = {
    "items": items,
    "questions": questions,
    "corpora": corpora,
}
SETS = (*TABLES, "stories", "zoo")


def store_set(name: str, folder: Path, zoo_folder: Path, database: Path) -> Plan:
    """Store one of SETS in a new database; return how to compare it."""
    if name in TABLES:
        return stored_table(TABLES[name], folder, database)
    return stories(folder, database) if name == "stories" else zoo(zoo_folder, database)
