"""What the watch for hanging models keeps, and that neither a full nor a broken disk ends it."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from olympus.nodes.hang_watch import HangWatch
from olympus.runtime.clock import SystemClock
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import Job

STUCK = Job(number=1, tier=Tier.NORMAL, what="detector")
PATIENCE_S = 20.0


@dataclass
class Watched:
    """A model that has hung since long ago, whatever is tried."""

    aborted: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def watch(self, file: Path | None) -> HangWatch:
        """Return a watch over it."""
        clock = SystemClock()
        begun = clock.now_ns() - 60_000_000_000
        return HangWatch(
            clock,
            lambda: ((STUCK, begun),),
            hang_s=0.05,
            file=file,
            abort=lambda name, _seconds: self.aborted.append(name),
            end=lambda name, _seconds: self.ended.append(name),
        )

    async def until_ended(self, watch: HangWatch) -> None:
        """Let it look until it ends the process."""
        watch.start(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not self.ended:
                    await asyncio.sleep(0.01)
        finally:
            watch.close()


async def test_what_has_hung_is_aborted_once_remembered_and_then_ended(tmp_path: Path) -> None:
    watched, file = Watched(), tmp_path / "models.hangs"
    file.write_text('{"detector": 1, "planner": 2}')
    await watched.until_ended(watched.watch(file))
    assert (watched.aborted, watched.ended) == (["detector"], ["detector"])
    assert json.loads(file.read_text()) == {"detector": 2, "planner": 2}
    assert watched.watch(file).counts() == {"detector": 2, "planner": 2}


async def test_a_file_that_can_not_be_written_does_not_end_the_watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched()
    watch = watched.watch(tmp_path / "gone" / "models.hangs")
    with caplog.at_level(logging.ERROR):
        await watched.until_ended(watch)
    assert watched.aborted == ["detector"] and watch.counts() == {"detector": 1}
    assert "that model detector has hung is forgotten with this process" in caplog.text


@pytest.mark.parametrize("text", ['{"detec', "[]", '{"detector": "often"}', "\x00"])
async def test_a_file_that_makes_no_sense_is_told_and_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    watched, file = Watched(), tmp_path / "models.hangs"
    file.write_text(text)
    with caplog.at_level(logging.ERROR):
        watch = watched.watch(file)
    assert watch.counts() == {} and str(file) in caplog.text
    await watched.until_ended(watch)
    assert json.loads(file.read_text()) == {"detector": 1}
