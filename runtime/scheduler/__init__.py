"""Who computes next: jobs in order of urgency, one at a time per worker of a resource."""

from olympus.runtime.scheduler.choice import Admission, Choice, Lanes, admit, choose
from olympus.runtime.scheduler.counts import LaneCounts
from olympus.runtime.scheduler.dispatcher import Dispatcher
from olympus.runtime.scheduler.job import NEVER_NS, End, Job, JobDroppedError
from olympus.runtime.scheduler.profile import Pace, Profile
from olympus.runtime.scheduler.rules import LaneRules, Overload, ResourceRules
from olympus.runtime.scheduler.ticket import Outcome, Ticket
from olympus.runtime.scheduler.work import Abortable, Stepped, Telling, Work

__all__ = [
    "NEVER_NS",
    "Abortable",
    "Admission",
    "Choice",
    "Dispatcher",
    "End",
    "Job",
    "JobDroppedError",
    "LaneCounts",
    "LaneRules",
    "Lanes",
    "Outcome",
    "Overload",
    "Pace",
    "Profile",
    "ResourceRules",
    "Stepped",
    "Telling",
    "Ticket",
    "Work",
    "admit",
    "choose",
]
