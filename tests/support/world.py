"""Tiny language models with random weights, and a made-up world of measurements; all seeded.

Nothing here is a measurement: the world's losses are drawn at random, and its accuracies follow
from them by a known law, so that a test can say what a fit must find.
"""

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from scipy.special import expit

from csvcore import store
from csvcore.formats import csv_tables, loss_packs
from csvcore.formats.manifest import Manifest
from csvcore.pipeline import imports
from csvcore.pipeline.collect import CollectConfig, collect, prepare
from csvcore.records import (
    Accuracy,
    Document,
    Fit,
    Floats,
    ModelCard,
    Prediction,
    Side,
    Task,
)

DOCS = (
    Document("sum-1", "sums", "Take 2 apples plus 6 apples = 8 apples.", ((29, 31),)),
    Document("sum-2", "sums", "Take 3 apples plus 4 apples = 7 apples.", ((29, 31),)),
    Document("sum-3", "sums", "Take 5 pears plus 4 pears = 9 pears. 猫!", ((27, 29),)),
    Document("note-1", "notes", "The cat sat on the mat and the cat ate the rat."),
    Document("note-2", "notes", "A naïve café owner sold the hat 🎩, then that bat."),
    Document("note-3", "notes", "猫は席に座った。 The other cat saw it, naturally."),
)
HOSTILE_NAME = "<img src=x onerror=window.hacked=1> **bold** [link](x) :red[r]"
TRAINING_TEXT = tuple(doc.text for doc in DOCS)


# Language models ---------------------------------------------------------------------------------


def save_gpt2(folder: Path, seed: int = 0) -> Path:
    """Save a one-layer GPT-2 whose byte-level tokenizer has EOS and no BOS."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TRAINING_TEXT, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>")
    tokenizer.save_pretrained(folder)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=64,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def save_llama(folder: Path, seed: int = 0) -> Path:
    """Save a one-layer Llama whose tokenizer puts BOS before every text."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))],
        limit_alphabet=30,
        show_progress=False,
    )
    core.train_from_iterator(TRAINING_TEXT, trainer)
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def copies(folder: Path, of: Path, *names: str) -> list[str]:
    """Copy a model's folder under these names."""
    return [str(shutil.copytree(of, folder / name)) for name in names]


def spoil(folder: Path | str, which: str = "", row: int | slice = slice(None)) -> str:
    """Make rows of a model's weights of this name, of all of them unless told, not a number."""
    from safetensors.numpy import load_file, save_file

    file = Path(folder) / "model.safetensors"
    weights = load_file(file)
    for name, values in weights.items():
        if which in name:
            values[row] = np.nan
    save_file(weights, file, metadata={"format": "pt"})
    return str(folder)


# A world of measurements -------------------------------------------------------------------------

READING = Task("reading", 0.0, "Reading")
ADDING = Task("adding", 0.25, "Adding", ("sums",))
READING_LAW = (-2.5, 2.0)  # alpha and beta on the all-token score, nats per character
THREE_FAMILIES = {"ant": "a", "bee": "a", "cow": "b", "dog": "b", "elk": "c", "fox": "c"}
ADDING_LAW = (-1.2, 2.5)  # alpha and beta on the mean nll of the answers' characters
SIDES: dict[str, Side] = {
    **dict.fromkeys(("ant", "bee", "cow", "dog", "elk", "fox"), "train"),
    **dict.fromkeys(("gnu", "hen"), "validation"),
    **dict.fromkeys(("jay", "kid", "owl"), "test"),
}


@dataclass(frozen=True)
class World:
    """Made-up models: nll[model][doc_id] is (n_chars,) nats, one token a character."""

    cards: list[ModelCard]
    nll: dict[str, dict[str, Floats]]
    accuracies: list[Accuracy]

    def accuracy(self, model: str, task: str) -> float:
        """Return the accuracy of one model on one task."""
        return next(a.accuracy for a in self.accuracies if (a.model, a.task) == (model, task))

    def all_token(self, model: str) -> float:
        """Total nll over characters, straight from the definition."""
        chars = sum(len(doc.text) for doc in DOCS)
        return float(sum(nll.sum() for nll in self.nll[model].values()) / chars)

    def answer_nll(self, model: str) -> float:
        """Total nll of the characters inside answers."""
        return float(
            sum(self.nll[model][doc.doc_id][a:b].sum() for doc in DOCS for a, b in doc.answers)
        )


