"""What one end of a pair tells the other without a system call: how far it is.

Each end writes a board of its own and reads the other's. Cells are u64:

    0   packets sent            so that the reader knows whether more are waiting
    8   releases written        counts up; the newest `RING` of them are in the ring
    16  packets taken in        so that the other side knows which berths are free
    24  whether it is awake     and looks at the other side's berths before it sleeps
    32  whether others want     so that who asks it leaves a core for them
        its core
    64… the ring of releases    pool << 32 | slot
    2048… four berths           packets that need no socket, for who is awake; see quick/ring.c

There is one writer per board, and a release cell is written before its count. On a processor that
reorders (ARM), the lock that the writer takes and lets go in between keeps the two in order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from olympus.runtime.bus.ipc.memory import Memory, make_memory, map_memory

RING = 1024
"""More than the slots one end may ever hold at once (see sender.py), so it can't run over."""
_SENT, RELEASED, TAKEN_IN, AWAKE, CROWDED, _FIRST = 0, 8, 16, 24, 32, 64
BERTHS = 4
NBYTES = 81_920


class Board:
    """Our own side: written by any thread, also in the middle of a garbage collection."""

    def __init__(self) -> None:
        self.memory: Memory = make_memory(NBYTES)
        self.cells = memoryview(self.memory.map).cast("Q")
        self.dead: deque[int] = deque()
        """Slots that nobody here looks at any more; appended by whoever notices."""
        self._released = 0
        self._writing = threading.Lock()
        self._barrier = threading.Lock()

    def tell_crowded(self, is_crowded: bool) -> None:
        """Tell whether others want our core."""
        self.cells[CROWDED] = is_crowded

    def release(self, slot: int) -> None:
        """Give a slot back; never waits, so a collector may call it at any point of any thread."""
        dead, cells = self.dead, self.cells
        dead.append(slot)
        # Who holds the lock looks again after letting go of it, so nothing is left lying.
        while dead and self._writing.acquire(blocking=False):
            try:
                written = self._released
                while dead:
                    cells[_FIRST + written % RING] = dead.popleft()
                    written += 1
                self._barrier.acquire()  # what is above is in memory before what is below
                self._barrier.release()
                self._released = written
                cells[RELEASED] = written
            finally:
                self._writing.release()


class OtherBoard:
    """The other side's board, which we only read."""

    def __init__(self, descriptor: int) -> None:
        """Map it.

        Raises:
            BusError: It is no sealed memory of the right size.
        """
        self.cells = memoryview(map_memory(descriptor, NBYTES)).cast("Q")
        self.seen = 0
        """How many were returned by `releases`; cell `RELEASED` says more when some are new."""

    @property
    def sent(self) -> int:
        """How many packets the other side has sent."""
        return self.cells[_SENT]

    @property
    def is_crowded(self) -> bool:
        """Whether others want the core that the other side computes on."""
        return self.cells[CROWDED] != 0

    def releases(self) -> Sequence[int]:
        """Return the slots given back since the last call; may be called by one at a time.

        What a broken peer wrote there is for the caller to check.
        """
        count = self.cells[RELEASED]
        if count - self.seen > RING or count < self.seen:
            self.seen = max(0, count - RING)
        cells, seen = self.cells, self.seen
        self.seen = count
        if count == seen + 1:  # as of a stream, whose reader lets one go before the next
            return (cells[_FIRST + seen % RING],)
        return [cells[_FIRST + n % RING] for n in range(seen, count)]
