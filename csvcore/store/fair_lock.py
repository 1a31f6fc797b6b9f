"""A lock between processes that they get in the order of their arrival.

Everyone who wants it locks a byte of the lock file, its place, and has the lock when the bytes
before can be locked as well. Those who share it lock bytes to read, the others to write, so that
neighbours who share have it together. The kernel keeps these locks ("open file description locks"
of fcntl(2)) and drops those of a process that ends, however it ends: the dead are in nobody's way
and leave nothing behind.
"""

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FLOCK = "hhqqi0q"  # struct flock: kind, what start counts from, start, length (0: all), process
FIRST = 1  # place in an empty queue; byte 0 is never held
POLL_SECONDS = 0.003


@contextmanager
def held(path: Path, seconds: float, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file, which is made if it is not there, after those who came before.

    Args:
        path: the file.
        seconds: to wait at most.
        shared: together with others who share it.

    Raises:
        TimeoutError: they had it for longer.
        OSError: the file cannot be made or locked.
    """
    deadline = time.monotonic() + seconds
    kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        place = _arrive(file, kind)
        while not _lock(file, kind, 0, place):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} is locked")
            time.sleep(POLL_SECONDS)
        yield
    finally:
        _lock(file, fcntl.F_UNLCK, 0, 0)  # a forked process may have the file open as well
        os.close(file)


def is_held(path: Path) -> bool:
    """Return whether somebody holds the lock of a file or waits for it."""
    file = os.open(path, os.O_RDWR)
    try:
        return _end(file, FIRST) > FIRST
    finally:
        os.close(file)


def _arrive(file: int, kind: int) -> int:
    """Take the place behind everyone and return it; two who share may have one place."""
    while True:
        place = _end(file, FIRST)
        if _lock(file, kind, place, 1):
            if _end(file, place + 1) == place + 1:
                return place
            _lock(file, fcntl.F_UNLCK, place, 1)  # others came meanwhile, and stand behind it


def _end(file: int, start: int) -> int:
    """Return the first byte from start on, behind all that others hold."""
    while True:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, 0, 0)
        answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked)
        kind, _, at, length, _ = struct.unpack(FLOCK, answer)
        if kind == fcntl.F_UNLCK:
            return start
        start = at + length


def _lock(file: int, kind: int, start: int, length: int) -> bool:
    """Lock bytes of a file, or unlock them; return False if others hold some of them."""
    wanted = struct.pack(FLOCK, kind, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        return False
    return True
