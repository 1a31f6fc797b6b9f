"""The short form of `benchmarks/attack.py`; docs/reliability.md has the long one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.attacks import guided, readers
from tests.support import world

pytestmark = [pytest.mark.slow, pytest.mark.worker]
ROOT = Path(__file__).parents[2]


def test_a_short_attack_finds_nothing() -> None:
    """In a process of its own: it forks, and takes over the signals."""
    words = "--kills 4 --inputs 99 --guided 0 --servers 3 --links 50 --soak 5 --minutes 1"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.attack", *words.split(), "--dashboards", "0"],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0 tracebacks    0 hangs    0 lost or changed rows") == 6


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


def test_guided_fuzzing_counts_inputs_and_keeps_what_it_finds(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    world.write_world(tmp_path / "files", world.made_up_world())
    world.save_gpt2(tmp_path / "files" / "scorer")
    words = [str(tmp_path / "files"), str(tmp_path / "guided"), "1", "0", "split", "manifest"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.attacks.guided", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in found] == ["split", "manifest"], done.stderr[-2000:]
    assert all(one["n"] > 50 for one in found)
    assert not any(one["tracebacks"] or one["hangs"] for one in found), found
    assert len(list((tmp_path / "guided" / "split" / "inputs").iterdir())) > 1


def test_a_forks_findings_and_its_end_are_counted(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("#12 NEW\nDone 34 runs in 1 second(s)\n")
    (tmp_path / "found.txt").write_text("tracebacks x: KeyError('a')\nhangs x: longer\n")
    pid = os.fork()
    if not pid:
        os._exit(77)
    found = guided._waited("x", pid, tmp_path, 20.0)
    assert (found.n, found.tracebacks, found.hangs) == (34, 2, 1)
    assert found.notes[:2] == ["x: KeyError('a')", "x: longer"]
    assert found.notes[2].startswith("x: its process ended with 77: ")
