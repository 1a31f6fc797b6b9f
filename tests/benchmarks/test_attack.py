"""The short form of `benchmarks/attack.py`; docs/reliability.md has the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.attacks import readers
from tests.support import world

pytestmark = [pytest.mark.slow, pytest.mark.worker]
ROOT = Path(__file__).parents[2]


def test_a_short_attack_finds_nothing() -> None:
    """In a process of its own: it forks, and takes over the signals."""
    words = "--kills 4 --inputs 99 --servers 3 --links 50 --soak 5 --minutes 1 --dashboards 0"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.attack", *words.split()],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0 tracebacks    0 hangs    0 lost or changed rows") == 5


def test_every_reader_takes_its_good_file(tmp_path: Path) -> None:
    """A reader that refuses the good file would refuse what is made of it for the same reason."""
    world.write_world(tmp_path / "files", world.made_up_world())
    world.save_gpt2(tmp_path / "files" / "scorer")
    for name, reader in readers.readers(tmp_path / "files").items():
        path = tmp_path / name / reader.file
        path.parent.mkdir()
        path.write_bytes(reader.good)
        found = reader.read(path)
        assert found is not None or name in ("zip", "job", "queue", "database"), name
