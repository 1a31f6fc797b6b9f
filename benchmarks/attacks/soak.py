"""Writers, readers and servers on one database for a while: nothing is lost, half or for ever."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.attacks.found import HANG_SECONDS, Bounds, Child, Found
from tests.support.world import SIDES

Tally = tuple[int, list[str], list[float], list[str]]  # strikes, written names, waits, errors


def attack(
    world: Path, seconds: float, numbers: tuple[int, int, int], left: Bounds, seed: int
) -> Found:
    """Let processes write splits, read whole ones, and fetch pages, for some seconds.

    Args:
        world: a whole database, which is changed.
        seconds: at most.
        numbers: of writers, readers and servers; two clients fetch from a server.
        left: whether time is left.
        seed: of the pauses.
    """
    found = Found("soak")
    writers, readers, servers = numbers
    until = time.time() + (seconds if left() else 0.0)
    ports = [_free_port() for _ in range(servers)]
    running = [_serve(world, port) for port in ports]
    children = [Child.of(lambda k=k: _write(world, k, until, seed)) for k in range(writers)]  # type: ignore[misc]
    children += [Child.of(lambda: _read(world, until)) for _ in range(readers)]
    children += [Child.of(lambda port=port: _fetch(port, until)) for port in ports for _ in "ab"]  # type: ignore[misc]
    written: list[str] = []
    roles = ["a writer"] * writers + ["a reader"] * readers + ["a page"] * 2 * servers
    for role, child in zip(roles, children, strict=True):
        try:
            n, names, waits, errors = child.result(seconds + 4 * HANG_SECONDS)
        except RuntimeError as error:
            found.tracebacks += 1
            found.note(str(error))
            continue
        found.n += n
        written += names
        found.hangs += sum(wait > HANG_SECONDS for wait in waits)
        if max(waits, default=0.0) > HANG_SECONDS:
            found.note(f"{role} waited {max(waits):.0f} s")
        found.tracebacks += len(errors)
        for error in errors[:3]:
            found.note(error)
    for process in running:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            found.hangs += 1
            found.note("a server did not end within 30 s of SIGTERM")
            process.kill()
            process.wait()
    _check(found, world, written)
    return found


def _check(found: Found, world: Path, written: list[str]) -> None:
    def read() -> dict[str, int]:
        from csvcore import store

        with store.connect(world, read_only=True) as db:
            return {name: len(store.split(db, name)) for name in store.splits(db)}

    stored = Child.of(read).result()
    lost = [name for name in written if stored.get(name) != len(SIDES)]
    found.rows += len(lost)
    if lost:
        found.note(f"{len(lost)} of {len(written)} splits that were stored are lost, as {lost[0]}")


def _fault(who: str, error: Exception) -> list[str]:
    """Return an error that is no sentence; one that is took long, which counts as a hang."""
    from csvcore.errors import explained

    return [f"{who}: {error!r}"] if explained(error) is None else []


def _write(world: Path, number: int, until: float, seed: int) -> Tally:
    from csvcore import store

    rng = random.Random(seed + number)
    names, waits, errors = [], [], []
    while time.time() < until:
        name, started = f"soak-{number}-{len(names)}", time.monotonic()
        try:
            with store.connect(world) as db:
                store.add_split(db, name, dict(SIDES))
            names.append(name)
        except Exception as error:
            errors += _fault("a writer", error)
        waits.append(time.monotonic() - started)
        time.sleep(rng.uniform(0.0, 0.2))
    return len(waits), names, waits, errors


def _read(world: Path, until: float) -> Tally:
    from csvcore import store

    waits, errors = [], []
    while time.time() < until:
        started = time.monotonic()
        try:
            with store.connect(world, read_only=True) as db:
                sizes = {name: len(store.split(db, name)) for name in store.splits(db)}
            halves = [name for name, size in sizes.items() if size != len(SIDES)]
            errors += [f"a reader sees half a split: {name}" for name in halves]
        except Exception as error:
            errors += _fault("a reader", error)
        waits.append(time.monotonic() - started)
        time.sleep(0.05)
    return len(waits), [], waits, errors


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(world: Path, port: int) -> "subprocess.Popen[bytes]":
    command = "from csvcore.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "--db", str(world), "dashboard", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _fetch(port: int, until: float) -> Tally:
    waits, errors = [], []
    up = False
    while time.time() < until:
        started = time.monotonic()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                answer.read()
            up = True
            waits.append(time.monotonic() - started)
        except OSError as error:
            if up:  # not before it has started
                errors.append(f"a page: {error!r}")
        time.sleep(0.5)
    return len(waits), [], waits, errors
