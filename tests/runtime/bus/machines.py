"""Two machines for tests: network namespaces with a cable between them, where this process may make
them, else two gateways on the loopback interface.

The hub and the hosts' buses stay in this process: a unix socket knows no namespace. What runs in a
namespace is what faces the network, the gateway.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a gateway runs."""

    address: str
    port: int
    namespace: str = ""

    @property
    def command(self) -> list[str]:
        """What goes before a command to run it on this machine."""
        return ["ip", "netns", "exec", self.namespace] if self.namespace else []

    def link(self, state: str) -> None:
        """Pull the cable out (`down`) or put it back (`up`)."""
        _ip("netns", "exec", self.namespace, "ip", "link", "set", "cable", state)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def can_make_namespaces() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"oly{os.getpid()}probe"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except subprocess.CalledProcessError:
        return False
    return True


@contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """Two namespaces with one cable; they reach nothing but each other."""
    stem = f"oly{os.getpid()}n{next(_numbers)}"
    names = [stem + end for end in "ab"]
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("netns", "exec", name, "ip", "link", "set", "lo", "up")
        _ip("-n", names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable",
            "netns", names[1])  # fmt: skip
        for number, name in enumerate(names, 1):
            _ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
        yield Machine("10.77.0.1", 7447, names[0]), Machine("10.77.0.2", 7447, names[1])
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def loopback_machine() -> Machine:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Machine("127.0.0.1", probe.getsockname()[1])


def gateway_command(machine: Machine) -> list[str]:
    return [*machine.command, sys.executable, "-m", "olympus.runtime.bus.gateway"]
