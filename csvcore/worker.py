"""Worker process, `python -m csvcore.worker DATABASE`: one per database, until the queue is empty.

Heavy imports happen here, never in the dashboard's process. SIGTERM ends it within END_SECONDS; a
job that it was running is marked, and jobs behind it wait for the next worker.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil
from filelock import FileLock, Timeout

from csvcore.errors import Cancelled, CsvcoreError, StoreError, explained, shortened
from csvcore.jobs import queue
from csvcore.pipeline import jobs

log = logging.getLogger(__name__)
LOCK_SECONDS = 2.0  # a worker about to leave may still hold it
NICENESS = 5  # leaves pages three quarters of a contended core
AUTOGROUP = Path("/proc/self/autogroup")
END_SECONDS = 5.0  # after SIGTERM, for a computation that does not heed it


def main() -> int:
    """Claim and run jobs until the queue is empty."""
    database = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    heeded = _watch_for_sigterm()
    _give_way()
    try:
        with FileLock(queue.worker_lock_path(database), timeout=LOCK_SECONDS):
            while (job := queue.claim(database)) is not None and _run(database, job, heeded):
                pass
    except Timeout:
        log.info("another worker is at it")
    except StoreError as error:  # of the queue itself; no job can be marked
        log.error("%s", error)
        return 1
    except Cancelled:
        log.info("ended between two jobs")
    return 0


def _watch_for_sigterm() -> threading.Event:
    """Let SIGTERM stop the job; end the process if that was not heeded within END_SECONDS.

    Python calls a signal's handler between two of its own steps only, which a long computation may
    keep off. The byte that the system writes at once wakes a thread that waits.

    Returns:
        the event to set when the job has stopped.
    """
    heeded = threading.Event()
    reads, writes = socket.socketpair()
    writes.setblocking(False)
    signal.signal(signal.SIGTERM, _stop)
    signal.set_wakeup_fd(writes.fileno(), warn_on_full_buffer=False)

    def wait(writes: socket.socket) -> None:  # which is closed once nothing refers to it
        while number := reads.recv(1):
            if number[0] != signal.SIGTERM:
                continue
            if not heeded.wait(END_SECONDS):
                for child in psutil.Process().children(recursive=True):
                    child.kill()
                os._exit(128 + signal.SIGTERM)  # the next look at the queue marks the job lost
            heeded.clear()

    threading.Thread(target=wait, args=(writes,), daemon=True).start()
    return heeded


def _give_way() -> None:
    """Lower this process's priority below the dashboard's.

    Linux may schedule by session first (autogroups). Then a process's niceness counts only within
    its session, and the session's niceness is set too.
    """
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if AUTOGROUP.exists() and os.getsid(0) == os.getpid():
        try:
            AUTOGROUP.write_text(str(NICENESS))
        except OSError as error:  # not allowed here, or changed a moment ago
            log.info("the session keeps its niceness: %s", error)


class _Stop:
    """The handler of SIGTERM: raise Cancelled, after the block of `held` if one is under way."""

    def __init__(self) -> None:
        self._held = self._waits = False
        self.raised = False  # since it was last set to False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._waits = True
        else:
            self.raised = True
            raise Cancelled("cancelled")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the block run to its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._waits:
            self._waits = False
            raise Cancelled("cancelled")


_stop = _Stop()


def _run(database: Path, job: queue.Job, heeded: threading.Event | None = None) -> bool:
    """Run a job and store how it ended; return whether the next one may follow.

    A SIGTERM without a cancel ends the worker; with one it only helps a job that is slow to stop.
    One that comes while the end is stored waits for that: a job that is done is marked done.
    """
    started = time.time()
    report = queue.Reporter(database, job.job)
    _stop.raised = False
    try:
        report(0, 1, "loading")
        message = jobs.run_job(database, job.kind, job.params, report, report.watch)
    except Exception as error:  # the jobs behind this one must still run
        with _stop.held():
            # libraries turn what is raised within them into errors of their own
            stopped = isinstance(error, Cancelled) or _stop.raised
            goes_on = not stopped or queue.is_cancelled(database, job.job)
            if not stopped:
                queue.finish(database, job.job, "failed", _why(job, error))
            elif goes_on:
                queue.finish(database, job.job, "cancelled", str(error))
            else:
                queue.finish(database, job.job, *queue.ENDED)
        if stopped and heeded is not None:
            heeded.set()
    else:
        goes_on = True
        with _stop.held():
            queue.finish(database, job.job, "done", message)
    log.info("job %d ended after %.1f s", job.job, time.time() - started)
    return goes_on


def _why(job: queue.Job, error: Exception) -> str:
    told = explained(error)
    if told is None:
        log.exception("job %d", job.job)
        told = CsvcoreError(f"a fault in the program: {error!r}; see the log")
    return shortened(str(told))


if __name__ == "__main__":
    sys.exit(main())
