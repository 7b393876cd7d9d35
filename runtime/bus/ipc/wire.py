"""One end of the socket that carries records: sending one at once, and taking in what came.

`make_wire` takes the one in C (quick/wires.c) where it is built; the one here does the same, but
for packets in the board (quick/ring.c): it never says that it is awake, and so gets none.
"""

from __future__ import annotations

import socket
import threading
from typing import Any, Protocol

from olympus.runtime.bus.ipc.records import MANY, MOST_PACKET
from olympus.runtime.quick import quick

_BUDGET = 64
"""Records read before other things of the event loop get their turn, give or take a packet."""


class Ends(Protocol):
    """Who is at an end of a wire: takes in what it brings, in the event loop."""

    def on_record(self, record: bytes | memoryview, later: bool) -> None:
        """Take in a record; with `later`, more are waiting and `on_batch` follows."""

    def on_many(self, packet: bytes) -> int:
        """Take in a packet of several records; returns how many."""

    touched: dict[int, Any]
    """What waits for `on_batch`, which is not called without."""

    def on_batch(self) -> None:
        """Know that nothing more is waiting, or that it is time for something else."""

    def on_error(self, number: int) -> bool:
        """Tell whether reading goes on after an error of this number."""

    def close(self) -> None:
        """Know that nothing comes any more."""

    def note_end(self) -> None:
        """Know that nobody reads what is sent any more; from any thread."""


class Wire:
    """Sends from any thread, reads in the event loop."""

    def __init__(
        self, ends: Ends, data: socket.socket, cells: memoryview, lock: threading.Lock
    ) -> None:
        """Know it.

        Args:
            ends: Is told what comes.
            data: Our end; does not block.
            cells: Of our board, where the other side sees how many packets were sent.
            lock: Held while something is sent, so that nothing overtakes.
        """
        self.is_stuck = False
        """Whether something waits already, so that nothing may overtake it."""
        self.is_single = False
        """Whether no other record came together with the one that is at hand."""
        self.received = 0
        """How many packets."""
        self._sent = 0
        self._cells, self._send_data, self._recv = cells, data.send, data.recv
        self._lock, self._ends, self._is_closed = lock, ends, False
        self._theirs: memoryview | None = None

    def meet(self, cells: memoryview) -> None:
        """Know the other side's board, which says how many packets it has sent."""
        self._theirs = cells

    def post(self, record: bytes) -> bool:
        """Send a record at once; False if it can't go, so that somebody has to see to it."""
        self._lock.acquire()  # quicker than `with`
        try:
            return not self.is_stuck and self.send(record)
        except OSError:
            self._ends.note_end()
            return True
        finally:
            self._lock.release()

    def send(self, packet: bytes) -> bool:
        """Send a packet whatever waits, under the lock; False if there is no room.

        Raises:
            OSError: The other side is gone.
        """
        try:
            self._cells[0] = self._sent = self._sent + 1
            self._send_data(packet)
        except BlockingIOError:
            self._cells[0] = self._sent = self._sent - 1
            return False
        return True

    def read(self) -> None:
        """Take in what came, up to a point."""
        budget, on_record = _BUDGET, self._ends.on_record
        while budget > 0 and not self._is_closed:
            try:
                packet = self._recv(MOST_PACKET)
            except BlockingIOError:
                break
            except OSError as error:
                if self._ends.on_error(error.errno or 0):
                    continue
                packet = b""
            if not packet:
                self._ends.close()
                break
            self.received = received = self.received + 1
            theirs = self._theirs
            more = theirs is None or theirs[0] > received
            if packet[0] == MANY:
                self.is_single = False
                budget -= max(1, self._ends.on_many(packet))
            else:
                self.is_single = not more and budget == _BUDGET
                budget -= 1
                on_record(packet, more)
            if not more:
                break
        return self._ends.on_batch() if self._ends.touched else None

    def close(self) -> None:
        """Neither send nor read any more."""
        self.is_stuck = self._is_closed = True


def make_wire(
    ends: Ends, data: socket.socket, cells: memoryview, lock: threading.Lock, intake: Any
) -> Wire:
    """Return the quickest wire there is here; arguments as for `Wire`, and see intake.py."""
    if quick is None:
        return Wire(ends, data, cells, lock)
    made: Wire = quick.Wire(ends, data.fileno(), cells, lock, MANY, _BUDGET, intake)
    return made
