"""Coverage-guided fuzzing with atheris over every reader, beside the mutations of `fuzz`.

    python -m benchmarks.attacks.guided FILES FOLDER SECONDS SEED [READER ...]

Prints a line of JSON a reader. FILES: see `readers`. FOLDER: of the inputs that reached new code
and of logs. Each reader is fuzzed in a fork, since atheris ends the process that it fuzzes in.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.attacks.found import HANG_SECONDS, Bounds, Found, strike

INSTRUMENTED = ["csvcore", "gguf", "tomllib"]  # what reads in Python
FOUND, LOG = "found.txt", "log.txt"
SENT = ("n", "tracebacks", "hangs")


def attack(files: Path, scratch: Path, seconds: float, left: Bounds, seed: int) -> Found:
    """Fuzz each reader for some seconds, or all until no time is left."""
    found = Found("guided")
    if not seconds:
        return found
    words = [str(files), str(scratch / "guided"), str(seconds), str(seed)]
    command = [sys.executable, "-m", "benchmarks.attacks.guided", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for line in process.stdout:
            one = json.loads(line)
            for key in SENT:
                setattr(found, key, getattr(found, key) + one[key])
            for note in one["notes"]:
                found.note(note)
            if not left():
                process.kill()
                return found
    if process.returncode:
        found.tracebacks += 1
        found.note(f"its process ended with {process.returncode}")
    return found


def main(words: list[str]) -> None:
    """Fuzz all readers, or those that the arguments name, and print what was found."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from benchmarks.attacks.readers import readers

        files, folder, seconds, seed, *names = words
        known = readers(Path(files))
    for name in names or known:
        place = Path(folder) / name
        place.mkdir(parents=True)
        flags = [f"-max_total_time={float(seconds):.0f}", f"-seed={int(seed) + 1}"]
        pid = os.fork()
        if not pid:
            _fuzz(name, known[name], place, flags)
        found = _waited(name, pid, place, float(seconds) + 2 * HANG_SECONDS)
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
        sys.stdout.flush()


def _fuzz(name: str, reader: Any, place: Path, flags: list[str]) -> None:
    """Fuzz a reader (`readers.Reader`), and end the process."""
    import atheris

    with (place / LOG).open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    inputs, path = place / "inputs", place / reader.file
    inputs.mkdir()
    (inputs / "good").write_bytes(reader.good)
    told: set[str] = set()

    def run(content: bytes) -> None:
        path.write_bytes(content)
        found = Found(name)
        strike(found, name, lambda: reader.read(path))
        new = {note.replace("\n", " ") for note in found.notes} - told
        if new:
            told.update(new)
            kind = "hangs" if found.hangs else "tracebacks"
            (place / f"found-{len(told)}").write_bytes(content)
            with (place / FOUND).open("a", encoding="utf-8") as stream:
                stream.writelines(f"{kind} {note}\n" for note in new)

    # no time limit of libFuzzer's: its alarm would be in the way of the one that `strike` sets
    fixed = [str(inputs), "-timeout=0", f"-artifact_prefix={place}/"]
    atheris.Setup([sys.argv[0], *fixed, *flags], run)
    atheris.Fuzz()


def _waited(name: str, pid: int, place: Path, seconds: float) -> Found:
    """Return what was found by a fork, once it has ended."""
    found, until, status = Found(name), time.monotonic() + seconds, None
    while status is None and time.monotonic() < until:
        time.sleep(0.1)
        ended, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if ended else None
    if status is None:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        found.hangs += 1
        found.note(f"{name}: its process does not end")
    said = (place / LOG).read_text(encoding="utf-8", errors="replace")
    n_runs = re.findall(r"^(?:Done |#)(\d+)", said, re.MULTILINE)
    found.n = int(n_runs[-1]) if n_runs else 0
    notes = place / FOUND
    for line in notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []:
        kind, _, note = line.partition(" ")
        setattr(found, kind, getattr(found, kind) + 1)
        found.note(note)
    if status:
        found.tracebacks += 1
        found.note(f"{name}: its process ended with {status}: {said.strip()[-200:]}")
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
