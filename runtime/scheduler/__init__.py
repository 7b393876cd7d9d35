"""Who computes next: jobs in order of urgency, one at a time per resource."""

from olympus.runtime.scheduler.dispatcher import Dispatcher, JobDroppedError
from olympus.runtime.scheduler.queue import NEVER_NS, Choice, Job, choose
from olympus.runtime.scheduler.work import Abortable, Stepped, Telling, Work

__all__ = [
    "NEVER_NS",
    "Abortable",
    "Choice",
    "Dispatcher",
    "Job",
    "JobDroppedError",
    "Stepped",
    "Telling",
    "Work",
    "choose",
]
