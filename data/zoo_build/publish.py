"""Writes what the dashboard ships: corpus, cards, accuracies, losses, split and scorer."""

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from csvcore import store
from csvcore.formats import bundled, loss_packs
from csvcore.pipeline import collect, exports, imports
from csvcore.records import Document, ModelCard
from zoo_build import corpus, partitions
from zoo_build.families import FAMILIES
from zoo_build.tasks import TASKS, chance

SCORER = "abacus-m"
SHIPPED = ("ebb-xs", "ebb-s", "ebb-m")  # models that come along, to collect from
QUANTUM, SIGNIFICANT_BITS = 2.0**-10, 8  # of the losses that come along, in nats


def publish(checkpoints: Sequence[Path], work: Path, zoo: Path) -> None:
    """Score both corpora with every checkpoint (resumable) and write all files of the zoo."""
    zoo.mkdir(exist_ok=True)
    for file, docs in (
        ("documents.jsonl", corpus.validation_corpus()),
        ("prose.jsonl", corpus.prose_corpus()),
    ):
        write_documents(zoo / file, docs)
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
    last = {folder.parent.name: folder for folder in sorted(checkpoints, key=step_of)}
    copy_model(last[SCORER], zoo / "scorer")
    for run in SHIPPED:
        copy_model(last[run], zoo / "models" / run)
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


def copy_model(checkpoint: Path, folder: Path) -> None:
    """A checkpoint that transformers loads, weights as safetensors."""
    shutil.rmtree(folder, ignore_errors=True)
    AutoModelForCausalLM.from_pretrained(checkpoint).save_pretrained(folder)
    PreTrainedTokenizerFast.from_pretrained(checkpoint).save_pretrained(folder)


def write_losses(checkpoints: Sequence[Path], database: Path, zoo: Path) -> None:
    """Collect every checkpoint's losses as a user would; a pack for each corpus and run."""
    store.create(database)
    imports.import_models(database, zoo / "models.csv")
    for name, file in bundled.ZOO_CORPORA.items():
        imports.import_corpus(database, zoo / file, name)
        config = collect.CollectConfig(device="cpu")
        folders = [str(folder) for folder in checkpoints]
        collection = collect.prepare(database, folders, name, config)
        for found in tqdm(collect.collect(collection), total=len(folders), unit="model"):
            if found.status == "failed":
                raise SystemExit(f"{found.model}: {found.message}")
        for run in dict.fromkeys(folder.parent.name for folder in checkpoints):
            own = [folder.name for folder in checkpoints if folder.parent.name == run]
            out = zoo / "losses" / name / f"{run}.parquet"
            out.parent.mkdir(parents=True, exist_ok=True)
            exports.export_losses(database, name, own, out)
            shorten(out)


def shorten(path: Path) -> None:
    """Round the losses of a pack and drop its token ids: a quarter of the bytes."""
    pack = loss_packs.read(path)
    nll = pack.table["nll"].combine_chunks()
    values = pa.array(rounded(nll.flatten().to_numpy()), type=pa.float32())
    nothing = pa.nulls(len(pack.table), loss_packs.SCHEMA.field("token_id").type)
    table = pack.table.drop_columns(["nll", "token_id"])
    table = table.append_column("nll", pa.ListArray.from_arrays(nll.offsets, values))
    table = table.append_column("token_id", nothing)
    manifest = pack.manifest or {}
    loss_packs.write(path, table, manifest["corpus_sha256"], manifest["models"])


def rounded(nll: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiples of QUANTUM nats that have at most SIGNIFICANT_BITS bits."""
    _, exponent = np.frexp(nll)
    step = np.maximum(QUANTUM, np.ldexp(1.0, exponent - SIGNIFICANT_BITS))
    return np.asarray(np.rint(nll / step) * step, dtype=np.float32)
