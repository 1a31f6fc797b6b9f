"""Attacks on this machine alone: kills, fuzzed inputs, lying servers, hostile links, a soak.

    python -m benchmarks.attack --kills 100 --inputs 660 --guided 20 --servers 40 --soak 600

Prints what was found, a line an attack, and ends with status 1 if there was anything: tracebacks,
hangs over 30 s, lost or changed rows, foreign links. `--minutes` bounds all of it together. What it
does not reach in time it does not count.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.attacks import fuzz, guided, kills, links, servers, soak
from benchmarks.attacks.found import Child, Found
from tests.support import world


def main(arguments: list[str] | None = None) -> int:
    """Run the attacks; return 0 if they found nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="random kill -9")
    parser.add_argument("--inputs", type=int, default=660, help="fuzzed, over all readers")
    parser.add_argument("--guided", type=float, default=20.0, help="seconds, for each reader")
    parser.add_argument("--servers", type=int, default=40, help="that lie")
    parser.add_argument("--links", type=int, default=200, help="hostile names")
    parser.add_argument("--soak", type=float, default=600.0, help="seconds")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--dashboards", type=int, default=2, help="each read by two clients")
    parser.add_argument("--minutes", type=float, default=60.0, help="for everything together")
    parser.add_argument("--seed", type=int, default=0)
    how = parser.parse_args(arguments)
    ends = time.monotonic() + 60 * how.minutes
    ends_of_this = ends

    def left() -> bool:
        return time.monotonic() < ends_of_this

    clean = True
    with made_world() as (database, files, scratch):
        soaked = Path(shutil.copy(database, scratch / "soak.duckdb"))
        numbers = (how.writers, how.readers, how.dashboards)
        attacks: list[tuple[float, Callable[[], Found]]] = [  # a share of the time, and an attack
            (4, lambda: kills.attack(database, files, scratch, how.kills, left, how.seed)),
            (3, lambda: soak.attack(soaked, how.soak, numbers, left, how.seed)),
            (4, lambda: guided.attack(files, scratch, how.guided, left, how.seed)),
            # from here on this process itself opens databases, so that it must not fork any more
            (1, lambda: links.attack(how.links, left, how.seed)),
            (2, lambda: fuzz.attack(files, scratch, how.inputs, left, how.seed)),
            (2, lambda: servers.attack(database, files / "scorer", how.servers, left, how.seed)),
        ]
        for number, (share, attack) in enumerate(attacks):
            now, shares = time.monotonic(), sum(other for other, _ in attacks[number:])
            ends_of_this = now + (ends - now) * share / shares
            found = attack()
            sys.stdout.write(found.line() + "\n")
            for note in found.notes:
                sys.stdout.write(f"         {note}\n")
            sys.stdout.flush()
            clean &= found.clean
    return 0 if clean else 1


@contextmanager
def made_world() -> Iterator[tuple[Path, Path, Path]]:
    """Make a database, the files it is made of, and an empty folder, for a while."""
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        files, scratch = Path(folder) / "files", Path(folder) / "scratch"
        scratch.mkdir()
        database = Path(folder) / "world.duckdb"
        Child.of(lambda: _make(files, database)).result(300)
        yield database, files, scratch


def _make(files: Path, database: Path) -> None:
    made = world.made_up_world()
    world.write_world(files, made)
    world.import_world(database, files)
    world.save_gpt2(files / "scorer")
    world.write_pack(files / "more.parquet", world.pack_rows(made, ["ant", "bee"]))
    world.write_csv(
        files / "other.csv", "model,task,accuracy", [[name, "reading", 0.5] for name in world.SIDES]
    )


if __name__ == "__main__":
    sys.exit(main())
