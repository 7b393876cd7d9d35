"""`olympus console`: the operator's place: the state at a glance, and the stop under every finger.

Standard library only, like `olympus stop`. Space, Enter or Escape stop; anything else that is no
command stops too, since a person in a hurry does not aim.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from olympus.runtime.errors import ConfigError, SafetyError
from olympus.runtime.safety.client import Outcome, SafetyClient, UnguardedError
from olympus.runtime.safety.status import Status

LOOK_S = 0.5
BY = "operator at the console"
HELP = "space/Enter stop   k kill   r reset   q leave   any other key stops"
_CLEAR = "\r\x1b[K"


def run(client: SafetyClient, name: str, options: argparse.Namespace) -> int:
    """Show the state and obey keys until `q` is pressed.

    Args:
        client: The guardian.
        name: The session.
        options: `by`.

    Returns:
        0.

    Raises:
        ConfigError: Standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise ConfigError("a console needs a terminal; in a script use `olympus stop`")
    with _keys() as fd:
        _say(f"{name}: {HELP}\n")
        while True:
            key = _key(fd, LOOK_S)
            if key in ("q", "Q"):
                _say("\n")
                return 0
            if key:
                _say(f"{_CLEAR}{act(client, key, options.by)}\n")
            _say(_CLEAR + told(client))


def act(client: SafetyClient, key: str, by: str) -> str:
    """Carry out a key, and say what came of it.

    Args:
        client: The guardian.
        key: `r` resets, `k` kills, whatever else stops.
        by: Who pressed it.
    """
    if key in ("r", "R"):
        return _outcome("reset", client.reset(by))
    if key in ("k", "K"):
        return _outcome("kill", client.kill("key at the console", by))
    return _outcome("stop", client.stop("key at the console", by))


def told(client: SafetyClient) -> str:
    """Say in a line how things stand."""
    try:
        seen = client.status()
    except UnguardedError:
        return "this launch has no guardian: nothing may move"
    except SafetyError:
        return "no guardian answers: nothing may move"
    return _line(seen)


def _line(seen: Status) -> str:
    head = f"{seen.state} for {seen.since_s:.0f} s"
    if seen.is_permitted:
        return f"{head}, permitted by {seen.by}"
    waiting = f"; in the way: {'; '.join(seen.blockers)}" if seen.blockers else "; r permits motion"
    return f"{head}: {seen.cause or 'not permitted yet'}{waiting}"[:160]


def _outcome(what: str, outcome: Outcome) -> str:
    clock = time.strftime("%H:%M:%S")
    return f"{clock} {what} {outcome.result}: {outcome.text} ({outcome.elapsed_s * 1000:.0f} ms)"


def _key(fd: int, seconds: float) -> str:
    if not select.select([fd], [], [], seconds)[0]:
        return ""
    raw = os.read(fd, 64)
    return raw.decode(errors="replace")[:1] if raw else "q"


@contextmanager
def _keys() -> Iterator[int]:
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield fd
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
