"""What a launch file may say about a recorder, and what waits to be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from olympus.runtime.messages import Message, Opaque
from olympus.runtime.messages.letters import DeadLetter
from olympus.runtime.node import Field, NodeParams
from olympus.runtime.store.room import PATTERNS


class RecorderParams(NodeParams):
    """What to record, and where."""

    topics: list[str] = Field(
        default=["**"], description="Full topic names; `*` one part, `**` any number of them."
    )
    path: str = Field("", description="Folder of the store; empty: ~/.local/share/olympus/SESSION.")
    max_mb: int = Field(2048, ge=16, le=1_000_000, description="Largest size of the store.")
    reserve_mb: int = Field(
        16,
        ge=0,
        le=10_000,
        description="Room that only safety records may use, besides max_mb.",
    )
    flush_hz: float = Field(
        2.0,
        ge=0.02,
        le=20,
        description="Commits per second; what is lost at most is one period and the commit.",
    )
    is_durable: bool = Field(
        True,
        description="Wait for the disk at each commit: the bound holds for power loss too. "
        "Without, only a killed process is covered, and power loss may damage the store.",
    )
    max_waiting_mb: int = Field(
        64, ge=1, le=10_000, description="What may wait in memory for a slow disk."
    )
    when_full: Literal["thin", "oldest"] = Field(
        "thin", description="Thin out sensors and states, or remove the oldest of them."
    )
    max_age_h: dict[str, float] = Field(
        default_factory=dict,
        description="Hours that a class of topics is kept: safety, state, sensor.",
    )
    keep_unread_h: float = Field(
        0.0,
        ge=0,
        le=10_000,
        description="Hours more than max_age_h that is kept what a consumer has not read yet.",
    )
    dead_letters_mb: int = Field(
        16,
        ge=0,
        le=10_000,
        description="Room for messages that no handler could take; 0: keep none of them.",
    )
    classes: dict[str, list[str]] = Field(
        default={str(name): list(group) for name, group in PATTERNS.items()},
        description="Topics of the classes safety and sensor; all others are states.",
    )
    subjects: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Whom topics are about, so that `olympus store forget` can erase them.",
    )
    journal: bool = Field(
        False,
        description="Record all that a replay needs: every topic, and the journals of the "
        "hosts, which wait for it (`telemetry: {journal: true}` in the launch file).",
    )
    key: str = Field(
        "", description="Encrypt with the key of this file, or of `command:COMMAND LINE`."
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that has come and is not written yet."""

    topic: str
    message: Message
    arrived: int
    is_kept: bool = True

    @property
    def about(self) -> str:
        """The topic that it tells something of: a dead letter's own is another."""
        letter = self.message
        return letter.topic if isinstance(letter, DeadLetter) else self.topic


def size_of(message: Message) -> int:
    """Return about how many bytes a message takes."""
    if isinstance(message, Opaque):
        return 300 + len(message.frame)
    fields = (getattr(message, name) for name in message.__slots__)
    return 300 + sum(getattr(field, "nbytes", 0) for field in fields)
