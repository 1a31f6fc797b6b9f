"""Where a collection runs: this process, one process a device, or a Ray cluster."""

from csvcore.engines import cluster, local
from csvcore.engines.cluster import ClusterConfig
from csvcore.engines.work import Outcome, Progress, Report, Work, summary

__all__ = ["ClusterConfig", "Outcome", "Progress", "Report", "Work", "cluster", "local", "summary"]
