"""A recording of real processes runs again in this one, and every message is the same."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from olympus.runtime.errors import ParamError
from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Ack, Text
from olympus.runtime.node.journal import Kind
from olympus.runtime.replay.engine import Engine
from olympus.runtime.replay.outcome import Outcome
from olympus.runtime.replay.recording import Recording
from olympus.runtime.replay.rows import read_rows
from olympus.runtime.replay.whatif import what_if
from olympus.runtime.store import StreamStore

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
HERE = Path(__file__).resolve().parent
MODEL_HOST = HERE.parents[2] / "launch" / "model_host.yaml"
APART = {"a": ["source"], "b": ["thinker"], "c": ["judge", "leaver"], "recorder": ["recorder"]}
TOGETHER = {"all": ["source", "recorder", "thinker", "judge", "leaver"]}
PAIRS = {"a": ["thinker", "source"], "b": ["judge", "recorder", "leaver"]}
NODES = {
    name: {"uses": f"replay_nodes:{name.capitalize()}"}
    for name in ("source", "thinker", "judge", "leaver")
}


@contextmanager
def recorded(hosts: dict[str, list[str]], doing: Callable[[Launched], None]) -> Iterator[Path]:
    """Record a launch of the nodes in some grouping while something is done."""
    with tempfile.TemporaryDirectory(prefix="oly") as name:
        root = Path(name)
        shutil.copy(HERE / "replay_nodes.py", root)
        recorder = {
            "uses": "olympus.nodes.recorder",
            "params": {"journal": True, "path": str(root / "record"), "is_durable": False},
        }
        nodes = {**NODES, "judge": {**NODES["judge"], "depends_on": []}, "recorder": recorder}
        respawn = {"policy": "always", "delay_s": 0.1, "max_delay_s": 0.5}
        launch = {
            "telemetry": {"journal": True},
            "hosts": {host: {"nodes": ids, "respawn": respawn} for host, ids in hosts.items()},
            "nodes": nodes,
        }
        file = root / "launch.yaml"
        file.write_text(json.dumps(launch))
        with Launched(file, root=root) as robot:
            robot.until_active(110)
            doing(robot)
        yield root / "record"


def run_again(store: Path, **options: object) -> Outcome:
    with Recording(store) as recording:
        return Engine(recording, **options).run()  # type: ignore[arg-type]


def for_a_while(robot: Launched) -> None:
    time.sleep(2.0)
    assert robot.command("param", "set", "thinker", "gain", "2.5").returncode == 0
    time.sleep(1.0)


def with_two_who_ask(robot: Launched) -> None:
    async def ask() -> None:
        async with robot.joined() as seat:
            questions = (seat.call("judge/consider", Text(text=name)) for name in "ab")
            answers: list[Ack] = await asyncio.gather(*questions)
            assert [one.text for one in answers] == ["a", "b"]

    asyncio.run(ask())
    time.sleep(0.5)


def with_a_kill(robot: Launched) -> None:
    time.sleep(1.0)
    os.kill(robot.ledger("b")["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while robot.ledger("b").get("restarts") != 1 or robot.ledger("b").get("state") != "ready":
        robot.check("it is back", deadline)
        time.sleep(0.05)
    time.sleep(1.5)


@pytest.mark.parametrize("hosts", [TOGETHER, PAIRS], ids=["together", "pairs"])
def test_whatever_the_grouping_every_message_comes_again(hosts: dict[str, list[str]]) -> None:
    with recorded(hosts, for_a_while) as store:
        outcome = run_again(store)
        assert outcome.differences == []
        assert outcome.is_equal
        assert sorted(outcome.nodes) == ["judge", "leaver", "thinker"]
        assert outcome.tallies["word"].equal > 200
        assert min(outcome.tallies[name].equal for name in ("thought", "pulse", "verdict")) > 30
        assert outcome.decisions > 100
        again = run_again(store)
        digests = {name: one.digest for name, one in outcome.tallies.items()}
        assert {name: one.digest for name, one in again.tallies.items()} == digests


def test_a_node_that_waits_for_a_lock_of_its_own_does_not_hold_up_the_replay() -> None:
    with recorded(TOGETHER, with_two_who_ask) as store:
        outcome = run_again(store, keep_going=True)
        assert outcome.notes == ["judge waited for what its journal does not tell of"]
        assert outcome.tallies["word"].equal > 20  # the others ran to the end


def test_a_host_that_was_killed_begins_anew_in_the_replay_too() -> None:
    with recorded(APART, with_a_kill) as store:
        outcome = run_again(store)
        assert outcome.differences == []
        if not outcome.is_equal:  # killed after it was heard by others, before by the recorder
            reasons = [one.why for one in outcome.apart.values() if not one.is_meant]
            assert reasons and all("which was lost when" in why for why in reasons)
        assert outcome.tallies["thought"].equal > 30
        check_tampering(store, outcome)
        check_loss(store)


def test_a_model_of_a_model_host_runs_again_in_the_node_that_asked() -> None:
    """Its answers are in the journal as checksums; the host's scheduler is decided again too."""
    with tempfile.TemporaryDirectory(prefix="oly") as name:
        root, store = Path(name), Path(name) / "record"
        words = ["replay:=true", "viewer_port:=0", "planner:=false", f"recorder.path:={store}"]
        with Launched(MODEL_HOST, *words, root=root, go=True) as robot:
            robot.until_active(110)
            time.sleep(4.0)
        outcome = run_again(store)
        assert outcome.differences == []
        assert outcome.is_equal
        seen = outcome.tallies["rover/detections"].equal
        assert seen > 5
        assert outcome.computed["person-obstacle"] >= seen
        assert outcome.decisions > 2 * seen  # of the model host's scheduler too


