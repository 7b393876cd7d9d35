from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from olympus.nodes.recorder import Recorder
from olympus.runtime.bus import PublisherOptions
from olympus.runtime.bus.link import Origin
from olympus.runtime.bus.spill import Frame
from olympus.runtime.config import Session
from olympus.runtime.messages import Diagnostic, Header, Reading, encode
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.store import StreamStore


def params(folder: Path, *topics: str, **more: Any) -> dict[str, Any]:
    return {"path": str(folder), "topics": list(topics) or ["rover/**"], **more}


async def publish(bench: Bench[Recorder], topic: str, count: int, *, text: str = "") -> None:
    for n in range(count):
        await bench.send(topic, Reading(name="a", value=float(n), unit="1", text=text))


def values(folder: Path, topic: str) -> list[float]:
    """Read a recorded topic."""
    with StreamStore(folder, read_only=True) as store:
        return [m.value for m in store.read(topic) if isinstance(m, Reading)]


async def finish(bench: Bench[Recorder]) -> None:
    """End the recording as a graceful stop does."""
    await bench.runner.change(Transition.DEACTIVATE)
    await bench.runner.change(Transition.CLEANUP)


def last_words(caplog: pytest.LogCaptureFixture) -> str:
    texts = [record.getMessage() for record in caplog.records]
    return [text for text in texts if text.startswith("recording is")][-1]


async def test_every_message_of_the_chosen_topics_is_recorded_under_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(Recorder, params=params(tmp_path)) as bench:
        await publish(bench, "rover/a", 100)
        await publish(bench, "rover/deep/b", 50)
        await publish(bench, "elsewhere", 10)
        await finish(bench)
        assert (bench.node.recorded, bench.node.unrecorded, bench.node.gaps) == (150, 0, 0)
    assert values(tmp_path, "rover/a") == [float(n) for n in range(100)]
    assert len(values(tmp_path, "rover/deep/b")) == 50
    with StreamStore(tmp_path, read_only=True) as store:
        assert sorted(store.topics()) == ["rover/a", "rover/deep/b"]
    assert last_words(caplog) == "recording is complete"


async def test_what_has_expired_is_recorded_too(tmp_path: Path) -> None:
    async with running(Recorder, params=params(tmp_path)) as bench:
        stamp = bench.node.clock.now_ns() - 10**10
        header = Header(stamp=stamp, expires=stamp + 1)
        await bench.send("rover/a", Reading(header=header, name="a", value=1.0, unit="1"))
        await finish(bench)
    assert values(tmp_path, "rover/a") == [1.0]


async def test_it_flushes_while_it_runs(tmp_path: Path) -> None:
    async with running(Recorder, params=params(tmp_path, flush_hz=20.0)) as bench:
        await publish(bench, "rover/a", 3)
        deadline = time.monotonic() + 10
        while bench.node.recorded < 3:
            assert time.monotonic() < deadline
            await bench.node.clock.sleep(0.02)


async def test_a_gap_is_told_counted_and_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(Recorder, params=params(tmp_path, "rover/a")) as bench:
        publisher = bench.bus.publisher("rover/a", Reading, PublisherOptions(node="sensor"))
        publisher.publish(Reading(name="a", value=1.0, unit="1"))
        await bench.runner.change(Transition.DEACTIVATE)
        for _ in range(3):
            publisher.publish(Reading(name="a", value=2.0, unit="1"))
        await bench.runner.change(Transition.ACTIVATE)
        publisher.publish(Reading(name="a", value=3.0, unit="1"))
        await finish(bench)
        assert bench.node.gaps == 3
    with StreamStore(tmp_path, read_only=True) as store:
        assert [(g.after_seq, g.missing, g.source) for g in store.gaps()] == [(1, 3, "sensor")]
    assert last_words(caplog) == "recording is NOT complete"
    assert "3 messages of rover/a are missing after no. 1" in caplog.text


