"""Writes what the dashboard ships: corpus, cards, accuracies, losses, split and scorer."""

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from csvcore import pipeline, store
from csvcore.records import Document, ModelCard
from zoo_build import corpus, partitions
from zoo_build.families import FAMILIES
from zoo_build.tasks import TASKS, chance

SCORER = "abacus-m"


def publish(checkpoints: Sequence[Path], work: Path, zoo: Path) -> None:
    """Score the corpus with every checkpoint (resumable) and write all files of the zoo."""
    zoo.mkdir(exist_ok=True)
    write_documents(zoo / "documents.jsonl", corpus.validation_corpus())
    write_documents(zoo / "prose.jsonl", corpus.prose_corpus())
    cards = [card(folder) for folder in checkpoints]
    write_csv(
        zoo / "models.csv",
        ("model", "family", "n_params", "train_tokens", "stage", "step", "license", "origin"),
        ([c.model, c.family, c.n_params, c.train_tokens, c.stage, c.step, c.license, c.origin]
         for c in cards),
    )  # fmt: skip
    write_csv(
        zoo / "tasks.csv",
        ("task", "chance", "title", "sources"),
        ([name, round(chance(task), 4), task.title, task.source]
         for name, task in TASKS.items()),
    )  # fmt: skip
    write_csv(
        zoo / "accuracies.csv",
        ("model", "task", "accuracy", "n_items"),
        ([folder.name, task, round(value, 6), n_items]
         for folder in checkpoints
         for task, (value, n_items) in json.loads((folder / "accuracy.json").read_text()).items()),
    )  # fmt: skip
    (zoo / "splits").mkdir(exist_ok=True)
    for name, split in partitions.all_splits(cards).items():
        write_csv(zoo / "splits" / f"{name}.csv", ("model", "split"), split.items())
    write_scorer(
        max((c for c in checkpoints if c.parent.name == SCORER), key=step_of), zoo / "scorer"
    )
    write_losses(checkpoints, work / "losses.duckdb", zoo)


def step_of(folder: Path) -> int:
    """Optimiser steps of a checkpoint."""
    return int(folder.name.rpartition("step")[2])


def card(folder: Path) -> ModelCard:
    """What the zoo knows of a checkpoint; n_params counts embeddings, tied ones once."""
    with folder.joinpath("config.json").open() as file:
        kind = json.load(file)["model_type"]
    family = next(f for f in FAMILIES if folder.parent.name.startswith(f"{f.name}-"))
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    return ModelCard(
        model=folder.name,
        family=family.name,
        n_params=sum(p.numel() for p in model.parameters()),
        train_tokens=step_of(folder) * family.batch * family.context,
        stage="base",
        step=step_of(folder),
        license="Apache-2.0",
        origin=f"zoo_build, {kind}",
    )


def write_documents(path: Path, docs: Iterable[Document]) -> None:
    """A corpus as JSONL."""
    lines = [
        json.dumps(
            {"doc_id": d.doc_id, "source": d.source, "text": d.text, "answers": d.answers},
            ensure_ascii=False,
        )
        for d in docs
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file; None becomes an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_scorer(checkpoint: Path, folder: Path) -> None:
    """The scoring model: one of the zoo's own, weights as safetensors."""
    shutil.rmtree(folder, ignore_errors=True)
    AutoModelForCausalLM.from_pretrained(checkpoint).save_pretrained(folder)
    PreTrainedTokenizerFast.from_pretrained(checkpoint).save_pretrained(folder)


def write_losses(checkpoints: Sequence[Path], database: Path, zoo: Path) -> None:
    """Collect every checkpoint's losses as a user would, and write them as one pack."""
    store.create(database)
    pipeline.import_corpus(database, zoo / "documents.jsonl", "zoo")
    pipeline.import_models(database, zoo / "models.csv")
    names = [str(folder) for folder in checkpoints]
    config = pipeline.CollectConfig(device="cpu")
    collection = pipeline.prepare(database, names, "zoo", config)
    for found in tqdm(pipeline.collect(collection), total=len(names), unit="model"):
        if found.status == "failed":
            raise SystemExit(f"{found.model}: {found.message}")
    pipeline.export_losses(
        database, "zoo", [folder.name for folder in checkpoints], zoo / "losses.parquet"
    )
