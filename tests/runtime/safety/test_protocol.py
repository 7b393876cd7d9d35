"""The protocol: a stop is understood whenever it can be, all else must be right."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.protocol import (
    ConditionReport,
    ResetRequest,
    StatusRequest,
    StopRequest,
    parse,
    printable,
)


@pytest.mark.parametrize(
    ("raw", "request_"),
    [
        (b"stop", StopRequest("stop", "unnamed")),
        (b" STOP\n", StopRequest("stop", "unnamed")),
        (b'{"op":"stop"}', StopRequest("unnamed", "unnamed")),
        (b'{"op":"stop","cause":7,"by":[]}', StopRequest("unnamed", "unnamed")),
        (b'{"op":"stop","cause":"a\\u0000b","by":"c"}', StopRequest("a?b", "c")),
        (b'{"op":"reset","by":"a","latch":3}', ResetRequest("a", 3)),
        (b'{"op":"status"}', StatusRequest()),
        (b'{"op":"condition","name":"a","ok":true}', ConditionReport("a", True, "")),
        (
            b'{"op":"condition","name":"a","ok":true,"good_for_s":5}',
            ConditionReport("a", True, "", 5.0),
        ),
    ],
)
def test_requests_are_understood(raw: bytes, request_: object) -> None:
    assert parse(raw) == (request_, None)


@pytest.mark.parametrize(("mark", "back"), [(7, 7), ("x", "x"), ([[]], None), (None, None)])
def test_a_mark_comes_back_if_it_is_plain(mark: object, back: object) -> None:
    assert parse(json.dumps({"op": "status", "id": mark}).encode())[1] == back


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 2048, "no JSON"),
        (b"[]", "not an object"),
        (b"7", "not an object"),
        (b"{}", "op=None is no request"),
        (b'{"op":"stopp"}', "did you mean 'stop'"),
        (b'{"op":[[1]]}', "op=a list"),
        (b'{"op":"reset"}', "by=None must be a text"),
        (b'{"op":"reset","by":" ","latch":0}', "by=' ' must be a text"),
        (b'{"op":"reset","by":"a"}', "latch=None must be a whole number"),
        (b'{"op":"reset","by":"a","latch":true}', "latch=True must be"),
        (b'{"op":"reset","by":"a","latch":1.0}', "latch=1.0 must be"),
        (b'{"op":"condition","name":"a","ok":1}', "ok=1 must be true or false"),
        (b'{"op":"condition","name":"a","ok":true,"good_for_s":0}', "good_for_s=0 must be above 0"),
        (b'{"op":"condition","name":"a","ok":true,"good_for_s":3601}', "at most 3600"),
        (b'{"op":"condition","name":"a","ok":true,"good_for_s":NaN}', "good_for_s=nan must be"),
        (b'{"op":"condition","name":"a","ok":true,"good_for_s":true}', "good_for_s=True must be"),
        (b'{"op":"condition","name":"a","ok":true,"good_for_s":"5"}', "good_for_s='5' must be"),
        (b'{"op":"condition","name":"' + b"a" * 49 + b'","ok":true}', "shorten it"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, words: str) -> None:
    with pytest.raises(SafetyError) as raised:
        parse(raw)
    assert words in str(raised.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.sampled_from(["stop", "reset", "status", "condition"])
        for name in ("op", "by", "cause", "latch", "name", "ok", "text", "id")
    },
)


@given(FIELDS.map(lambda found: json.dumps(found).encode()) | st.binary(max_size=2048))
def test_anything_is_understood_or_refused_and_can_be_told(raw: bytes) -> None:
    try:
        request, mark = parse(raw)
    except SafetyError as error:
        assert json.dumps({"error": str(error)})
        return
    assert json.dumps({"id": mark})
    for text in (getattr(request, name, "") for name in ("cause", "by", "name", "text")):
        assert text.encode() == printable(text).encode()
