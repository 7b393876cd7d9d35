"""A simulated device's connection to the simulator, kept drained by a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from olympus.runtime.config import Session
from olympus.runtime.errors import DeviceError, StallError
from olympus.sim import link
from olympus.sim.feed import Feed, Item
from olympus.sim.link import Kind, Packet

_CONNECT_S = 2.0


class Line:
    """A connection to the simulator with a thread that keeps it drained."""

    def __init__(self, name: str, session: Session | None, path: str, depth: int) -> None:
        self.name = name
        self._path = link.socket_path(session, path)
        self._depth = depth
        self._socket: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._feed: Feed[Packet] = Feed(depth)
        self._seq = 0
        self.newest_at = 0.0
        """Monotonic time at which the newest packet came, s."""

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed since."""
        return self._socket is not None

    def open(self, wish: dict[str, object]) -> dict[str, object]:
        """Connect and say what is wanted.

        Returns:
            What the simulator tells about the device.

        Raises:
            DeviceError: No simulator answers, or it refuses.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_CONNECT_S)
        try:
            connection.connect(str(self._path))
            connection.sendall(link.frame_json(Kind.HELLO, wish))
            facts = self._welcome(link.receive(connection))
        except OSError as error:
            connection.close()
            raise DeviceError(
                f"{self.name}: no simulator answers at {self._path} ({error}); "
                "is the node olympus.sim.world_node running?"
            ) from error
        except DeviceError:
            connection.close()
            raise
        connection.settimeout(None)
        self._socket, self._seq, self._feed = connection, 0, Feed(self._depth)
        self._reader = threading.Thread(
            target=self._drain, args=(connection, self._feed), name=self.name, daemon=True
        )
        self._reader.start()
        return facts

    def _welcome(self, packet: Packet | None) -> dict[str, object]:
        if packet is None:
            raise DeviceError(f"{self.name}: the simulator hung up; is it still starting?")
        if packet.kind is Kind.REFUSED:
            raise DeviceError(f"{self.name}: the simulator refuses: {packet.payload.decode()}")
        return link.receive_json(packet)

    def _drain(self, connection: socket.socket, feed: Feed[Packet]) -> None:
        with contextlib.suppress(OSError, DeviceError):
            while (packet := link.receive(connection)) is not None:
                self.newest_at = time.monotonic()
                feed.put(packet)
        feed.close()

    def close(self) -> None:
        """Hang up; do nothing if it is closed."""
        connection, self._socket = self._socket, None
        if connection is None:
            return
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        if self._reader is not None:
            self._reader.join(1.0)
        connection.close()

    def next(self, timeout_s: float) -> Item[Packet]:
        """Wait for the next packet, the oldest that is kept and was not returned yet.

        Raises:
            StallError: None came in time.
            DeviceError: The line is closed or the simulator has gone.
        """
        if self._socket is None:
            raise DeviceError(f"{self.name}: it is closed; call open() first")
        item = self._feed.after(self._seq, timeout_s)
        if item is not None:
            self._seq = item.seq
            return item
        if self._feed.is_closed:
            raise DeviceError(f"{self.name}: the simulator has gone; open() finds it again")
        raise StallError(f"{self.name}: nothing came for {timeout_s:g} s; is a fault injected?")

    def newest(self) -> Packet | None:
        """Return the newest packet without waiting; None if there is none yet."""
        item = self._feed.after(self._feed.seq - 1, 0.0) if self._feed.seq else None
        return item.value if item is not None else None

    def send(self, data: bytes) -> None:
        """Send a small packet at once or not at all, from any thread.

        Raises:
            DeviceError: It can't be sent.
        """
        connection = self._socket
        if connection is None:
            raise DeviceError(f"{self.name}: it is closed; call open() first")
        try:
            # A packet of a few bytes goes whole or not at all, so threads need no lock.
            connection.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:
            raise DeviceError(
                f"{self.name}: the simulator takes no command ({error}); open() finds it again"
            ) from error

    def cut(self) -> None:
        """End the connection from any thread; the simulator then brakes."""
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
