"""Counts of an attack: how often it struck, and what came of it that must never happen."""

import os
import pickle
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HANG_SECONDS = 30.0
Bounds = Callable[[], bool]  # whether time is left


@dataclass
class Found:
    """What an attack found.

    n: strikes. tracebacks: errors that are no sentence for the user. hangs: longer than
    HANG_SECONDS. rows: stored rows that were lost or changed. links: foreign links or requests let
    through. notes: what exactly, the first of each kind.
    """

    name: str
    n: int = 0
    tracebacks: int = 0
    hangs: int = 0
    rows: int = 0
    links: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Return whether nothing was found."""
        return not (self.tracebacks or self.hangs or self.rows or self.links)

    def note(self, text: str) -> None:
        """Keep a finding in words, once."""
        if text not in self.notes and len(self.notes) < 20:
            self.notes.append(text)

    def line(self) -> str:
        """Return the counts in a line."""
        return (
            f"{self.name:8} {self.n:6} strikes  {self.tracebacks:3} tracebacks  "
            f"{self.hangs:3} hangs  {self.rows:3} lost or changed rows  "
            f"{self.links:3} foreign links"
        )


class Hang(BaseException):
    """Raised in a call that takes longer than HANG_SECONDS."""


def strike(found: Found, what: str, call: Callable[[], Any]) -> Any:
    """Call what is attacked, in this process, and count how it went; return its result or None."""
    from csvcore.errors import explained

    def ring(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    found.n += 1
    try:
        return call()
    except Hang:
        found.hangs += 1
        found.note(f"{what}: longer than {HANG_SECONDS:.0f} s")
    except Exception as error:
        told = explained(error)
        if told is None or "\n" in str(told):
            found.tracebacks += 1
            found.note(f"{what}: {error!r}"[:300])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    return None


@dataclass
class Child:
    """A forked process that runs a function; killed, or asked for its result."""

    pid: int
    pipe: int

    @classmethod
    def of(cls, call: Callable[[], Any]) -> "Child":
        """Fork and run; what the function returns or raises comes back pickled."""
        reads, writes = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writes)
            return cls(pid, reads)
        os.close(reads)
        os.setpgid(0, 0)
        try:
            result = (True, call())
        except BaseException as error:
            result = (False, repr(error))
        with os.fdopen(writes, "wb") as stream:
            stream.write(pickle.dumps(result))
        os._exit(0)

    def ends(self, seconds: float) -> bool:
        """Wait; return whether it ended within these seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
            time.sleep(0.005)
        return False

    def kill(self) -> None:
        """Kill it with all it started, and forget it."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pipe)

    def result(self, seconds: float = 120.0) -> Any:
        """Return what the function returned; raise RuntimeError if it raised or hung."""
        until, content = time.monotonic() + seconds, b""
        while select.select([self.pipe], [], [], max(0.0, until - time.monotonic()))[0]:
            if not (part := os.read(self.pipe, 1 << 16)):
                break
            content += part
        else:
            content = b""
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.pipe)
        os.waitpid(self.pid, 0)
        if not content:
            raise RuntimeError(f"no answer within {seconds:.0f} s")
        went_well, value = pickle.loads(content)
        if not went_well:
            raise RuntimeError(str(value))
        return value
