"""Collection of losses: in this process, in one process per device, or on a Ray cluster."""

from csvcore.collection import local, ray_cluster
from csvcore.collection.work import Outcome, Progress, Report, Work, summary
from csvcore.parallel import ClusterConfig

__all__ = [
    "ClusterConfig",
    "Outcome",
    "Progress",
    "Report",
    "Work",
    "local",
    "ray_cluster",
    "summary",
]
