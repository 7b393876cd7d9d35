"""The bus: topics and services, by reference within a host, through Zenoh between hosts."""

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.link import Entity, Link, Origin
from olympus.runtime.bus.options import PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.publisher import Publisher
from olympus.runtime.bus.service import Service
from olympus.runtime.bus.subscription import Subscription

__all__ = [
    "Bus",
    "Entity",
    "Link",
    "Origin",
    "Publisher",
    "PublisherOptions",
    "Service",
    "Subscription",
    "SubscriptionOptions",
]
