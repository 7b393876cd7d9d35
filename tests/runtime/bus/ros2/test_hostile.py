"""What comes from the graph is refused clearly and counted, and nothing of it is kept for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.ros2 import participant
from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.rihs import type_hash
from olympus.runtime.bus.ros2.tallies import Row
from olympus.runtime.bus.ros2.wire import Attachment, entity_of
from olympus.runtime.bus.ros2.zenoh_session import open_ros_session
from olympus.runtime.errors import BusError, MessageError

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Join, Until

pytestmark = pytest.mark.e2e
SWITCH = "std_srvs/srv/SetBool"
TOKEN = (
    "@ros2_lv/0/aa/0/1/MP/%/%/{node}/{topic}/std_msgs::msg::dds_::String_/RIHS01_00/::,10:,:,:,,"
)


def key(one: Participant, name: str, type_: str) -> str:
    package, kind, title = type_.split("/")
    hash_ = type_hash(one.codecs.catalogue, type_)
    return f"0/{name}/{package}::{kind}::dds_::{title}_/{hash_}"


@pytest.fixture
async def stranger(router: str) -> AsyncIterator[zenoh.Session]:
    """Somebody in the router's graph who keeps to no rule."""
    with closing(open_ros_session("peer", connect=[router], listen=["tcp/127.0.0.1:0"])) as one:
        yield one


@pytest.mark.parametrize(
    "text",
    [
        TOKEN.format(node="\x1b[2J", topic="%a"),
        TOKEN.format(node="robot", topic="%a\r%b"),
        TOKEN.format(node="robоt", topic="%a"),  # noqa: RUF001  a letter that only looks like an o
        TOKEN.format(node="robot", topic="%a").replace("/0/aa", "/x/aa"),
        TOKEN.format(node="robot", topic="%a").replace("10:", "ten:"),
        TOKEN.format(node="robot", topic="%a").replace("/MP/", "/XX/"),
        "@ros2_lv/0/aa/0/1/MP/%/%/robot",
    ],
)
def test_a_token_that_is_none_or_that_a_terminal_would_obey_says_nothing(text: str) -> None:
    assert entity_of(TOKEN.format(node="robot", topic="%a")) is not None
    assert entity_of(text) is None


async def test_a_strangers_tokens_are_counted_and_the_graph_goes_on(
    join: Join, stranger: zenoh.Session, until: Until
) -> None:
    one = join()
    wrong = stranger.liveliness().declare_token("@ros2_lv/0/what/is/this")
    right = stranger.liveliness().declare_token(TOKEN.format(node="robot", topic="%a"))
    await until(lambda: one.tallies.refused["graph"])
    await until(lambda: "/robot" in {e.full_node for e in one.backend.entities()})
    right.undeclare()  # type: ignore[no-untyped-call]
    wrong.undeclare()  # type: ignore[no-untyped-call]
    await until(lambda: "/robot" not in {e.full_node for e in one.backend.entities()})


def test_a_number_that_jumps_or_runs_backwards_is_no_loss() -> None:
    row = Row()
    for seq, lost in ((5, 0), (7, 1), (2**62, 0), (8, 0), (-3, 0), (0, 0)):
        assert row.gap(Arrival(b"g" * 16, seq, 0)) == lost


class Switch:
    """A service of ours that counts what it is asked."""

    def __init__(self, one: Participant) -> None:
        self.asked, self._one = 0, one
        self.gate = asyncio.Event()
        self.gate.set()
        one.node("robot").serve("/switch", SWITCH, self._answer)
        self.key = key(one, "switch", SWITCH)
        self.request = one.codecs.get(f"{SWITCH}_Request").encode(
            one.new(f"{SWITCH}_Request", data=True)
        )

    async def _answer(self, _request: Any) -> Any:
        self.asked += 1
        await self.gate.wait()
        return self._one.new(f"{SWITCH}_Response", success=True)


async def replies(session: zenoh.Session, key: str, payload: bytes, **more: Any) -> list[Any]:
    def ask() -> list[Any]:
        return list(session.get(key, payload=payload, timeout=20.0, **more))

    return await asyncio.to_thread(ask)


