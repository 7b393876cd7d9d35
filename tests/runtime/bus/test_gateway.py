"""What the gateway makes of the words of Zenoh's access control."""

from __future__ import annotations

from olympus.runtime.bus.gateway import Refusals

LINE = (
    "2026-11-27T11:30:15.60Z TRACE rx-1 zenoh::net::routing::interceptor::access_control: {zid} on "
    "Interface(lo)+Transport(Tls)+{zid} is unauthorized to {act} ({flow}) on {key}\n"
)
ONE, OTHER = "96a9d6eb9046b1d4", "0123456789abcdef"


def line(zid: str, act: str, key: str, flow: str = "ingress") -> bytes:
    return LINE.format(zid=zid, act=act, key=key, flow=flow).encode()


def test_one_act_is_told_the_first_second_fourth_and_eighth_time() -> None:
    told: list[tuple[str, str, str, int]] = []
    refusals = Refusals(lambda *what: told.append(what))
    for _ in range(9):
        refusals.read(line(ONE, "Put", "rover/cmd_vel"))
    assert told == [(ONE, "put", "rover/cmd_vel", count) for count in (1, 2, 4, 8)]


def test_what_comes_in_one_piece_is_told_as_one_and_the_way_out_is_left_out() -> None:
    told: list[tuple[str, str, str, int]] = []
    acts = ("Put", "Declare/Undeclare Queryable", "Put")
    text = b"".join(line(ONE, act, "a") for act in acts)
    text += line(ONE, "Reply", "a", "egress") + line(OTHER, "Query", "b/say")
    Refusals(lambda *what: told.append(what)).read(text)
    assert told == [(ONE, "put, declare queryable", "a", 1), (OTHER, "query", "b/say", 1)]


def test_a_client_that_tries_a_thousand_keys_takes_no_more_room() -> None:
    told: list[str] = []
    refusals = Refusals(lambda zid, acts, key, count: told.append(key))
    for number in range(3000):
        refusals.read(line(ONE, "Put", f"key{number}"))
    assert len(told) == 1000 + 11  # and the 1st, 2nd, 4th … of the many others
    assert told[-1] == "many keys"


def test_words_that_are_no_refusal_are_passed_over() -> None:
    told: list[object] = []
    Refusals(lambda *what: told.append(what)).read(b"\xff is unauthorized to\n" * 3)
    assert told == []
