"""Who computes next: jobs in order of urgency, one at a time per resource."""

from olympus.runtime.scheduler.dispatcher import Dispatcher, JobDroppedError
from olympus.runtime.scheduler.queue import NEVER_NS, Choice, Job, choose

__all__ = ["NEVER_NS", "Choice", "Dispatcher", "Job", "JobDroppedError", "choose"]
