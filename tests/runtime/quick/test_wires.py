"""A wire in C: whose records are whose, what comes out of it, what is left when it is closed."""

from __future__ import annotations

import asyncio
import select
import subprocess
import sys
import threading
from typing import Any

import pytest

from olympus.runtime.messages import Message, message
from olympus.runtime.qos import QoS
from olympus.runtime.quick import quick, why_not

from .ends import End, record

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
FIRST = [""]
checking, others = threading.Event(), threading.Event()


@message("quick/Slow")
class Slow(Message):
    """Takes its time to be made, in which other threads run; and then is for Python."""

    text: str

    def __post_init__(self) -> None:
        if self.text == "wait":
            checking.set()
            assert others.wait(20)


async def test_what_python_takes_in_after_all_is_what_came_though_another_thread_read() -> None:
    here, there = End(), End()
    subscription = here.listen(Slow, print, QoS.queue(4), FIRST)
    there_read = b"\x01" * 200

    def read_there() -> None:
        assert checking.wait(20)
        there.send(there_read)
        there.wire.read()
        others.set()

    thread = threading.Thread(target=read_there)
    thread.start()
    came = record(3, ["wait"])
    here.send(came)  # one is missing: Python takes it in, and counts
    here.wire.read()
    thread.join()
    assert there.records == [there_read]
    assert here.records == [came]
    await subscription.close()
    here.end()
    there.end()


async def test_an_error_of_who_takes_in_a_record_comes_out_of_the_read() -> None:
    end = End()
    for error in (ValueError("no"), KeyboardInterrupt("stop")):
        end.error = error
        end.send(b"\x01one", b"\x01two")
        with pytest.raises(type(error)) as raised:
            end.wire.read()
        assert raised.value is error
        assert end.batches == 0
        end.error = None
        end.wire.read()
        assert (end.records, end.batches) == ([b"\x01two"], 1)
        end.records.clear()
        end.batches = 0
    end.end()


async def test_a_batch_is_told_of_where_something_waits_for_it() -> None:
    end = End()
    end.touched.clear()
    end.send(b"\x01one")
    end.wire.read()
    assert (end.records, end.batches) == ([b"\x01one"], 0)
    end.touched[1] = None
    end.wire.read()
    assert end.batches == 1
    end.end()


async def test_what_is_no_failure_of_a_handler_comes_out_of_the_read() -> None:
    end = End()

    def stop(_: Any) -> None:
        raise SystemExit(3)

    subscription = end.listen(Slow, stop, QoS.queue(), FIRST)
    end.send(record(2, ["a"]))
    with pytest.raises(SystemExit):
        end.wire.read()
    assert (end.records, subscription.stats(0).count) == ([], 2)
    await subscription.close()
    end.end()


async def test_a_wire_that_is_closed_while_it_reads_reads_no_more() -> None:
    end = End()
    came: list[Any] = []

    def close(one: Any) -> None:
        came.append(one.text)
        end.close()
        end.data.close()

    subscription = end.listen(Slow, close, QoS.queue(), FIRST)
    end.send(record(2, ["a"]), record(3, ["b"]))
    end.wire.read()
    assert (came, end.batches, end.closes, end.wire.received) == (["a"], 1, 1, 1)
    assert not end.wire.post(b"\x01late")
    assert not end.wire.send(b"\x01late")
    end.wire.read()
    assert (came, end.records, end.cells[0]) == (["a"], [], 0)
    await subscription.close()
    end.end()


async def test_what_comes_for_a_subscription_that_is_closed_is_for_python() -> None:
    end = End()
    came: list[Any] = []
    subscription = end.listen(Slow, came.append, QoS.queue(), FIRST)
    await subscription.close()
    late = record(2, ["a"])
    end.send(late)
    end.wire.read()
    assert (came, end.records) == ([], [late])
    end.end()


async def test_a_handler_may_read_on_from_within() -> None:
    end = End()
    came: list[str] = []

    def read_on(one: Any) -> None:
        came.append(f"{one.text} begins")
        end.wire.read()
        came.append(f"{one.text} ends")

    subscription = end.listen(Slow, read_on, QoS.queue(), FIRST)
    end.send(record(2, ["a"]), b"\x01odd", record(3, ["b"]), b"\x01odder")
    end.wire.read()
    assert came == ["a begins", "b begins", "b ends", "a ends"]
    assert end.records == [b"\x01odd", b"\x01odder"]
    await subscription.close()
    end.end()


def test_the_board_of_a_wire_that_is_closed_is_looked_at_no_more() -> None:
    program = """
import mmap, select, time
from olympus.runtime.quick import quick
from tests.runtime.quick.ends import End
end, epoll = End(), select.epoll()
mapped = mmap.mmap(-1, mmap.PAGESIZE)
board = memoryview(mapped).cast("Q")
end.wire.meet(board)
end.wire.close()
board.release()
mapped.close()
assert quick.events_awake(epoll.fileno(), [end.wire], time.monotonic() + 0.01) == []
print("alive")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_a_board_that_is_too_short_is_refused_and_forgotten() -> None:
    assert quick is not None
    end = End()
    with pytest.raises(ValueError, match="8 bytes at least"):
        end.wire.meet(memoryview(b"short"))
    with pytest.raises(TypeError):
        end.wire.meet(5)
    end.far.send(b"\x01one")
    end.wire.read()  # with no board, it asks the kernel until there is nothing more
    assert end.records == [b"\x01one"]
    end.end()


@pytest.mark.parametrize("packet", ["text", bytearray(b"a"), None])
def test_what_is_no_bytes_is_not_sent(packet: Any) -> None:
    end = End()
    for act in (end.wire.post, end.wire.send):
        with pytest.raises(TypeError, match="bytes"):
            act(packet)
    assert end.cells[0] == 0
    end.end()


async def test_many_wires_are_looked_at_and_what_came_is_told() -> None:
    assert quick is not None
    loop = asyncio.get_running_loop()
    ends = [End() for _ in range(70)]
    epoll = select.epoll()
    epoll.register(ends[69].data.fileno(), select.EPOLLIN)
    wires = [end.wire for end in ends]
    assert quick.events_awake(epoll.fileno(), wires, loop.time()) == []
    ends[69].send(b"\x01one")
    found = quick.events_awake(epoll.fileno(), wires, loop.time() + 20)
    assert found == [(ends[69].data.fileno(), select.EPOLLIN)]
    epoll.close()
    for end in ends:
        end.end()
