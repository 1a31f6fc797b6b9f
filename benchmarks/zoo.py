"""What the README says of the bundled zoo, from nothing: `python benchmarks/zoo.py`.

Makes a database in a temporary folder, runs the commands a user would, and prints seconds, the
tables of `csvcore compare` (second order with the permutation control, and the paper's loop) and
`csvcore leave-one-family-out`, test MSE of all-token over CSV, the coverage of the 90 % intervals,
and where the weight of the arithmetic fit lies.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from csvcore import salience, store

COMMAND = [sys.executable, "-c", "from csvcore.cli import main; main()"]
SHARED = ["--corpus", "zoo", "--split", "by-size"]
PERMUTATIONS = 200
BASELINES = ("all-token", "label-token", "source-token")


def run(database: Path, *arguments: str) -> str:
    """Standard output of a csvcore command; prints its wall seconds."""
    started = time.perf_counter()
    done = subprocess.run(
        [*COMMAND, "--db", str(database), *arguments], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    print(f"{seconds:6.1f} s  csvcore {' '.join(arguments)}")
    return done.stdout


def result_weight(database: Path, fit: str, source: str) -> tuple[float, float]:
    """Mean weight of result tokens of a source, and of its other tokens."""
    with store.connect(database, read_only=True) as db:
        table = store.weights(db, fit)
        texts = {d.doc_id: d for d in store.documents(db, store.fit(db, fit).corpus)}
    weight: list[float] = []
    is_result: list[bool] = []
    for row in table.to_pylist():
        doc = texts[row["doc_id"]]
        if doc.source == source:
            ends = np.array(row["byte_end"])
            starts = np.concatenate([[0], ends[:-1]])
            is_result += salience.touches(starts, ends, salience.result_bytes(doc.text)).tolist()
            weight += row["weight"]
    values, hit = np.array(weight), np.array(is_result)
    return float(values[hit].mean()), float(values[~hit].mean())


def summary(rows: list[dict[str, Any]], key: str) -> None:
    """CSV beside the baselines for every task and value of key."""
    mse = {(row[key], row["task"], row["method"]): row["test_mse"] for row in rows}
    floor = {(row[key], row["task"]): row["noise_floor"] for row in rows}
    for place, task in floor:
        own = mse[place, task, "csv"]
        best = min(mse[place, task, method] for method in BASELINES)
        print(
            f"{place}, {task}: csv {own:.2e}; all-token / csv "
            f"{mse[place, task, 'all-token'] / own:.2f}, best of the three baselines / csv "
            f"{best / own:.2f}, csv / noise floor {own / floor[place, task]:.1f}"
        )
    for method in ("csv", *BASELINES):
        covered = [(row["covered"], row["n_test"]) for row in rows if row["method"] == method]
        share = sum(c * n for c, n in covered) / sum(n for _, n in covered)
        print(f"90 % intervals of {method} hold {share:.0%} of {sum(n for _, n in covered)} cases")


def main() -> None:
    """Run everything in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "zoo.duckdb"
        run(database, "init", "--zoo")
        run(database, "fit", *SHARED)  # with the scorer's pass over the texts
        print(run(database, "fit", *SHARED))
        print(run(database, "fit", *SHARED, "--algorithm", "paper"))
        controlled = ["--permutations", str(PERMUTATIONS)]
        print(run(database, "compare", *SHARED, *controlled))
        rows = json.loads(run(database, "compare", *SHARED, *controlled, "--json"))["rows"]
        summary([row | {"split": "by-size"} for row in rows], "split")
        name = next(r["fit"] for r in rows if (r["task"], r["method"]) == ("arithmetic", "csv"))
        results, others = result_weight(database, name, "arithmetic")
        print(
            f"arithmetic: mean weight of result tokens {results:.2f}, of the others {others:.2f}, "
            f"ratio {results / others:.2f}"
        )
        left_out = ["leave-one-family-out", "--corpus", "zoo"]
        print(run(database, *left_out))
        summary(json.loads(run(database, *left_out, "--json"))["rows"], "family")


if __name__ == "__main__":
    main()
