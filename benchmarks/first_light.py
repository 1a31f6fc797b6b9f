"""What the README says of the bundled zoo, from nothing: `python benchmarks/first_light.py`.

Makes a database in a temporary folder, runs the commands a user would, and prints seconds, the
table of `csvcore compare`, where the weight of the arithmetic fit lies, and the same table where a
whole family is left out of the fit.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from csvcore import salience, splits, store

COMMAND = [sys.executable, "-c", "from csvcore.cli import main; main()"]
SHARED = ["--corpus", "zoo", "--split", "by-size"]
LEFT_OUT = "canton"


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


def main() -> None:
    """Run everything in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "zoo.duckdb"
        run(database, "init", "--zoo")
        run(database, "fit", *SHARED, "--method", "csv", "--json")
        table = run(database, "compare", *SHARED)
        print(table)
        with store.connect(database, read_only=True) as db:
            fits = store.fits(db).query("method == 'csv'").set_index("task")["fit"]
        for task in ("arithmetic",):
            results, others = result_weight(database, fits[task], task)
            print(
                f"{task}: mean weight of result tokens {results:.2f}, of the others {others:.2f},"
                f" ratio {results / others:.2f}"
            )
        with store.connect(database) as db:
            split = splits.leave_one_family_out(store.models(db), LEFT_OUT)
            store.add_split(db, f"without-{LEFT_OUT}", split)
        print(run(database, "compare", "--corpus", "zoo", "--split", f"without-{LEFT_OUT}"))


if __name__ == "__main__":
    main()