async def test_what_is_no_message_makes_a_recording_incomplete_and_an_unknown_type_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent = Reading(header=Header(seq=1, stamp=5, source="n"), name="a", value=1.0, unit="1")
    strange = encode(sent).replace(b"olympus/Reading", b"olympus/Strange")
    for frame, word in ((strange, "complete"), (b"nonsense", "NOT complete")):
        async with running(Recorder, params=params(tmp_path / word, "rover/a")) as bench:
            (subscription, *_) = bench.node._subscriptions
            subscription.push(Frame(frame), Origin("rover/a", "n", 1, 1))
            await finish(bench)
        assert last_words(caplog) == f"recording is {word}"
        caplog.clear()
    with StreamStore(tmp_path / "complete", read_only=True) as store:
        assert [one.frame for one in store.records("rover/a")] == [strange]


async def test_in_a_session_a_recording_can_be_stopped_and_taken_up_again(
    tmp_path: Path, session: Session
) -> None:
    async with running(Recorder, params=params(tmp_path), session=session) as bench:
        await publish(bench, "rover/a", 2)
        await bench.runner.change(Transition.DEACTIVATE)
        await bench.runner.change(Transition.ACTIVATE)
        await publish(bench, "rover/a", 2)
        await finish(bench)
        assert (bench.node.recorded, bench.node.gaps) == (4, 0)


async def test_a_full_store_loses_loudly_and_keeps_what_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(Recorder, params=params(tmp_path, max_mb=16, flush_hz=0.1)) as bench:
        await publish(bench, "rover/a", 10)
        await bench.node.clock.sleep(0)
        await bench.node.flush()
        kept = bench.node.recorded
        await publish(bench, "rover/a", 3000, text="x" * 8000)
        while bench.node.waiting < 3010 - kept:
            await bench.node.clock.sleep(0.01)
        await bench.node.flush()
        fitted = bench.node.recorded
        assert kept < fitted < 3010
        assert bench.node.unrecorded == 3010 - fitted
        told = await bench.receive("diagnostics")
        while not (isinstance(told, Diagnostic) and told.level == "error"):
            told = await bench.receive("diagnostics")
        await finish(bench)
    assert "full" in told.text
    assert len(values(tmp_path, "rover/a")) == fitted
    assert last_words(caplog) == "recording is NOT complete"


async def test_a_second_run_goes_on_in_the_same_store(tmp_path: Path) -> None:
    for _ in range(2):
        async with running(Recorder, params=params(tmp_path)) as bench:
            await publish(bench, "rover/a", 5)
            await finish(bench)
            assert bench.node.gaps == 0
    assert len(values(tmp_path, "rover/a")) == 10


WRITER = """
import asyncio, sys, time
from olympus.nodes.recorder import Recorder
from olympus.runtime.messages import Reading
from olympus.runtime.node.testing import running

async def main():
    params = {"path": sys.argv[1], "topics": ["t"], "flush_hz": 5.0}
    async with running(Recorder, params=params) as bench:
        for n in range(10**9):
            await bench.send("t", Reading(name="a", value=float(n), unit="1"))
            if n % 10 == 0:
                sys.stdout.write(f"{n} {time.monotonic()}\\n")
                sys.stdout.flush()
            await asyncio.sleep(0.001)

asyncio.run(main())
"""


@pytest.mark.e2e
def test_a_killed_recorder_loses_at_most_a_flush_period(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(200)]
    os.kill(writer.pid, signal.SIGKILL)
    killed = time.monotonic()
    lines += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    sent = [
        (int(n), float(at)) for n, at in (line.split() for line in lines if line.endswith("\n"))
    ]
    kept = values(tmp_path, "t")
    assert kept == [float(n) for n in range(len(kept))]  # whole, in order, none twice
    lost_since = next((at for n, at in sent if n >= len(kept)), killed)
    assert killed - lost_since < 0.2 + 0.8  # a period, and what a busy machine may add
