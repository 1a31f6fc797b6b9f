"""The short form of `benchmarks/attack.py`; docs/reliability.md has the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.worker]
ROOT = Path(__file__).parents[2]


def test_a_short_attack_finds_nothing() -> None:
    """In a process of its own: it forks, and takes over the signals."""
    words = "--kills 4 --inputs 105 --servers 3 --links 50 --soak 5 --minutes 1 --dashboards 0"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.attack", *words.split()],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0 tracebacks    0 hangs    0 lost or changed rows") == 5
