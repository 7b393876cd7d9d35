"""What a resource and its lanes allow: lengths, overload policies, budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from olympus.runtime.errors import ConfigError
from olympus.runtime.qos import Tier

LANE_LENGTH = 16
WINDOW_NS = 1_000_000_000


class Overload(StrEnum):
    """What happens to a job that finds its lane full."""

    LATEST = "latest"
    """A newer job takes the place of a waiting one of the same source; full, it is refused."""
    DROP_OLDEST = "drop_oldest"
    REJECT_NEWEST = "reject_newest"
    LOSSLESS = "lossless"
    """Nothing is refused: who asks waits, however long the lane grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRules:
    """The queue of one tier on one resource."""

    length: int = LANE_LENGTH
    """How many jobs may wait."""
    overload: Overload = Overload.REJECT_NEWEST
    workers: int | None = None
    """How many of the resource's workers may run its jobs at once; None = all."""
    guarantee: float = 0.0
    """Share of the resource's time it gets although more urgent jobs wait; not before CRITICAL."""
    limit: float = 1.0
    """Share of the resource's time after which its jobs wait for the next window."""
    aborts_late: bool = False
    """Whether a job that runs past its deadline is stopped."""

    @property
    def has_budget(self) -> bool:
        """Whether it bends the order of urgency."""
        return self.workers is not None or self.guarantee > 0 or self.limit < 1

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ConfigError(f"length={self.length}: a lane holds at least 1 job")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers={self.workers}: a lane needs at least 1 worker")
        if not 0.0 <= self.guarantee < 1.0:
            raise ConfigError(f"guarantee={self.guarantee}: a share from 0 to below 1, such as 0.1")
        if not self.guarantee <= self.limit <= 1.0 or self.limit <= 0:
            raise ConfigError(f"limit={self.limit}: a share up to 1 and no less than the guarantee")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRules:
    """What jobs run on, one at a time per worker: some CPU cores, or an accelerator."""

    name: str = "cpu"
    workers: int = 1
    """How many jobs run at once."""
    cores: tuple[int, ...] = ()
    """Processors its workers are bound to; none = wherever the system puts them."""
    lanes: Mapping[Tier, LaneRules] = field(default_factory=dict)
    """Rules by tier; a tier that is left out has the defaults."""
    window_ns: int = WINDOW_NS
    """Guarantees and limits are counted per window of this length."""
    has_budgets: Annotated[bool, Field(exclude=True)] = field(init=False, default=False)
    """Whether any lane has a guarantee, a limit or a number of workers: else order is all."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"resource {self.name}: workers={self.workers}: give 1 or more")
        if self.window_ns < 1_000_000:
            raise ConfigError(f"resource {self.name}: a window is at least 1 ms long")
        promised = sum(lane.guarantee for lane in self.lanes.values())
        if promised >= 1.0:
            raise ConfigError(
                f"resource {self.name}: guarantees add up to {promised:g}; leave something "
                "for CRITICAL, so keep them below 1 together"
            )
        if Tier.CRITICAL in self.lanes and self.lanes[Tier.CRITICAL].guarantee:
            raise ConfigError(f"resource {self.name}: CRITICAL goes first anyway; no guarantee")
        lanes = {tier: self.lanes.get(tier, LaneRules()) for tier in Tier}
        object.__setattr__(self, "lanes", lanes)
        object.__setattr__(self, "has_budgets", any(lane.has_budget for lane in lanes.values()))