def made_up_world(seed: int = 3) -> World:
    """Eleven models: `reading` follows the all-token score, `adding` the answers' nll alone.

    With this seed the tiny GPT-2 as scorer learns something of `adding` in a dozen steps.
    """
    rng = np.random.default_rng(seed)
    cards, nll, accuracies = [], {}, []
    shape = {doc.doc_id: rng.gamma(2.0, 0.5, len(doc.text)) for doc in DOCS}
    for index, model in enumerate(SIDES):
        family = "wild" if index % 2 else "tame"
        cards.append(ModelCard(model, family, 1000 * (index + 1), 5000, "base", None, "mit", "x/y"))
        general = rng.uniform(1.0, 3.0)
        nll[model] = {
            doc_id: np.float32(general * base * rng.gamma(20.0, 1 / 20, base.size)).astype(float)
            for doc_id, base in shape.items()
        }
        arithmetic = rng.uniform(0.5, 5.0)  # independent of all the rest
        for doc in DOCS:
            for start, end in doc.answers:
                nll[model][doc.doc_id][start:end] = np.float32(arithmetic)
    world = World(cards, nll, [])
    n_answer = sum(b - a for doc in DOCS for a, b in doc.answers)
    for model in SIDES:
        alpha, beta = READING_LAW
        accuracies.append(
            Accuracy(model, "reading", float(expit(alpha * (world.all_token(model) - beta))), 400)
        )
        alpha, beta = ADDING_LAW
        share = expit(alpha * (world.answer_nll(model) / n_answer - beta))
        accuracies.append(Accuracy(model, "adding", float(0.25 + 0.75 * share), None))
    return World(cards, nll, accuracies)


def pack_row(model: str, doc: Document, nll: Floats) -> dict[str, Any]:
    """Return a loss-pack row with one token per character."""
    ends = np.cumsum([len(char.encode()) for char in doc.text]).tolist()
    return {
        "model": model,
        "doc_id": doc.doc_id,
        "byte_start": [0, *ends[:-1]],
        "byte_end": ends,
        "nll": nll.tolist(),
        "token_id": None,
    }


def pack_rows(world: World, models: Iterable[str] = SIDES) -> list[dict[str, Any]]:
    """Rows of every document for these models."""
    return [pack_row(m, doc, world.nll[m][doc.doc_id]) for m in models for doc in DOCS]


def write_pack(path: Path, rows: Sequence[dict[str, Any]], sha256: str | None = None) -> Path:
    """Write a loss pack with a manifest for this corpus, by default the world's."""
    made = Manifest(weights_sha256="made-up", dtype="float32", engine="none")
    table = pa.Table.from_pylist(list(rows), schema=loss_packs.SCHEMA)
    names = dict.fromkeys((row["model"] for row in rows), made)
    loss_packs.write(path, table, sha256 or csv_tables.corpus_sha256(DOCS), names)
    return path


def write_csv(path: Path, header: str, rows: Iterable[Sequence[object]]) -> Path:
    """Write a CSV file; None becomes an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


def write_accuracies(path: Path, entries: Iterable[Accuracy]) -> Path:
    """Write an accuracies.csv."""
    rows = [[e.model, e.task, repr(e.accuracy), e.n_items] for e in entries]
    return write_csv(path, "model,task,accuracy,n_items", rows)


def write_split(path: Path, sides: dict[str, Any]) -> Path:
    """Write a split.csv."""
    return write_csv(path, "model,split", sides.items())


PACK = Path("losses") / "zoo" / "all.parquet"


def write_world(folder: Path, world: World) -> Path:
    """All files of a world, laid out as data/zoo is."""
    (folder / "splits").mkdir(parents=True)
    lines = [
        json.dumps({"doc_id": d.doc_id, "source": d.source, "text": d.text, "answers": d.answers})
        for d in DOCS
    ]
    (folder / "documents.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    header = "model,family,n_params,train_tokens,stage,step,license,origin"
    write_csv(
        folder / "models.csv",
        header,
        [[getattr(c, k) for k in header.split(",")] for c in world.cards],
    )
    tasks = [[t.task, t.chance, t.title, " ".join(t.sources)] for t in (READING, ADDING)]
    write_csv(folder / "tasks.csv", "task,chance,title,sources", tasks)
    write_accuracies(folder / "accuracies.csv", world.accuracies)
    write_split(folder / "splits" / "sides.csv", SIDES)
    (folder / "losses" / "zoo").mkdir(parents=True)
    write_pack(folder / PACK, pack_rows(world))
    (folder / "prose.jsonl").write_text(
        '{"doc_id": "p", "source": "prose", "text": "Rain."}\n', encoding="utf-8"
    )
    return folder


def import_world(database: Path, folder: Path) -> Path:
    """Import every file of a world's folder into a new database."""

    imports.init(database)
    imports.import_corpus(database, folder / "documents.jsonl", "words")
    imports.import_models(database, folder / "models.csv")
    imports.import_tasks(database, folder / "tasks.csv")
    imports.import_accuracies(database, [folder / "accuracies.csv"])
    imports.import_split(database, folder / "splits" / "sides.csv", "sides")
    imports.import_losses(database, [folder / PACK])
    return database


