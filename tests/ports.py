"""A port for a server that is started later, by another process, and is to have it by then."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@contextmanager
def claimed_port() -> Iterator[int]:
    """Give a port of 127.0.0.1 that nobody else takes within the block.

    It lies below those that the kernel gives to whoever asks for any, as it would give one that
    was bound and let go; and it is claimed by a name, so that another worker takes another one.
    """
    least = int(_RANGE.read_text().split()[0])
    for port in itertools.chain(range(least - 1, 1024, -1), [0]):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
            try:
                claim.bind(f"\0olympus-tests-have-port-{port}")
                found = _bound(port)
            except OSError:
                continue  # another worker's, or somebody's who was here before
            yield found
            return
    raise AssertionError("no port is free")


def _bound(port: int) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        found: int = probe.getsockname()[1]
        return found