async def test_a_request_of_any_number_is_answered_once_and_one_without_is_refused(
    join: Join, stranger: zenoh.Session
) -> None:
    one = join()
    switch = Switch(one)
    async with asyncio.timeout(20):
        first = Attachment(1, 0, bytes(16)).to_bytes()
        while not await replies(stranger, switch.key, switch.request, attachment=first):
            await asyncio.sleep(0.05)
    switch.asked = 0
    one.tallies.refused.clear()
    for seq in (1, 1, 0, -(2**63), 2**63 - 1):
        attached = Attachment(seq, time.time_ns(), b"g" * 16).to_bytes()
        (reply,) = await replies(stranger, switch.key, switch.request, attachment=attached)
        assert Attachment(*_read(reply.ok.attachment)).seq == seq
    assert switch.asked == 5
    for wrong in (None, b"", bytes(32), bytes(34), bytes(16) + b"\xff" + bytes(16)):
        assert await replies(stranger, switch.key, switch.request, attachment=wrong) == []
    attached = Attachment(1, 0, bytes(16)).to_bytes()
    (reply,) = await replies(stranger, switch.key, b"\x00", attachment=attached)
    assert "between 4 and" in reply.err.payload.to_string()
    assert (switch.asked, one.tallies.refused["/switch"]) == (5, 6)


def _read(raw: zenoh.ZBytes) -> tuple[int, int, bytes]:
    data = raw.to_bytes()
    return int.from_bytes(data[:8], "little", signed=True), 0, data[17:]


async def test_a_flood_of_requests_is_bounded_and_counted(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(participant, "MOST_REQUESTS", 3)
    server, asker = join(), join()
    switch = Switch(server)
    switch.gate.clear()
    client = asker.node("asker").client("/switch", SWITCH)
    flood = [asyncio.create_task(client.call(timeout_s=20)) for _ in range(5)]
    done, waiting = await asyncio.wait(flood, timeout=20, return_when=asyncio.FIRST_EXCEPTION)
    while len(done) < 2:
        more, waiting = await asyncio.wait(waiting, timeout=20, return_when="FIRST_COMPLETED")
        done |= more
    for task in done:
        with pytest.raises(BusError, match="3 requests are being answered"):
            task.result()
    assert server.tallies.refused["/switch"] == 2
    switch.gate.set()
    assert [answer.success for answer in await asyncio.gather(*waiting)] == [True] * 3
    assert (await client.call(timeout_s=20)).success


@pytest.mark.parametrize("manner", ["twice", "never", "nonsense", "error", "unnumbered"])
async def test_a_server_that_keeps_to_no_rule_harms_nobody(
    join: Join, stranger: zenoh.Session, manner: str
) -> None:
    one = join()
    response = one.codecs.get(f"{SWITCH}_Response")
    good = response.encode(one.new(f"{SWITCH}_Response", success=True, message="yes"))

    def answer(query: zenoh.Query) -> None:
        with query:
            if manner == "error":
                query.reply_err("out of order \x1b[2J")
            elif manner == "nonsense":
                query.reply(query.key_expr, good[:6], attachment=query.attachment)
            elif manner != "never":
                numbered = Attachment(9**9, 0, b"w" * 16).to_bytes()
                attached = None if manner == "unnumbered" else numbered
                for _ in range(2 if manner == "twice" else 1):
                    query.reply(query.key_expr, good, attachment=attached)

    queryable = stranger.declare_queryable(
        key(one, "switch", SWITCH), Callback(answer, indirect=False), complete=True
    )
    client = one.node("asker").client("/switch", SWITCH)
    await client.wait_served(20)
    for _ in range(3):
        if manner in ("twice", "unnumbered"):
            assert (await client.call(timeout_s=20)).message == "yes"
            continue
        with pytest.raises((BusError, MessageError)) as refusal:
            await client.call(timeout_s=1.0 if manner == "never" else 20)
        assert "/switch" in str(refusal.value) or SWITCH in str(refusal.value)
        assert "\x1b" not in str(refusal.value), "a terminal would obey"
    assert one.tallies.refused["/switch"] == (3 if manner == "nonsense" else 0)
    queryable.undeclare()  # type: ignore[no-untyped-call]


def test_a_type_with_odd_characters_is_refused_by_its_name(codecs: Codecs) -> None:
    for odd in (
        "std_msgs/msg/Str\x1b[2J",
        "a/b/c/d",
        "../msg/X",
        "std_msgs/msg/",
        "msg",
        "é/msg/X",
    ):
        with pytest.raises(MessageError) as refusal:
            codecs.get(odd)
        assert "\x1b" not in str(refusal.value)
