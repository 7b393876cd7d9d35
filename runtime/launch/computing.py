"""What a launch file says of computing: resources of a host, jobs of a node."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from olympus.runtime.errors import ConfigError
from olympus.runtime.launch.section import Name, Section
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler.rules import LaneRules, Overload, ResourceRules

TierName = Literal["critical", "high", "normal", "low", "deferred"]
Share = Annotated[float, Field(ge=0, le=1)]


def tier_of(name: TierName) -> Tier:
    """Return the tier that a launch file names."""
    return Tier[name.upper()]


class Lane(Section):
    """The queue of one tier on a resource."""

    length: Annotated[int, Field(ge=1, le=100_000)] = 16
    """How many jobs may wait."""
    overload: Overload = Overload.REJECT_NEWEST
    """What happens to a job that finds it full."""
    workers: Annotated[int, Field(ge=1, le=256)] | None = None
    """How many of the resource's workers may run its jobs at once; all when left out."""
    guarantee: Share = 0.0
    """Share of the resource it gets although more urgent jobs wait; never before CRITICAL."""
    limit: Share = 1.0
    """Share of the resource after which its jobs wait for the next window."""
    aborts_late: bool = False
    """Whether a job that runs past its deadline is stopped."""


class Resource(Section):
    """What models run on: some processor cores, or an accelerator."""

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """How many jobs run at once."""
    cores: list[Annotated[int, Field(ge=0, le=4095)]] = []
    """Processors its workers are bound to."""
    window_ms: Annotated[float, Field(ge=1, le=60_000)] = 1000.0
    """Guarantees and limits are counted per window of this length."""
    lanes: dict[TierName, Lane] = {}
    """Rules by tier; a tier that is left out has the defaults."""

    @model_validator(mode="after")
    def _can_be_kept(self) -> Resource:
        try:
            self.rules("resource")
        except ConfigError as error:
            raise PydanticCustomError("resource", "{why}", {"why": str(error)}) from error
        return self

    def rules(self, name: str) -> ResourceRules:
        """Return it as the scheduler takes it.

        Raises:
            ConfigError: Guarantees and limits contradict each other.
        """
        return ResourceRules(
            name=name,
            workers=self.workers,
            cores=tuple(self.cores),
            lanes={
                tier_of(tier): LaneRules(**lane.model_dump()) for tier, lane in self.lanes.items()
            },
            window_ns=round(self.window_ms * 1e6),
        )


class Job(Section):
    """A model that a node runs again and again."""

    model: str
    """Name or path of the model."""
    rate_hz: Annotated[float, Field(ge=1e-6, le=10_000)]
    """How often at most."""
    deadline_ms: Annotated[float, Field(gt=0, le=600_000)] | None = None
    """How long after it was asked for the answer is worth something; a period when left out."""
    tier: TierName = "normal"
    """Its urgency."""
    steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Pieces at most, such as tokens; between two of them it makes way. A language model needs it,
    any other is one piece."""
    resource: Name | None = None
    """Which of its host's resources it runs on; the first when left out."""