def collect_models(
    database: Path, names: Sequence[str], config: Any = None, corpus: str = "words", **more: Any
) -> list[Any]:
    """Prepare and collect, on the CPU unless told."""

    config = config or CollectConfig(device="cpu")
    return list(collect(prepare(database, names, corpus, config), **more))


def stored_losses(database: Path, model: str | None = None) -> list[tuple[Any, ...]]:
    """Rows of the losses, of one model without its name or of all with it, all else exact."""
    rows = contents(database)["losses"]
    if model is None:
        return rows
    return [(corpus, *rest) for corpus, name, *rest in rows if name == model]


def world_fit(db: store.Connection, name: str, task: str, left_out: Sequence[str] = ()) -> Fit:
    """Store a made-up fit of all models of the split but those left out; return it."""
    predictions = [
        Prediction(model, side, 1.0 + i, 0.5, 0.5, 0.4, 0.6)
        for i, (model, side) in enumerate(SIDES.items())
        if model not in left_out
    ]
    fit = Fit(
        name, "words", "sides", task, "csv", -1.0, 1.0, 0.0, 3, 1.0,
        {"train": 6, "validation": 2, "test": 3}, {"train": 0.1}, {},
        tuple(predictions), tuple(left_out),
    )  # fmt: skip
    edges = [np.array([0, doc.n_bytes]) for doc in DOCS]
    store.add_fit(db, fit, [doc.doc_id for doc in DOCS], edges, np.ones(len(DOCS)))
    return fit


def change(database: Path, *statements: str) -> None:
    """Make the database say something else."""
    with store.connect(database) as db:
        for statement in statements:
            db.execute(statement)


# accuracies of `reading` that no curve fits well
ALL_OR_NOTHING = (
    "UPDATE accuracies SET accuracy = CASE WHEN accuracy > 0.5 THEN 1 ELSE 0 END"
    " WHERE task = 'reading'"
)


def alternate(database: Path, models: Iterable[str]) -> None:
    """Make the accuracies of `reading` low and high in turn along these models."""
    for i, model in enumerate(models):
        change(
            database,
            f"UPDATE accuracies SET accuracy = {0.9 if i % 2 else 0.4} "
            f"WHERE model = '{model}' AND task = 'reading'",
        )


def stored_weights(database: Path, fit: str) -> list[tuple[Document, np.ndarray, np.ndarray]]:
    """For each document its token edges and their weights."""
    with store.connect(database, read_only=True) as db:
        rows = store.weights(db, fit).to_pylist()
    return [
        (doc, np.array([0, *row["byte_end"]]), np.array(row["weight"]))
        for doc, row in zip(DOCS, rows, strict=True)
    ]


def all_weights(database: Path, fit: str) -> np.ndarray:
    """Return the weights of every token, one document after another."""
    return np.concatenate([weight for _, _, weight in stored_weights(database, fit)])


def contents(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, to tell whether anything changed."""
    with duckdb.connect(str(database), read_only=True) as db:
        tables = [row[0] for row in db.execute("SHOW TABLES").fetchall()]
        return {name: db.execute(f"FROM {name} ORDER BY ALL").fetchall() for name in tables}
