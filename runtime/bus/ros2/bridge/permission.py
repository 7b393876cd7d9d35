"""Whether motion is permitted, as the bridge sees it: the guardian's lease."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from olympus.runtime.safety.lease import LeaseReader

_LOOK_S = 0.05


class Permission:
    """Reads the guardian's lease; without a guardian motion is permitted."""

    def __init__(self, safety_dir: Path | None) -> None:
        """Name the safety directory; None for a session without a guardian."""
        self.place = safety_dir
        self._lease = LeaseReader(safety_dir) if safety_dir is not None else None

    def look(self) -> tuple[int, str]:
        """Return the epoch of the permission, and why there is none; empty when there is one."""
        if self._lease is None:
            return 0, ""
        view = self._lease.check(time.monotonic_ns())
        return view.epoch, "" if view.valid else f"motion is stopped ({view.why})"

    async def until_lost(self, epoch: int) -> str:
        """Wait until the permission of an epoch is gone, and return why.

        A stop that was reset between two looks has another epoch: it is not missed.
        """
        while True:
            now, why = self.look()
            if why or now != epoch:
                return why or "motion was stopped meanwhile"
            await asyncio.sleep(_LOOK_S)

    def close(self) -> None:
        """Close the lease; again is harmless."""
        if self._lease is not None:
            self._lease.close()
