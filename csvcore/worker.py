"""Worker process, `python -m csvcore.worker DATABASE`: one per database, until the queue is empty.

Heavy imports happen here, never in the dashboard's process.
"""

import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from csvcore.errors import Cancelled, CsvcoreError, StoreError, explained, shortened
from csvcore.jobs import queue
from csvcore.pipeline import jobs

log = logging.getLogger(__name__)
LOCK_SECONDS = 2.0  # a worker about to leave may still hold it
NICENESS = 5  # leaves pages three quarters of a contended core
AUTOGROUP = Path("/proc/self/autogroup")


def main() -> int:
    """Claim and run jobs until the queue is empty."""
    database = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    _give_way()
    try:
        with FileLock(queue.worker_lock_path(database), timeout=LOCK_SECONDS):
            while (job := queue.claim(database)) is not None:
                _run(database, job)
    except Timeout:
        log.info("another worker is at it")
    except StoreError as error:  # of the queue itself; no job can be marked
        log.error("%s", error)
        return 1
    return 0


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


def _run(database: Path, job: queue.Job) -> None:
    started = time.time()
    report = queue.Reporter(database, job.job)
    try:
        report(0, 1, "loading")
        message = jobs.run_job(database, job.kind, job.params, report, report.watch)
    except Cancelled as error:
        queue.finish(database, job.job, "cancelled", str(error))
    except Exception as error:  # the jobs behind this one must still run
        told = explained(error)
        if told is None:
            log.exception("job %d", job.job)
            told = CsvcoreError(f"a fault in the program: {error!r}; see the log")
        queue.finish(database, job.job, "failed", shortened(str(told)))
    else:
        queue.finish(database, job.job, "done", message)
    log.info("job %d ended after %.1f s", job.job, time.time() - started)


if __name__ == "__main__":
    sys.exit(main())
