from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from olympus.nodes.viewer.streams import Board, Cursor, Stream, finite


def plain(value: object) -> Any:
    """Return what a browser would read."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_a_new_client_gets_everything_and_then_only_what_changed() -> None:
    board, cursor = Board(), Cursor()
    board.value("a").set(1)
    board.value("b").set(2)
    board.stream("s", 10).append("x")
    assert board.news(cursor) == {"values": {"a": 1, "b": 2}, "streams": {"s": ["x"]}, "lost": {}}
    board.value("b").set(3)
    board.value("a").set(1)
    board.stream("s", 10).append("y")
    assert board.news(cursor) == {"values": {"b": 3}, "streams": {"s": ["y"]}, "lost": {}}
    assert board.news(cursor) == {"values": {}, "streams": {}, "lost": {}}


def test_a_slow_client_is_told_how_much_it_missed() -> None:
    board, cursor = Board(), Cursor()
    stream = board.stream("logs", 3)
    board.news(cursor)
    for number in range(5):
        stream.append(number)
    assert board.news(cursor) == {"values": {}, "streams": {"logs": [2, 3, 4]}, "lost": {"logs": 2}}


@given(st.lists(st.integers(0, 7), max_size=30), st.integers(1, 12))
def test_no_item_comes_twice_and_what_does_not_come_is_counted(
    bursts: list[int], keep: int
) -> None:
    board, cursor = Board(), Cursor()
    told: list[int] = []
    lost = made = 0
    board.stream("s", keep)
    board.news(cursor)
    for burst in bursts:
        for _ in range(burst):
            board.stream("s", keep).append(made)
            made += 1
        news = plain(board.news(cursor))
        told += news["streams"].get("s", [])
        lost += news["lost"].get("s", 0)
    assert told == sorted(set(told))
    assert len(told) + lost == made


def test_a_number_json_cant_carry_becomes_null() -> None:
    assert [finite(x) for x in (math.nan, math.inf, 1.23456)] == [None, None, 1.2346]


def test_a_stream_knows_only_what_it_keeps() -> None:
    stream = Stream(2)
    for letter in "abc":
        stream.append(letter)
    assert stream.since(0) == ["b", "c"]
    assert stream.since(3) == []
