"""Records made in C: byte for byte those that Python makes, or none."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import Packing, make_outlet
from olympus.runtime.messages import Header, Hop, Message
from olympus.runtime.messages.parts import parts_of
from olympus.runtime.qos import Tier
from olympus.runtime.quick import quick, why_not

from .shapes import MADE_UP, REGISTERED, UNSET, Number, Plain, Refusing, bare, instances

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
CHANNEL = 5
_numbers = st.integers(0, 2**64 - 1) | st.sampled_from([-1, 2**64, True, Number(3), 1.5, None, ""])
_tiers = st.sampled_from([*Tier, 255, 256, -1, 3, "low", None])
_hops = st.builds(
    Hop, st.text(max_size=5), _numbers, _numbers, _numbers | st.just(0)
) | st.sampled_from([None, ("t", 1, 2, 3)])
_traces = st.lists(_hops, min_size=1, max_size=1).map(tuple) | st.lists(_hops, max_size=3)


class InPython(Packing):
    """Packs as where nothing is built."""

    def __init__(self, cls: type[Message]) -> None:
        super().__init__(cls, CHANNEL, Pools())
        self._outlet = self._calls = None


class InC(Packing):
    """Says whether C made a record."""

    def __init__(self, cls: type[Message]) -> None:
        super().__init__(cls, CHANNEL, Pools())

    def plain(self, message: Any, header: Any) -> Any:
        """Return the record that C makes, None where it leaves it to Python."""
        assert self._outlet is not None
        return self._outlet.record(message, header)


def headers() -> st.SearchStrategy[Any]:
    """Return headers, of which some can't travel."""
    good = st.builds(
        bare,
        st.just(Header),
        st.fixed_dictionaries(
            {
                "seq": _numbers, "stamp": _numbers, "expires": _numbers, "tier": _tiers,
                "source": st.text(max_size=3), "trace": _traces,
            }
        ),
    )  # fmt: skip
    unset = st.builds(bare, st.just(Header), st.just({}))
    return good | unset | st.sampled_from([None, UNSET, Header()])


def made(act: Any, *given: Any) -> Any:
    """Return a record's bytes, or what is raised."""
    try:
        record = act(*given)
    except Exception as error:  # noqa: BLE001  whichever it is, the other side must raise it too
        return type(error), str(error)
    return record if isinstance(record, bytes) else (record.data, len(record.slots))


def first(seq: int = 1, **other: Any) -> Header:
    """Return the header of a message that nothing else led to."""
    return Header(seq=seq, stamp=2, source="n", trace=(Hop("t", seq, 2, 3),), **other)


PLAIN = [cls for cls in (*MADE_UP, *REGISTERED) if not parts_of(cls).has_arrays]
"""What C makes records of."""


@pytest.mark.parametrize("cls", PLAIN, ids=lambda cls: cls.__name__)
@settings(max_examples=12)
@given(data=st.data())
def test_a_record_is_byte_for_byte_that_of_python(cls: type[Message], data: Any) -> None:
    value = data.draw(instances(cls, damaged=data.draw(st.booleans())))
    header = data.draw(st.just(first()) | headers())
    ours, theirs = InC(cls), InPython(cls)
    plain = ours.plain(value, header)
    reference = made(theirs.record, value, header)
    assert plain is None or plain == reference
    assert made(ours.record, value, header) == reference


def test_what_is_plain_is_made_in_c() -> None:
    value = Refusing(number=1, text="a")
    assert InC(Refusing).plain(value, first()) is not None
    late = Header(seq=1, expires=9, tier=Tier.LOW, trace=(Hop("t", 1, 2, 3),))
    assert InC(Refusing).plain(value, late) is not None


@pytest.mark.parametrize("length", [24_573, 24_574, 24_575, 70_000])
def test_a_body_too_long_for_a_packet_is_for_python(length: int) -> None:
    empty = len(msgpack.packb([1, "x" * 24_576])) - 24_576
    value = Refusing(number=1, text="x" * length)
    plain = InC(Refusing).plain(value, first())
    assert (plain is not None) == (length + empty <= 24_576)
    packing = InPython(Refusing)
    if plain is not None:
        assert plain == packing.record(value, first())


def test_the_header_is_the_one_that_is_given() -> None:
    value = Refusing(header=first(7), number=1, text="a")
    ours, theirs = InC(Refusing), InPython(Refusing)
    assert ours.record(value, first(8)) == theirs.record(value, first(8))


def test_a_packer_goes_on_after_what_it_could_not_pack() -> None:
    ours, theirs = InC(Refusing), InPython(Refusing)
    broken, whole = Refusing(number=1, text="\ud800"), Refusing(number=2, text="a")
    for packing in (ours, theirs):
        assert made(packing.record, broken, first())[0].__name__ == "MessageError"
    assert ours.record(whole, first()) == theirs.record(whole, first())


@pytest.mark.parametrize("given", [(), (1,), (1, 2, 3)], ids=len)
def test_a_wrong_number_of_arguments_is_refused(given: tuple[int, ...]) -> None:
    assert quick is not None
    outlet = make_outlet(parts_of(Plain), msgpack.packb, CHANNEL, Pools())
    with pytest.raises(TypeError, match="a message and a header"):
        outlet.record(*given)
