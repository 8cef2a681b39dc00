"""The daemon: one worker thread per operator, poked by APScheduler."""

from oicp_adapter.daemon.process import Daemon, Reloaded
from oicp_adapter.daemon.worker import DELTA, FULL, RECONCILE, UPKEEP, OperatorJobs

__all__ = ["DELTA", "FULL", "RECONCILE", "UPKEEP", "Daemon", "OperatorJobs", "Reloaded"]
