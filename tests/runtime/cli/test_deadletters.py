"""What a node in another process can't handle is kept by the recorder, and dealt with by hand."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.messages import decode
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
