"""The nursery: a process that has imported what every host needs, and forks the hosts.

Who looks at the nodes' classes before hosts start (`olympus.runtime.launch.looking`) is forked too.

A host that is forked begins where a new interpreter would be after half a second of imports, shares
what was imported with its siblings, and has their address layout. The nursery runs no thread and
no event loop, imports no node and opens nothing: it has nothing that a host could inherit in a
state that makes no sense.

Run by the launcher as `python -m olympus.runtime.launch.nursery LAUNCHER ROOM`; its standard input
is a socket on which an order comes for each host: JSON, and the descriptors of `Order`. The host is
forked twice, so that it becomes a child of the launcher (see `olympus.runtime.launch.adopting`),
tells it so on the order's own socket, and begins when it is told to: what the launcher has given up
by then, and started in another way, never runs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.commandline import show
from olympus.runtime.lifeline import tie_to_parent

MODULE = "olympus.runtime.launch.nursery"
HOST_MODULE = "olympus.runtime.node.host"
GO = b"go"
"""What a host waits for."""
ROOM = "-" * 512
"""An argument that holds the place for the command line that a host shows."""
_LONGEST = 64 * 1024
_ADOPTED_S = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """What the launcher asks for; with it come four descriptors, or five.

    They are the host's output, its status pipe, its lifeline, its standard input where it has one,
    and the socket of this order, on which the host says its process id, or the nursery why there
    is none.
    """

    words: list[str]
    """The command line it would be executed with, `python -m MODULE ...`, and shows."""
    status: int
    """Number of the status pipe in the host, as its spec has it."""
    lifeline: int
    """Number of the lifeline in the host."""

    def encoded(self) -> bytes:
        """Return it as it goes over the socket."""
        return json.dumps(asdict(self)).encode()


def prepare() -> None:
    """Import what every host needs.

    Raises:
        LaunchError: An import left a thread or an open descriptor behind.
    """
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    gc.disable()  # a host turns it on again; what is here stays as it is, and so shared
    importlib.import_module(HOST_MODULE)
    end_pools()
    if more := _descriptors() - {0, 1, 2}:
        raise LaunchError(f"importing the runtime left descriptors open: {sorted(more)}")
    if problem := threads_problem():
        raise LaunchError(problem)
    gc.freeze()  # no `collect`: it would write to 20 MB that are shared, and find next to nothing


def threads_problem() -> str:
    """Return why it can't be forked now; empty when it can."""
    count = len(list(Path("/proc/self/task").iterdir()))
    return "" if count == 1 else f"{count} threads run in the nursery, and only one may"


def serve(channel: socket.socket, launcher: int) -> ModuleType | None:
    """Fork a host for each order, until the launcher hangs up.

    Args:
        channel: Where orders come.
        launcher: Process id of the one who is to be the parent of the hosts.

    Returns:
        In each host, the module that it is to run; in the nursery None, at the end.
    """
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, _LONGEST, 5, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return None
        order = Order(**json.loads(data))
        with socket.socket(fileno=descriptors.pop()) as answer:
            is_host = _forked(answer)
            if is_host:
                channel.detach()
                _become_host(order, descriptors, answer, launcher)
        if is_host:
            return _begun(order.words)
        for descriptor in descriptors:
            os.close(descriptor)


def _forked(answer: socket.socket) -> bool:
    """Fork a grandchild whose parent has gone; tell whether this is it."""
    if problem := threads_problem():
        _tell(answer, problem)
        return False
    try:
        middle = os.fork()
        if middle:
            os.waitpid(middle, 0)
            return False
    except OSError as error:
        _tell(answer, f"it can't fork: {error.strerror}")
        return False
    try:
        if os.fork():
            os._exit(0)
    except OSError as error:
        _tell(answer, f"it can't fork: {error.strerror}")
        os._exit(1)
    return True


def _become_host(
    order: Order, descriptors: Sequence[int], answer: socket.socket, launcher: int
) -> None:
    """Be as if just executed, tell the launcher, and wait for its word."""
    try:
        os.setsid()
        answer = _take_places(order, descriptors, answer)
        _await_parent(launcher)
        show(order.words)
        answer.send(json.dumps({"pid": os.getpid()}).encode())
        if answer.recv(len(GO)) != GO:
            os._exit(1)
        answer.close()
    except OSError as error:
        _tell(answer, f"a host can't begin: {error}")
        os._exit(1)


def _begun(words: Sequence[str]) -> ModuleType:
    """Let the interpreter be as if just executed; return the module that it would run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    importlib.invalidate_caches()
    module = importlib.import_module(words[2])
    sys.argv, sys.orig_argv = [str(module.__file__), *words[3:]], list(words)
    # `random` seeds itself anew after a fork, numpy's own generator does not.
    if (generator := sys.modules.get("numpy.random")) is not None:
        generator.seed()
    gc.enable()
    return module


def _take_places(order: Order, descriptors: Sequence[int], answer: socket.socket) -> socket.socket:
    """Put each descriptor where the host expects it, close the others; return the moved answer."""
    output, status, lifeline, *stdin = descriptors
    above = max(order.status, order.lifeline) + 1
    aside = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, above) for one in (status, lifeline)]
    moved = socket.socket(fileno=fcntl.fcntl(answer.fileno(), fcntl.F_DUPFD_CLOEXEC, above))
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for source, number in (((*stdin, nothing)[0], 0), (output, 1), (output, 2)):
        os.dup2(source, number)
    for one in (nothing, *descriptors):
        os.close(one)
    answer.close()
    for source, number in zip(aside, (order.status, order.lifeline), strict=True):
        os.dup2(source, number, inheritable=False)
        os.close(source)
    return moved


def _await_parent(launcher: int) -> None:
    """Wait until the launcher is the parent: the kernel makes it so when the middle one ends.

    Raises:
        OSError: It does not come to that.
    """
    until = time.monotonic() + _ADOPTED_S
    while os.getppid() != launcher:
        if time.monotonic() > until:
            raise OSError(errno.ECHILD, f"the launcher is not its parent, but {os.getppid()} is")
        time.sleep(0.0005)


def _tell(answer: socket.socket, problem: str) -> None:
    with contextlib.suppress(OSError):  # whoever asked may have given up
        answer.send(json.dumps({"problem": problem}).encode())


def end_pools() -> None:
    """Fork once for nothing: OpenBLAS, which numpy brings, ends its threads before a fork.

    It starts them again where it is used, in a host that multiplies large matrices.
    """
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _descriptors() -> set[int]:
    """Return what is open, without what looking takes."""
    found = list(Path("/proc/self/fd").iterdir())
    return {int(entry.name) for entry in found if entry.is_symlink()}


def main() -> int:
    """Serve the launcher that is named first; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    tie_to_parent()
    launcher = int(sys.argv[1])
    if os.getppid() != launcher:
        return 1  # it ended before we were tied to it
    return run(socket.socket(fileno=0), launcher)


def run(channel: socket.socket, launcher: int) -> int:
    """Be the nursery; in a host, run it. Return the exit code.

    Args:
        channel: Where orders come: descriptor 0.
        launcher: Process id of the one who is to be the parent of the hosts.
    """
    try:
        prepare()
    except LaunchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    show([sys.executable, "-m", MODULE])
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    module = serve(channel, launcher)
    if module is None:
        return 0
    code: int = module.main(sys.argv[1:])
    return code


if __name__ == "__main__":
    raise SystemExit(main())
