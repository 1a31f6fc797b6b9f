"""How good every method is on real measurements: `python benchmarks/real_data.py FOLDER [NAME...]`.

FOLDER holds `gemstones/` (mcleish7/gemstone-scaling-laws, MIT: 770 checkpoints of 22 model shapes,
losses of single benchmark items and of MMLU questions with their text), `open_lm_scaling/`
(mlfoundations/scaling, MIT: 104 models of three training corpora, 8 corpus losses) and
`natural_stories/` (kuribayashi4/llm-cognitive-modeling, MIT; the text CC BY-NC-SA 4.0: word losses
of 20 models of 125 M to 70 B parameters). Nothing of it is copied into the repository. The bundled
zoo is the last set.

NAMES: items, questions, corpora, stories, zoo; all of them without any. Every set is imported into
a database of its own and compared on each of its splits, as `csvcore compare` and
`csvcore leave-one-family-out` do. The summary then sets each method beside the best simple method
of each case, chosen with hindsight; a case is a task on a split.
"""

import argparse
import json
import logging
import multiprocessing
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path

from public_data import sources, summary
from public_data.measure import SetResult, measure

import csvcore
from csvcore.formats.bundled import ZOO


def main() -> None:
    """Print the tables of all sets named, or of all, and the summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", nargs="*", choices=[*sources.SETS, []], help="default: all")
    parser.add_argument("--zoo", type=Path, default=ZOO, help="another zoo than the bundled one")
    parser.add_argument("--json", type=Path, help="also write all rows and the summary here")
    parser.add_argument("--workers", type=int, default=1, help="sets that are measured at once")
    options = parser.parse_args()
    names = options.name or sources.SETS
    results: list[SetResult] = []
    one = partial(measure, folder=options.folder, zoo=options.zoo)
    started = circumstances()
    print(started, flush=True)
    with ProcessPoolExecutor(
        options.workers, multiprocessing.get_context("spawn"), initializer=log_to_stderr
    ) as pool:
        for result in pool.map(one, names):
            print(result.text, flush=True)
            results.append(result)
            if options.json is not None:
                write_json(options.json, started, results)  # what is measured so far
    cases = [case for result in results for case in result.cases]
    print(summary.text(cases))
    print(seconds_line(results))


def log_to_stderr() -> None:
    """Show what is measured, and the warnings of csvcore."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("public_data").setLevel(logging.INFO)


def circumstances() -> str:
    """Return the code that is measured, versions, and the machine's size and load in a line."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("csvcore", "numpy", "torch"))
    load = os.getloadavg()[0]
    return (
        f"csvcore at {checkout()}; {packages}, Python {platform.python_version()}; "
        f"{time.strftime('%Y-%m-%d')}, load average {load:.1f} on {os.cpu_count()} cores"
    )


def checkout() -> str:
    """Return the commit of the csvcore that is imported, and whether files were changed since.

    It need not be the one beside this file, but for example an installed one.
    """
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=Path(csvcore.__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() if told.returncode == 0 else "no git checkout"


def seconds_line(results: Sequence[SetResult]) -> str:
    """Return the time that each set took in a line."""
    return "time: " + ", ".join(f"{result.name} {result.seconds:.0f} s" for result in results)


def write_json(path: Path, started: str, results: Sequence[SetResult]) -> None:
    """Write the circumstances at the start, the sets, all rows and the summary."""
    cases = [case for result in results for case in result.cases]
    record = {
        "circumstances": started,
        "sets": [
            {
                "set": result.name,
                "n_models": result.n_models,
                "n_documents": result.n_docs,
                "seconds": round(result.seconds, 1),
            }
            for result in results
        ],
        "rows": [row for result in results for row in result.rows],
        "medians": [row for result in results for row in result.medians],
        "summary": [asdict(row) for row in summary.every_scope(cases)],
    }
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
