"""Asking the recorder of a store to write something: it alone writes while it records."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from olympus.runtime.bus import Bus
from olympus.runtime.bus.joining import join
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import find_session, running_sessions
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Ack, schema_by_class
from olympus.runtime.messages.consuming import Acknowledge
from olympus.runtime.messages.letters import ForgetLetters
from olympus.runtime.store.locks import is_held
from olympus.runtime.store.reading import RECORDING

PATIENCE_S = 5.0
"""How long an answer may take, besides two periods of the recorder."""
_LOOK_S = 0.1


async def ask_recorder(
    bus: Bus, question: Acknowledge | ForgetLetters, *, timeout_s: float = PATIENCE_S
) -> str:
    """Have the recorder of the store that a question names answer it.

    Args:
        bus: Of its session.
        question: What it is to do.
        timeout_s: How long it may take, s.

    Returns:
        What it says.

    Raises:
        BusError: No recorder of that store answers.
        StoreError: It could not do it.
    """
    refusal = "nobody in the session records"
    for service in await _services(bus, schema_by_class(type(question)).name):
        answer = await bus.call(service, question, Ack, timeout_s=timeout_s)
        if answer.ok:
            return answer.text
        refusal = answer.text
    raise BusError(f"{question.folder}: no recorder of it answers: {refusal}")


def bus_of_recorder(folder: Path, session: str | None) -> Bus | None:
    """Join the session whose recorder writes to a store; None if nobody does.

    Args:
        folder: Of the store.
        session: Its name; None for that of the folder, or the only one.

    Raises:
        ConfigError: It is not running.
        BusError: It can't be reached.
    """
    if session is None and not is_held(folder / RECORDING):
        return None
    names = {one.name for one in running_sessions()}
    found = find_session(session or (folder.name if folder.name in names else None))
    return join(found, SystemClock(found.clock_offset_ns), host=f"follow-{os.getpid()}")


async def _services(bus: Bus, kind: str) -> list[str]:
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S
    while True:
        names = {one.topic for one in bus.graph() if one.kind == "srv" and one.type == kind}
        if names or loop.time() > until:
            return sorted(names)
        await asyncio.sleep(_LOOK_S)  # joined just now, or the recorder is being started again
