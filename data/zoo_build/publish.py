"""Publication of the bundled zoo: corpora, cards, accuracies, losses, splits and scorer."""

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from csvcore import store
from csvcore.formats import bundled, csv_tables, loss_packs
from csvcore.pipeline import collect, exports, imports
from csvcore.records import Document, ModelCard
from zoo_build import corpus, partitions
from zoo_build.families import Run, all_runs
from zoo_build.tasks import TASKS, chance

SCORER = "abacus-l"
SHIPPED = ("ebb-xs", "ebb-s", "ebb-l")  # models that come along, to collect from
QUANTUM, SIGNIFICANT_BITS = 2.0**-10, 8  # of the losses that come along, in nats
CARD = ("model", "family", "n_params", "train_tokens", "stage", "step", "license", "origin", "run")
ITEMS = pa.schema(
    [("model", pa.string()), ("task", pa.string()), ("item", pa.int16()), ("correct", pa.int8())]
)


def publish(runs: Sequence[Run], work: Path, zoo: Path) -> None:
    """Write all files of the zoo from finished runs; score both corpora with their checkpoints.

    Existing files of other runs are kept, so a zoo can be extended run by run.
    """
    zoo.mkdir(exist_ok=True)
    for file, docs in (
        ("documents.jsonl", corpus.validation_corpus()),
        ("prose.jsonl", corpus.prose_corpus()),
    ):
        write_documents(zoo / file, docs)
    folders = [
        (run, [work / "runs" / run.name / f"{run.name}-step{step}" for step in run.steps])
        for run in runs
    ]
    new = [card(run, folder) for run, steps in folders for folder in steps]
    names = {entry.model for entry in new}
    kept = csv_tables.read_models(zoo / "models.csv") if (zoo / "models.csv").exists() else []
    order = {run.name: number for number, run in enumerate(all_runs())}
    cards = [*new, *(entry for entry in kept if entry.model not in names)]
    cards.sort(key=lambda entry: (order[entry.model.rpartition("-step")[0]], entry.step or 0))
    write_csv(
        zoo / "models.csv", CARD, ([getattr(entry, name) for name in CARD] for entry in cards)
    )
    write_csv(
        zoo / "tasks.csv",
        ("task", "chance", "title", "sources"),
        ([name, round(chance(task), 4), task.title, task.source]
         for name, task in TASKS.items()),
    )  # fmt: skip
    write_items([folder for _, steps in folders for folder in steps], zoo)
    (zoo / "splits").mkdir(exist_ok=True)
    for name, split in partitions.all_splits(cards).items():
        write_csv(zoo / "splits" / f"{name}.csv", ("model", "split"), split.items())
    for run, steps in folders:
        if run.name == SCORER:
            copy_model(steps[-1], zoo / "scorer")
        if run.name in SHIPPED:
            copy_model(steps[-1], zoo / "models" / run.name)
        write_losses(steps, work / "losses.duckdb", zoo, run.name)


def write_items(folders: Sequence[Path], zoo: Path) -> None:
    """Write item results of these checkpoints, with accuracies and counts computed from them."""
    path = zoo / "items.parquet"
    rows: list[pa.Table] = []
    if path.exists():
        table = pq.read_table(path, schema=ITEMS)
        new = pa.array([folder.name for folder in folders], type=pa.string())
        rows.append(table.filter(pc.invert(pc.is_in(table["model"], value_set=new))))
    for folder in folders:
        for task, correct in json.loads((folder / "items.json").read_text()).items():
            n = len(correct)
            columns = [[folder.name] * n, [task] * n, range(n), [int(digit) for digit in correct]]
            rows.append(pa.table(dict(zip(ITEMS.names, columns, strict=True)), schema=ITEMS))
    whole = pa.concat_tables(rows).sort_by([("model", "ascending"), ("task", "ascending"),
                                            ("item", "ascending")])  # fmt: skip
    pq.write_table(whole, path, compression="zstd", compression_level=19)
    means = whole.group_by(["model", "task"]).aggregate([("correct", "mean"), ("correct", "count")])
    write_csv(
        zoo / "accuracies.csv",
        ("model", "task", "accuracy", "n_items"),
        sorted(
            [row["model"], row["task"], round(row["correct_mean"], 6), row["correct_count"]]
            for row in means.to_pylist()
        ),
    )


def card(run: Run, folder: Path) -> ModelCard:
    """Return the model card of a checkpoint; n_params counts tied embeddings once."""
    with folder.joinpath("config.json").open() as file:
        kind = json.load(file)["model_type"]
    step = int(folder.name.rpartition("step")[2])
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    return ModelCard(
        model=folder.name,
        family=run.family.name,
        n_params=sum(p.numel() for p in model.parameters()),
        train_tokens=step * run.family.batch * run.family.context,
        stage="decayed" if run.decayed else "stable",
        step=step,
        license="Apache-2.0",
        origin=f"zoo_build, {kind}",
        run=f"seed{run.repeat + 1}" if run.repeat else None,
    )


def write_documents(path: Path, docs: Iterable[Document]) -> None:
    """Write a corpus as JSONL."""
    lines = [
        json.dumps(
            {"doc_id": d.doc_id, "source": d.source, "text": d.text, "answers": d.answers}
            | ({"results": d.results} if d.results else {}),
            ensure_ascii=False,
        )
        for d in docs
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file; None becomes an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def copy_model(checkpoint: Path, folder: Path) -> None:
    """Copy a checkpoint in transformers' format, with weights as safetensors."""
    shutil.rmtree(folder, ignore_errors=True)
    AutoModelForCausalLM.from_pretrained(checkpoint).save_pretrained(folder)
    PreTrainedTokenizerFast.from_pretrained(checkpoint).save_pretrained(folder)


def write_losses(folders: Sequence[Path], database: Path, zoo: Path, run: str) -> None:
    """Collect a run's losses by the product's pipeline; write a pack for each corpus."""
    store.create(database)
    imports.import_models(database, zoo / "models.csv")
    for name, file in bundled.ZOO_CORPORA.items():
        imports.import_corpus(database, zoo / file, name)
        config = collect.CollectConfig(device="cpu")
        collection = collect.prepare(database, [str(folder) for folder in folders], name, config)
        for result in tqdm(collect.collect(collection), total=len(folders), unit="model"):
            if result.status == "failed":
                raise SystemExit(f"{result.model}: {result.message}")
        out = zoo / "losses" / name / f"{run}.parquet"
        out.parent.mkdir(parents=True, exist_ok=True)
        exports.export_losses(database, name, [folder.name for folder in folders], out)
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
    assert pack.manifest is not None and pack.manifest.corpus_sha256 is not None
    loss_packs.write(path, table, pack.manifest.corpus_sha256, pack.models)


def rounded(nll: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round losses to multiples of QUANTUM nats with at most SIGNIFICANT_BITS bits."""
    _, exponent = np.frexp(nll)
    step = np.maximum(QUANTUM, np.ldexp(1.0, exponent - SIGNIFICANT_BITS))
    return np.asarray(np.rint(nll / step) * step, dtype=np.float32)
