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


def _stop(number: int, frame: FrameType | None) -> None:
    raise Cancelled("cancelled")


def _run(database: Path, job: queue.Job, heeded: threading.Event | None = None) -> bool:
    """Run a job and store how it ended; return whether the next one may follow.

    A SIGTERM without a cancel ends the worker; with one it only helps a job that is slow to stop.
    """
    goes_on = True
    started = time.time()
    report = queue.Reporter(database, job.job)
    try:
        report(0, 1, "loading")
        message = jobs.run_job(database, job.kind, job.params, report, report.watch)
    except Cancelled as error:
        goes_on = queue.is_cancelled(database, job.job)
        if goes_on:
            queue.finish(database, job.job, "cancelled", str(error))
        else:
            queue.finish(database, job.job, *queue.ENDED)
        if heeded is not None:
            heeded.set()
    except Exception as error:  # the jobs behind this one must still run
        told = explained(error)
        if told is None:
            log.exception("job %d", job.job)
            told = CsvcoreError(f"a fault in the program: {error!r}; see the log")
        queue.finish(database, job.job, "failed", shortened(str(told)))
    else:
        queue.finish(database, job.job, "done", message)
    log.info("job %d ended after %.1f s", job.job, time.time() - started)
    return goes_on


if __name__ == "__main__":
    sys.exit(main())
