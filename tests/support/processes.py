"""Other processes that a test starts and waits for."""

import os
from collections.abc import Callable


def forked(work: Callable[[], object]) -> int:
    """Run the work in a forked process; return its process id."""
    pid = os.fork()
    if pid == 0:  # it must not come back into pytest
        try:
            work()
            os._exit(0)
        finally:
            os._exit(9)
    return pid


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
