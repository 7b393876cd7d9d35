"""Acknowledgements of consumers, on their way into the recorder's next commit."""

from __future__ import annotations

import asyncio
from pathlib import Path

from olympus.runtime.errors import StoreError
from olympus.runtime.messages import Ack
from olympus.runtime.messages.consuming import Acknowledge
from olympus.runtime.store.consumers import Mark
from olympus.runtime.store.following import mark_of

Waiting = tuple[Mark, "asyncio.Future[None]"]


class Acknowledgements:
    """What consumers of one store acknowledged and is not written yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.resolve())
        self._waiting: list[Waiting] = []

    async def written(self, question: Acknowledge, now_ns: int) -> Ack:
        """Take an acknowledgement, and answer when it is on the disk.

        Raises:
            StoreError: It can't be written, or makes no sense.
        """
        if question.folder != self._folder:
            return Ack(ok=False, text=f"here it is recorded to {self._folder}")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((mark_of(question, now_ns), done))
        await done
        return Ack(ok=True)

    def taken(self) -> list[Waiting]:
        """Return what is to be written, and have it no more."""
        taken, self._waiting = self._waiting, []
        return taken


def settle(written: list[Waiting], error: StoreError | None) -> None:
    """Tell those who wait what came of it.

    Args:
        written: What `taken` returned.
        error: Why it was not written; None when it was.
    """
    for _, done in written:
        if done.done():
            continue  # who asked has given up
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
