"""What the house says about itself: logs, meters, metrics."""

from olympus.runtime.telemetry.logs import BusHandler, StructuredLog, log_to
from olympus.runtime.telemetry.meters import SubscriptionMeter, TopicMeter
from olympus.runtime.telemetry.process import ProcessMeter, ProcessUse
from olympus.runtime.telemetry.prometheus import exposition

__all__ = [
    "BusHandler",
    "ProcessMeter",
    "ProcessUse",
    "StructuredLog",
    "SubscriptionMeter",
    "TopicMeter",
    "exposition",
    "log_to",
]
