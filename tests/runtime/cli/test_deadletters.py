"""What a node in another process can't handle is kept by the recorder, and dealt with by hand."""

from __future__ import annotations

import importlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olympus.runtime.bus.letters import TOPIC as LETTERS
from olympus.runtime.errors import StoreError
from olympus.runtime.messages import Command, Header, MissionState, decode, encode
from olympus.runtime.messages.letters import DeadLetter
from olympus.runtime.node.spec import NodeSpec
from olympus.runtime.store import StreamStore

Olympus = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
TOPIC = "rover/count"


def test_what_a_handler_refused_is_listed_shown_sent_again_and_forgotten(
    another_host: Callable[..., None], olympus: Olympus, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    params = {"path": str(folder), "topics": [TOPIC], "flush_hz": 10.0}
    another_host("kept", NodeSpec(name="recorder", uses="olympus.nodes.recorder", params=params))
    another_host("picky", NodeSpec(name="picky", uses="cli_nodes:Picky", namespace="rover"))

    def said(*words: str) -> str:
        done = olympus("store", "deadletters", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def listed() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = json.loads(said("list", str(folder), "--json"))
        return told

    deadline = time.monotonic() + 200
    while not (letters := listed()):
        assert time.monotonic() < deadline
    first = letters[0]
    assert (first["topic"], first["node"], first["reason"]) == (TOPIC, "rover/picky", "failed")
    assert (first["host"], first["sender"]) == ("picky", "rover/counter")
    assert first["seq"] % 10 == 0
    assert first["text"].endswith("is a tenth")

    place = ("--store", str(folder))
    assert f"{first['id']} " in said("list", str(folder))
    shown = json.loads(said("show", first["id"], *place, "--json"))
    assert shown["message"]["header"]["seq"] == first["seq"]
    file = tmp_path / "message"
    said("export", first["id"], str(file), *place)
    assert decode(file.read_bytes()).header.seq == first["seq"]

    def copies() -> int:
        with StreamStore(folder, read_only=True) as store:
            return len(list(store.records(TOPIC, since=first["stamp"], until=first["stamp"])))

    held = copies()
    assert "once more" in said("retry", first["id"], *place)
    while copies() <= held:  # all who subscribe got it, the recorder too
        assert time.monotonic() < deadline
        time.sleep(0.1)
    done = olympus("store", "deadletters", "show", "nothing", *place)
    assert done.returncode == 8
    assert "no dead letter 'nothing'" in done.stderr
    assert said("forget", first["id"], *place).endswith("1 dead letters are forgotten\n")
    assert first["id"] not in [one["id"] for one in listed()]
    assert olympus("store", "deadletters", "forget", *place).returncode == 2


def letter(text: str, *, expires: int, whole: bool = True) -> tuple[str, DeadLetter]:
    """Return a letter about a command that nobody could take."""
    header = Header(seq=1, stamp=1, expires=expires, source="desk")
    payload = np.frombuffer(encode(Command(header=header, text=text, verb="patrol")), np.uint8)
    about = DeadLetter(
        header=Header(seq=len(text), stamp=len(text), source="host"),
        topic="rover/command",
        node="rover/mission",
        reason="expired" if expires else "failed",
        text="no",
        payload=payload if whole else payload[:10],
        size=payload.size,
        is_frame=whole,
    )
    return LETTERS, about


def test_an_old_command_is_not_sent_again_and_moves_nothing(
    another_host: Callable[..., None], olympus: Olympus, tmp_path: Path
) -> None:
    folder, recorded = tmp_path / "store", tmp_path / "recorded"
    with StreamStore(folder) as store:
        store.append(
            [
                letter("old", expires=10**9),
                letter("short", expires=0, whole=False),
                letter("whole one", expires=0),
            ]
        )
    params = {"path": str(recorded), "topics": ["rover/mission"], "flush_hz": 10.0}
    another_host("kept", NodeSpec(name="recorder", uses="olympus.nodes.recorder", params=params))
    listed = json.loads(olympus("store", "deadletters", "list", str(folder), "--json").stdout)
    old, short, whole = (one["id"] for one in listed)

    def retry(name: str) -> subprocess.CompletedProcess[str]:
        return olympus("store", "deadletters", "retry", name, "--store", str(folder))

    refused = retry(old)
    assert refused.returncode == StoreError.exit_code
    assert f"the message of {old} expired" in refused.stderr
    refused = retry(short)
    assert refused.returncode == StoreError.exit_code
    assert f"of {short} not the whole message was kept" in refused.stderr
    sent = retry(whole)
    assert sent.returncode == 0, sent.stderr

    def missions() -> list[str]:
        with StreamStore(recorded, read_only=True) as store:
            told = store.read("rover/mission") if "rover/mission" in store.topics() else ()
            return [one.mission for one in told if isinstance(one, MissionState)]

    deadline = time.monotonic() + 100
    while "whole one" not in missions():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "old" not in missions()


def test_what_a_process_without_the_type_could_not_read_is_recorded_and_can_be_sent_again(
    another_host: Callable[..., None],
    olympus: Olympus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, topic = tmp_path / "store", "rover/oddity"
    params = {"path": str(folder), "topics": [topic], "flush_hz": 10.0}
    another_host("kept", NodeSpec(name="recorder", uses="olympus.nodes.recorder", params=params))
    another_host("strange", NodeSpec(name="odd", uses="cli_strangers:Stranger", namespace="rover"))

    def listed() -> list[dict[str, Any]]:
        done = olympus("store", "deadletters", "list", str(folder), "--json")
        assert done.returncode == 0, done.stderr
        told: list[dict[str, Any]] = json.loads(done.stdout)
        return told

    deadline = time.monotonic() + 200
    while not (letters := listed()):
        assert time.monotonic() < deadline
    first = letters[0]
    nodes = {one["node"] for one in letters if one["topic"]}
    assert nodes == {"rover/odd"}  # the recorder takes it as it comes
    assert (first["topic"], first["reason"]) == (topic, "schema")
    assert "unknown message type 'cli/Oddity'" in first["text"]

    def copies() -> int:
        with StreamStore(folder, read_only=True) as store:
            stamp = first["stamp"]
            return sum(1 for _ in store.records(topic, since=stamp, until=stamp))

    held = copies()
    done = olympus("store", "deadletters", "retry", first["id"], "--store", str(folder))
    assert done.returncode == 0, done.stderr
    while copies() <= held:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    oddity = importlib.import_module("cli_nodes").Oddity
    with StreamStore(folder, read_only=True) as store:
        numbers = [one.header.seq for one in store.read(topic) if isinstance(one, oddity)]
        assert len(numbers) > 10
        assert not [gap for gap in store.gaps() if gap.source == first["sender"]]
