"""The paper's evidence, recomputed on the bundled zoo: `python benchmarks/evidence [PART]...`.

Measures what the paper's tables and figures show and a few things they leave open, and writes
data/evidence/ (numbers as JSON, the points of figures as Parquet), docs/evidence/ (figures as PNG)
and the tables of docs/evidence.md. Fits are kept in a database, so that what was done is not done
again.
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import figures
import measure
import page

from csvcore.formats import bundled
from csvcore.pipeline import imports

DOCS = Path(__file__).parents[2] / "docs"
PARTS: dict[str, Callable[[Path], object]] = {
    "splits": measure.splits,
    "families": measure.families,
    "steps": measure.steps,
    "mixes": measure.mixes,
    "highlights": measure.highlights,
    "ablations": measure.ablations,
    "capabilities": measure.capabilities,
}


def main() -> None:
    """Measure the parts named, all of them by default, then draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, default=Path("evidence.duckdb"), help="keeps the fits")
    parser.add_argument("part", nargs="*", choices=[*PARTS, "page", []], help="default: all")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    imports.init(options.db, zoo=True)
    data = bundled.folder("evidence")
    chosen = [name for name in PARTS if not options.part or name in options.part]
    for name in chosen:
        logging.info("measuring %s", name)
        measure.write(data / f"{name}.json", PARTS[name](options.db))
    figures.draw(options.db, chosen, data, DOCS / "evidence")
    page.write(DOCS / "evidence.md", data)


if __name__ == "__main__":
    main()
