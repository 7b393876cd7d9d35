"""Consumers over time: with a recorder that comes and goes, and through whatever may happen."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runtime.store.test_consuming import (
    EVERYTHING,
    S,
    acknowledge,
    reading,
    record,
    taken,
    values,
)

from olympus.runtime.bus import Bus
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Ack
from olympus.runtime.messages.consuming import Acknowledge
from olympus.runtime.store import StreamStore
from olympus.runtime.store.consumers import read_marks
from olympus.runtime.store.consuming import Batch, Consumer
from olympus.runtime.store.following import Follower, follow
from olympus.runtime.store.layout import topic_database
from olympus.runtime.store.retention import prune_topic


async def test_without_a_recorder_a_follower_writes_how_far_it_got(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        record(store, "t", 1, 2, 3)
    for expected in ([1.0, 2.0, 3.0], []):
        seen: list[float] = []
        async with follow(tmp_path, "c", EVERYTHING) as follower:
            async for batch in follower.batches(live=False):
                seen += values(batch)
                await follower.acknowledge(batch)
        assert seen == expected
    async with follow(tmp_path, "c", EVERYTHING) as follower:
        await follower.retire()
    with StreamStore(tmp_path, read_only=True) as store, store.file.view() as view:
        assert read_marks(view) == {}


RECORDER = """
import sys
from pathlib import Path
from olympus.runtime.store import Run, StreamStore
store = StreamStore(Path(sys.argv[1]))
store.begin_run(Run(number=0, session="s", started=1, seen=1))
print("recording", flush=True)
sys.stdin.read()
"""


async def test_who_has_not_joined_the_session_can_not_acknowledge_to_its_store(
    tmp_path: Path,
) -> None:
    recorder = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert recorder.stdout is not None
    recorder.stdout.readline()
    try:
        with pytest.raises(BusError, match="follow it from within the session"):
            async with Follower(None, tmp_path, "c", EVERYTHING):
                pass
    finally:
        recorder.communicate(b"")


async def test_a_recorder_that_ends_in_the_middle_of_an_acknowledgement_costs_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    with StreamStore(folder) as store:
        record(store, "t", 1, 2, 3)
    recorder = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert recorder.stdout is not None
    recorder.stdout.readline()
    asked: list[str] = []

    def end(question: Acknowledge) -> Ack:
        asked.append(question.consumer)
        recorder.communicate(b"")
        raise BusError("it is not served here any more")

    with open_door(tmp_path / "s"):
        robot, script = (Bus(SystemClock(), host=name, door=tmp_path / "s") for name in "rs")
        robot.serve("recorder/acknowledge", Acknowledge, end, response=Ack)
        async with Follower(script, folder, "c", EVERYTHING) as follower:
            async for batch in follower.batches(live=False):
                assert values(batch) == [1.0, 2.0, 3.0]
                await follower.acknowledge(batch)
        await script.close()
        await robot.close()
    assert asked == ["c"]
    with StreamStore(folder) as store:
        assert not taken(store).records


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("record"),
            st.lists(st.tuples(st.sampled_from("tu"), st.integers(1, 40)), min_size=1, max_size=6),
        ),
        st.tuples(st.just("take"), st.integers(1, 5)),
        st.tuples(st.sampled_from(("acknowledge", "crash", "reopen")), st.just(0)),
        st.tuples(st.just("prune"), st.integers(1, 40)),
    ),
    max_size=30,
)


class Trial:
    """A store and a consumer to which anything may happen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.store, self._seq = StreamStore(folder), 0
        self.recorded: set[int] = set()
        self.given: set[int] = set()
        self.lost: set[int] = set()
        self._begin()
        acknowledge(self.store, Batch(records=[], mark=self.consumer.mark))

    def _begin(self) -> None:
        self.consumer = Consumer(self.store, "c", EVERYTHING)
        self._last: Batch | None = None

    def record(self, what: list[tuple[str, int]]) -> None:
        first, self._seq = self._seq + 1, self._seq + len(what)
        self.recorded |= set(range(first, self._seq + 1))
        numbered = enumerate(what, first)
        self.store.append([(topic, reading(seq, stamp=at)) for seq, (topic, at) in numbered])

    def take(self, most: int) -> bool:
        self._last = self.consumer.take(most_records=most)
        self.given |= {one.seq for one in self._last.records}
        return bool(self._last)

    def acknowledge(self, _: int) -> None:
        if self._last is not None:
            acknowledge(self.store, self._last)

    def crash(self, _: int) -> None:
        self.consumer.close()
        self._begin()

    def reopen(self, _: int) -> None:
        self.close()
        self.store = StreamStore(self._folder)
        self._begin()

    def prune(self, before: int) -> None:
        held = self._held()
        for topic in self.store.topics():
            prune_topic(self.store, topic, before)
        self.lost |= held - self._held()

    def counted(self) -> int:
        with self.store.file.view() as view:
            return sum(end.removed for end in read_marks(view)["c"].ends.values())

    def close(self) -> None:
        self.consumer.close()
        self.store.close()

    def _held(self) -> set[int]:
        return {one.seq for topic in self.store.topics() for one in self.store.records(topic)}


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_whatever_happens_each_record_is_given_out_or_counted_as_removed(
    steps: list[tuple[str, Any]],
) -> None:
    with tempfile.TemporaryDirectory() as place:
        trial = Trial(Path(place))
        for what, how in [*steps, ("crash", 0)]:
            getattr(trial, what)(how)
        while trial.take(1000):
            pass
        missing = trial.recorded - trial.given
        assert missing <= trial.lost
        assert len(missing) <= trial.counted() <= len(trial.lost)
        trial.close()


def test_the_table_of_late_records_shrinks_with_what_is_removed(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.append([("t", reading(5)), ("t", reading(1)), ("t", reading(2))])
        prune_topic(store, "t", 3 * S)
        with store.file.view() as view:
            assert view.trees[b"@late"].entries == 0
            assert view.trees[topic_database("t")].entries == 1
