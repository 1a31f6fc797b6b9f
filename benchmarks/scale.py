"""Wall time and peak memory of import, export, audit, coverage and a baseline's fit at scale.

    python benchmarks/scale.py --models 200 --tokens 500000 --folder FOLDER

Makes a corpus of the bundled zoo's words, cards, one task, a split and a loss pack, and runs the
commands of the command line on them, each in a process of its own, whose peak memory the system
tells. What is in FOLDER already is used again, but for the database.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from csvcore import lm
from csvcore.fitting.config import FitConfig
from csvcore.formats import csv_tables
from csvcore.formats.bundled import ZOO
from csvcore.formats.loss_packs import SCHEMA
from csvcore.formats.manifest import KEY, Manifest, PackManifest, encode_manifest

WORDS_OF_A_DOCUMENT = 100
TOKENS_OF_A_WORD = 1.93  # of the bundled scorer
N_FAMILIES = 10
COMMANDS = {
    "import": "import losses {folder}/pack.parquet",
    "import again": "import losses {folder}/pack.parquet",
    "doctor": "doctor",
    "export": "export losses --corpus large --out {folder}/out.parquet",
    "all-token fit": "fit --corpus large --split sides --task planted --method all-token --json",
}
COVERAGE = (
    "import sys; from pathlib import Path; from csvcore import store\n"
    "with store.connect(Path(sys.argv[1]), read_only=True) as db:\n"
    "    store.coverage_by_source(db, 'large'); store.missing_losses(db, 'large')\n"
    "    store.complete_models(db, 'large'); store.broken_losses(db, 'large')\n"
)


def make(folder: Path, n_models: int, n_tokens: int, n_scored: int | None = None) -> None:
    """Write the files of a world whose accuracy follows the mean loss.

    n_scored: models with losses, the first ones; all by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    words = " ".join(doc.text for doc in csv_tables.read_corpus(ZOO / "documents.jsonl")).split()
    n_words = int(n_tokens / TOKENS_OF_A_WORD)
    chosen = rng.choice(np.array(words[:20_000], dtype=object), n_words)
    parts = np.split(chosen, range(WORDS_OF_A_DOCUMENT, n_words, WORDS_OF_A_DOCUMENT))
    docs = [" ".join(part) for part in parts]
    with (folder / "documents.jsonl").open("w", encoding="utf-8") as stream:
        for number, doc in enumerate(docs):
            row = {"doc_id": f"d{number:06d}", "source": f"s{number % 5}", "text": doc}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    skill = np.random.default_rng(1).uniform(0, 1, n_models)
    names = [f"m{number:05d}" for number in range(n_models)]
    _table(
        folder / "models.csv", "model,family", [(n, f"f{i % N_FAMILIES}") for i, n in _of(names)]
    )
    _table(folder / "tasks.csv", "task,chance", [("planted", 0.25)])
    rows = [(n, "planted", round(0.25 + 0.7 * skill[i], 4)) for i, n in _of(names)]
    _table(folder / "accuracies.csv", "model,task,accuracy", rows)
    sides = ["train", "train", "validation", "train", "test"]
    _table(folder / "sides.csv", "model,split", [(n, sides[i % 5]) for i, n in _of(names)])
    _pack(folder, docs, names[:n_scored], skill[:n_scored], rng)


def _of(names: list[str]) -> list[tuple[int, str]]:
    return list(enumerate(names))


def _table(path: Path, header: str, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([header.split(","), *rows])


def _pack(
    folder: Path,
    docs: list[str],
    names: list[str],
    skill: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Write the loss pack, a model at a time; all have the tokens of the bundled scorer."""
    ends = [edges[1:].astype(np.int32) for edges in lm.token_edges(FitConfig().scorer, docs)]
    offsets = np.concatenate([[0], np.cumsum([end.size for end in ends])]).astype(np.int32)
    flat = {
        "byte_start": np.concatenate([[0, *end[:-1]] for end in ends]).astype(np.int32),
        "byte_end": np.concatenate(ends).astype(np.int32),
    }
    sha256 = csv_tables.corpus_sha256(csv_tables.read_corpus(folder / "documents.jsonl"))
    manifest = encode_manifest(PackManifest(sha256, {name: Manifest() for name in names}))
    schema = SCHEMA.with_metadata({KEY: manifest})
    base = rng.gamma(1.5, 1.3, int(offsets[-1]))
    with pq.ParquetWriter(folder / "pack.parquet", schema, compression="zstd") as writer:
        for name, level in zip(names, skill, strict=True):
            noise = rng.normal(0.0, 0.15, base.size)
            nll = (base * np.exp(noise - level)).astype(np.float32)
            columns = {
                "model": pa.array([name] * len(docs)),
                "doc_id": pa.array([f"d{number:06d}" for number in range(len(docs))]),
                **{key: pa.ListArray.from_arrays(offsets, value) for key, value in flat.items()},
                "nll": pa.ListArray.from_arrays(offsets, nll),
                "token_id": pa.nulls(len(docs), schema.field("token_id").type),
            }
            writer.write_table(
                pa.table(columns).cast(SCHEMA).replace_schema_metadata({KEY: manifest})
            )


def commands(folder: Path, corpus: str = "large") -> list[str]:
    """Return the commands that bring all of a folder but its losses into an empty database."""
    return [
        "init",
        f"import corpus {folder}/documents.jsonl --name {corpus}",
        f"import models {folder}/models.csv",
        f"import tasks {folder}/tasks.csv",
        f"import accuracies {folder}/accuracies.csv",
        f"import split {folder}/sides.csv --name sides",
    ]


def csvcore(database: Path, words: str) -> list[str]:
    """Return the command line of a command on a database."""
    call = "from csvcore.cli import main; main()"
    return [sys.executable, "-c", call, "--db", str(database), *words.split()]


def measured(command: list[str]) -> tuple[int, float, float, float, str]:
    """Run a command; return exit status, seconds, those of CPU, peak memory in MB, last line."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    lines = output.strip().splitlines() or [""]
    seconds = time.perf_counter() - started
    cpu = usage.ru_utime + usage.ru_stime
    return process.returncode, seconds, cpu, usage.ru_maxrss / 1024, lines[-1]


def main() -> None:
    """Make the files where they are missing, run the commands, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=200_000, help="of each model")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=[*COMMANDS, "coverage"], help="of a database")
    given = parser.parse_args()
    folder, database = given.folder, given.folder / "scale.duckdb"
    if not (folder / "pack.parquet").exists():
        make(folder, given.models, given.tokens)
    if not given.only:
        for path in folder.glob("scale.duckdb*"):
            if path.is_file():
                path.unlink()
        for words in commands(folder):
            subprocess.run(csvcore(database, words), check=True, stdout=subprocess.DEVNULL)
    size = (folder / "pack.parquet").stat().st_size / 1e6
    sys.stdout.write(f"a pack of {size:,.0f} MB\n")
    runs = {
        name: csvcore(database, words.format(folder=folder)) for name, words in COMMANDS.items()
    }
    runs["coverage"] = [sys.executable, "-c", COVERAGE, str(database)]
    for name, command in runs.items():
        if given.only and name not in given.only:
            continue
        status, seconds, cpu, megabytes, last = measured(command)
        took = f"{seconds:7.1f} s {cpu:7.1f} s of CPU {megabytes:7,.0f} MB"
        sys.stdout.write(f"{name:14} {took}  exit {status}  {last[:60]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
