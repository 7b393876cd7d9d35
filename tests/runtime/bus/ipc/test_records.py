"""Records: what one picture leaves behind for the next changes nothing in it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import Packed, Packing
from olympus.runtime.messages import Array, Header, Hop, Message, message

ALONE = Header(seq=3, stamp=5, trace=(Hop("camera", 3, 5, 6),))
LED_BY = Header(seq=3, stamp=5, trace=(Hop("lamp", 1, 2, 3), Hop("camera", 3, 5, 6)))
Pixels = Annotated[NDArray[Any], Array("u1", (None, None))]


@message("test/Plate")
class Plate(Message):
    """A picture, and what can be compared in a moment."""

    name: str
    number: int
    is_lit: bool
    data: Pixels


@message("test/Plot")
class Plot(Message):
    """A picture, and what looks equal and is not."""

    gain: float
    data: Pixels


fields = st.one_of(
    st.tuples(st.just(Plate), st.sampled_from(["", "1"]), st.integers(0, 1), st.booleans()),
    st.tuples(st.just(Plot), st.sampled_from([0.0, -0.0, 1.0])),
)
shapes = st.sampled_from([(300, 300), (90_000, 1), (400, 300)])
SQUARE = (300, 300)


@given(st.lists(st.tuples(fields, shapes, st.sampled_from([ALONE, LED_BY])), max_size=8))
@example([((Plot, 0.0), SQUARE, ALONE), ((Plot, -0.0), SQUARE, ALONE)])
@example([((Plate, "", 1, True), SQUARE, ALONE), ((Plate, "", 0, True), SQUARE, ALONE)])
@example([((Plate, "", 1, True), SQUARE, ALONE), ((Plate, "", 1, True), SQUARE, LED_BY)])
@example([((Plate, "", 1, True), SQUARE, ALONE), ((Plate, "", 1, True), (90_000, 1), ALONE)])
def test_a_record_after_others_is_the_record_alone(
    stream: list[tuple[tuple[Any, ...], tuple[int, int], Header]],
) -> None:
    pools = Pools()
    after = {cls: Packing(cls, 7, pools) for cls in (Plate, Plot)}
    for (cls, *values), shape, header in stream:
        data = pools.loan(shape, np.uint8)
        assert data is not None
        made = cls(**dict(zip(list(cls.__annotations__)[:-1], values, strict=True)), data=data)
        found, alone = after[cls].record(made, header), Packing(cls, 7, pools).record(made, header)
        assert isinstance(found, Packed) and found == alone
        assert not data.flags.writeable
        del data, made
    pools.close()
