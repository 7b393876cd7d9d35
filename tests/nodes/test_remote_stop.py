"""Stops from other machines: what is sealed stops, what is not is answered with its reason."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from olympus.nodes.remote_stop import RemoteStop
from olympus.runtime.config import Session
from olympus.runtime.messages import Ack, Text
from olympus.runtime.node.testing import running
from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.seal import seal
from olympus.runtime.safety.settings import Settings

KEY = bytes(range(32))


@pytest.fixture
def client(session: Session) -> Iterator[SafetyClient]:
    keys = session.run_dir / "keys"
    keys.write_text(f"tower {KEY.hex()}\n")
    keys.chmod(0o600)
    started = spawn.start(Settings(session.safety_dir, watch={"x": 1.0}, keys_file=keys))
    yield SafetyClient(session.safety_dir)
    started.process.kill()
    started.process.wait()


def order(key: bytes = KEY) -> Text:
    sealed = seal(key, "tower", time.time_ns(), op="stop", cause="smoke", by="ada")
    return Text(text=sealed)


async def answer_to(bench: Any, text: Text) -> Ack:
    await bench.send("safety/sealed", text)
    found = await bench.receive("safety/sealed_answer")
    assert isinstance(found, Ack)
    return found


async def test_a_sealed_stop_stops_once(session: Session, client: SafetyClient) -> None:
    async with running(RemoteStop, session=session) as bench:
        genuine = order()
        assert (await answer_to(bench, genuine)).ok
        assert client.status().cause == "smoke"
        assert "replayed" in (await answer_to(bench, genuine)).text
        assert "forged" in (await answer_to(bench, order(bytes(32)))).text
        assert client.status().latch == 1


async def test_without_a_guardian_the_answer_says_so(session: Session) -> None:
    async with running(RemoteStop, session=session) as bench:
        assert "no guardian answers" in (await answer_to(bench, order())).text
