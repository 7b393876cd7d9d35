"""A job as the scheduler sees it, and the ways in which it can end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from olympus.runtime.errors import OlympusError
from olympus.runtime.qos import Tier

NEVER_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Job:
    """One unit of model or compute work."""

    number: int
    """Order of arrival."""
    tier: Tier
    deadline_ns: int = NEVER_NS
    """Robot time after which nobody wants the result."""
    source: str = ""
    """Node that asked for it."""
    what: str = ""
    """Name of the model it runs."""
    arrived_ns: int = 0
    """Robot time of its arrival."""


class End(StrEnum):
    """How a job ended. Those after `FAILED` did not run, or not to their end: they were shed."""

    DONE = "done"
    LATE = "late"
    """Done, but after its deadline."""
    FAILED = "failed"
    EXPIRED = "expired"
    """Its deadline passed before its turn."""
    SUPERSEDED = "superseded"
    """A newer job of the same source took its place."""
    EVICTED = "evicted"
    """The oldest of a full lane."""
    REJECTED = "rejected"
    """Its lane was full."""
    ABORTED = "aborted"
    """Stopped while it ran, past its deadline, because its lane says so."""
    CANCELLED = "cancelled"
    """Nobody waits for it any more."""


class JobDroppedError(OlympusError):
    """A job was not run, or not to its end: too late, its lane was full, or nobody waited."""

    end: End = End.REJECTED
    """Why; of one that another process shed only the text tells."""

    def __init__(self, text: str, end: End = End.REJECTED) -> None:
        super().__init__(text)
        self.end = end
