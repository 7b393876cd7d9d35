"""What came of a replay."""

from __future__ import annotations

from dataclasses import dataclass, field

from olympus.runtime.replay.difference import Difference, Tally


@dataclass(slots=True)
class Outcome:
    """What came of a replay."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
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

    @property
    def compared(self) -> int:
        """Messages that were published anew and are in the recording."""
        return sum(one.equal + one.differing for one in self.tallies.values())

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs, and something was compared."""
        return not self.differences and self.compared > 0
