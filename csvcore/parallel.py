"""One function for many jobs: in this process, or as tasks on a Ray cluster.

Whatever makes many fits calls `each`. During `on_ray` its jobs are tasks of the cluster: what they
share is sent once, and those of a worker that dies are repeated on another.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from csvcore.errors import CsvcoreError, InputError

log = logging.getLogger(__name__)

RETRIES = 3
POLL_SECONDS = 0.5
CONNECT_SECONDS = 5.0

Report = Callable[[int, int, str], None]  # step, steps and a message; may raise to stop
Shared = TypeVar("Shared")
Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Cluster and resources of tasks.

    address: of a running cluster; None takes RAY_ADDRESS, or else starts one here.
    gpus, cpus: what one task reserves. n_cpus: size of a cluster started here.
    """

    address: str | None = None
    gpus: float = 0.0
    cpus: float = 1.0
    n_cpus: int | None = None


class _Cluster:
    """A connected cluster, and what its tasks share."""

    def __init__(self, ray: Any, config: ClusterConfig) -> None:
        self.ray = ray
        self.task = ray.remote(num_gpus=config.gpus, num_cpus=config.cpus, max_retries=RETRIES)(
            _run
        )
        self._shared: object = None
        self._stored: Any = None

    def store(self, shared: object) -> Any:
        """Return the reference of an object in the cluster's store, where it is put once."""
        if self._stored is None or shared is not self._shared:
            self._shared, self._stored = shared, self.ray.put(shared)
        return self._stored


_cluster: ContextVar[_Cluster | None] = ContextVar("cluster", default=None)


@contextmanager
def on_ray(config: ClusterConfig) -> Iterator[None]:
    """Let `each` in the block send its jobs to a cluster; raise as `connected`."""
    with connected(config) as ray:
        token = _cluster.set(_Cluster(ray, config))
        try:
            yield
        finally:
            _cluster.reset(token)


def each(
    function: Callable[[Shared, Job, Report], Result],
    shared: Shared,
    jobs: Sequence[Job],
    report: Report = lambda step, total, message: None,
) -> Iterator[Result]:
    """Yield function(shared, job, report) of every job, in their order.

    Args:
        function: at the top of a module. On a cluster its report does nothing, and its jobs may run
            more than once.
        shared: the same for all jobs, never changed by the function.
        jobs: small beside what they share.
        report: called here, with steps over all jobs.

    Raises:
        CsvcoreError: the workers of a task died too often; else whatever the function raises.
    """
    cluster = _cluster.get()
    if cluster is not None and len(jobs) > 1:
        yield from _tasks(cluster, function, shared, jobs, report)
        return
    for number, job in enumerate(jobs):

        def step(done: int, total: int, message: str, number: int = number) -> None:
            report(number * total + done, len(jobs) * total, message)

        yield function(shared, job, step)


def _tasks(
    cluster: _Cluster,
    function: Callable[[Shared, Job, Report], Result],
    shared: Shared,
    jobs: Sequence[Job],
    report: Report,
) -> Iterator[Result]:
    ray, stored = cluster.ray, cluster.store(shared)
    running = [cluster.task.remote(function, stored, job) for job in jobs]
    try:
        for reference in running:
            ready = False
            while not ready:
                ready = bool(ray.wait([reference], timeout=POLL_SECONDS)[0])
                done, _ = ray.wait(running, num_returns=len(running), timeout=0)
                report(len(done), len(running), f"{len(running)} tasks on Ray")
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None)
                if cause is None or isinstance(cause, ray.exceptions.RayError):
                    raise task_error(error, RETRIES) from error  # a node or the driver is gone
                raise cause from error
            yield result
    except BaseException:  # of a task, of the report, or nobody wants the rest
        _, unfinished = ray.wait(running, num_returns=len(running), timeout=0)
        for reference in unfinished:
            ray.cancel(reference)
        raise


def _run(function: Callable[[Shared, Job, Report], Result], shared: Shared, job: Job) -> Result:
    return function(shared, job, lambda step, total, message: None)


def task_error(error: Exception, retries: int) -> CsvcoreError:
    """Return the error of a task in one sentence; csvcore's errors are returned unchanged."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, CsvcoreError):
        return cause
    reason = (str(error).splitlines() or [type(error).__name__])[-1]
    return CsvcoreError(f"a task failed {retries + 1} times or its node is gone: {reason}")


@contextmanager
def connected(config: ClusterConfig) -> Iterator[Any]:
    """Connect to a cluster during the block, or start one; give the module ray.

    Raises:
        InputError: Ray is not installed, there is no cluster at the address, or the machine of a
            cluster started here lacks what a task reserves.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("--engine ray needs Ray; install csvcore[ray]") from error
    address = config.address or os.environ.get("RAY_ADDRESS") or None
    started_here = not ray.is_initialized()
    if started_here:
        _refuse_silent(address)
        try:
            ray.init(
                address=address,
                num_cpus=config.n_cpus if address is None else None,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(f"there is no Ray cluster at {address}: {reason}") from error
    try:
        lacks = _lacks(ray, config)
        if lacks and started_here and address is None:
            raise InputError(f"{lacks}; reserve less, or name another cluster with --ray")
        if lacks:
            log.warning("%s; tasks wait until a node with them joins", lacks)
        yield ray
    finally:
        if started_here:
            ray.shutdown()


def _lacks(ray: Any, config: ClusterConfig) -> str:
    """Return that no living node can run a task; empty if one can."""
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(one.get("CPU", 0) >= config.cpus and one.get("GPU", 0) >= config.gpus for one in found):
        return ""
    return (
        f"a task reserves {config.cpus:g} CPU and {config.gpus:g} GPU, and no node of the Ray "
        "cluster has as many"
    )


def _refuse_silent(address: str | None) -> None:
    """Raise InputError if nothing listens at host:port; Ray itself would wait for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"there is no Ray cluster at {address}: {error}") from error