def check_loss(store: Path) -> None:
    """Take what was heard of the killed host last out of the recording: nobody tells of it now."""
    with Recording(store) as recording:
        ends: dict[str, list[int]] = {}
        heard: list[tuple[int, int]] = []
        for host, _, pieces in recording.journals():
            rows = list(read_rows(pieces))
            ends.setdefault(host, []).append(rows[-1].at_ns)
            messages = [row.fields for row in rows if row.kind is Kind.MESSAGE]
            times = [row.at_ns for row in rows if row.kind is Kind.MESSAGE]
            heard += [
                (at_ns - since_sent, seq)
                for at_ns, (_, topic, _, seq, _, since_sent, _) in zip(times, messages, strict=True)
                if topic == "thought"
            ]
        began_again = recording.new_reel("thought")
        sent = {one.seq: one.sent for one in began_again.rest()}  # of each number the last
    lost, seq = max((at, seq) for at, seq in heard if ends["b"][0] < at < min(sent.values()))
    assert sent[seq] > lost, "no other message has its number"
    without = store.with_name("without")
    copy_but(store, without, ("thought", seq, lost))
    outcome = run_again(without)
    assert outcome.differences == []
    assert not outcome.is_equal
    why = f"it took thought no. {seq} of thinker, which was lost when that one's host was killed"
    assert outcome.apart["judge"].why == why
    assert "judge" not in outcome.nodes
    assert outcome.tallies["word"].equal > 30


def copy_but(store: Path, to: Path, but: tuple[str, int, int]) -> None:
    """Copy a recording, but for one message: by topic, number and sending time."""
    with StreamStore(store, read_only=True) as old, StreamStore(to) as new:
        for run in old.runs():
            new.begin_run(run)
        for topic in old.topics():
            messages = list(old.read(topic))
            hops = [(one.header.seq, one.header.trace[-1].sent) for one in messages]
            kept = [one for one, hop in zip(messages, hops, strict=True) if (topic, *hop) != but]
            assert len(messages) - len(kept) == (topic == but[0])
            new.append([(topic, one) for one in kept])
        new.end_run(max(run.ended or run.seen for run in old.runs()))


def check_tampering(store: Path, before: Outcome) -> None:
    """Change the code, leave nodes out, stop early: all on one recording, to save time."""
    nodes = sys.modules["replay_nodes"]
    nodes.GAIN = 1.0 + 1e-9  # type: ignore[attr-defined]
    try:
        changed = run_again(store)
        assert not changed.is_equal
        first = changed.differences[0]
        assert (first.topic, first.field, first.source) == ("thought", "linear_mps", "thinker")
        assert first.seq >= 1
        assert float(first.recorded) == pytest.approx(float(first.replayed), rel=1e-6)
        assert first.recorded != first.replayed
        without = run_again(store, inject=["thinker"])
        assert without.is_equal
        assert without.nodes == ["judge", "leaver"]
        assert without.tallies["verdict"].equal >= before.tallies["verdict"].equal
    finally:
        nodes.GAIN = 1.0  # type: ignore[attr-defined]
    with Recording(store) as recording:
        assert not any(one.field for one in what_if(recording, {}).changes)
        changes = what_if(recording, {"thinker": {"gain": 3.0}}).changes
        with pytest.raises(ParamError, match="no node 'thinkr'"):
            what_if(recording, {"thinkr": {"gain": 3.0}})
    found = {one.topic: one for one in changes if one.field}
    assert set(found) == {"thought", "pulse", "verdict"}
    # The first message may be one that the handler refuses: then a pulse tells of it first.
    assert found["thought"].field == "linear_mps"
    assert float(found["thought"].new) == pytest.approx(3 * float(found["thought"].old), rel=1e-6)
    assert [one.at_s for one in changes[:3]] == sorted(one.at_s for one in found.values())
    begun = run_again(store, until_s=0.001)
    assert set(begun.unjournaled) <= set(before.unjournaled), "not known so early"
    half_s = (before.ended_ns - before.began_ns) / 2e9
    half = run_again(store, until_s=half_s)
    assert half.differences == []
    assert half.is_equal
    assert half.ended_ns <= before.began_ns + half_s * 1e9
    assert half.compared < before.compared
