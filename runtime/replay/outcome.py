"""What came of a replay."""

from __future__ import annotations

from dataclasses import dataclass, field

from olympus.runtime.replay.casting import Apart
from olympus.runtime.replay.difference import Difference, Tally


@dataclass(frozen=True, slots=True)
class Uncompared:
    """A recorded topic of which messages were not compared, as their node did not run again."""

    topic: str
    node: str
    messages: int
    """So many of them, as far as its journal was read."""
    why: str
    is_meant: bool
    """Whether somebody said that the node does not run again."""


@dataclass(slots=True)
class Outcome:
    """What came of a replay."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    """Those that ran again."""
    apart: dict[str, Apart] = field(default_factory=dict)
    """Those with a journal that did not."""
    unfollowed: list[str] = field(default_factory=list)
    """What threads of nodes reached for; which node's, nobody knows."""
    uncompared: list[Uncompared] = field(default_factory=list)
    unjournaled: list[str] = field(default_factory=list)
    """Recorded topics of which no journal tells: of devices, of nodes that say
    `is_replayed = False`, and of whoever is no node."""
    computed: dict[str, int] = field(default_factory=dict)
    """How often each model, or other work, was done again."""
    events: int = 0
    decisions: int = 0
    """Records of dispatch traces that were decided again."""
    began_ns: int = 0
    ended_ns: int = 0
    notes: list[str] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=dict)
    """Facts of the machine that recorded."""
    launch: tuple[str, str] = ("", "")
    """Path of the launch file, and its sha256."""

    def note(self, text: str) -> None:
        """Note what may explain a difference, once."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def compared(self) -> int:
        """Messages that were published anew and are in the recording."""
        return sum(one.equal + one.differing for one in self.tallies.values())

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs, and all was compared that should have been."""
        return not self.differences and self.compared > 0 and self.is_complete

    @property
    def is_complete(self) -> bool:
        """Whether every journaled node ran again, but for those left out on purpose."""
        told = all(one.is_meant for one in self.uncompared) and not self.unfollowed
        return told and all(one.is_meant for one in self.apart.values())
