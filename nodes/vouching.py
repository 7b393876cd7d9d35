"""Tells the guardian about conditions: each change at once, and all again every second.

Again, since a guardian that was killed and came back knows nothing of what it was told before; and
since a word is good for `GOOD_S` only: one whose node hangs, or whose sensor says nothing any more,
is worth nothing.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import SafetyError
from olympus.runtime.node import Node
from olympus.runtime.safety.client import SafetyClient

AGAIN_S = 1.0
GOOD_S = 5.0
"""Several times `AGAIN_S`: a busy moment is no silence."""


class Voucher:
    """One node's word on conditions that motion depends on."""

    def __init__(self, node: Node, safety_dir: Path) -> None:
        """Speak for a node to the guardian of a safety directory."""
        self._client = SafetyClient(safety_dir)
        self._node, self._log = node, node.log
        self._told: dict[str, tuple[bool, int]] = {}
        self._is_deaf = False

    async def tell(self, name: str, *, is_ok: bool, text: str) -> None:
        """Tell a condition, if it changed or was told long ago.

        Args:
            name: The condition.
            is_ok: Whether it is good; what is not trips, and stands against a reset.
            text: What is the matter, or how it stands.
        """
        was_ok, at = self._told.get(name, (None, 0))
        if was_ok is is_ok and self._node.clock.now_ns() - at < AGAIN_S * NS_PER_S:
            return
        if was_ok is not None and was_ok is not is_ok:
            say = self._log.info if is_ok else self._log.warning
            say(f"{name}: {text}")
        try:
            await self._node.act("report", partial(self._report, name, is_ok, text))
        except SafetyError as error:
            if not self._is_deaf:
                self._log.error(f"the guardian does not take the state of the {name}: {error}")
            self._is_deaf = True
        else:
            self._is_deaf = False
            self._told[name] = (is_ok, self._node.clock.now_ns())

    def _report(self, name: str, is_ok: bool, text: str) -> None:
        self._client.report(name, ok=is_ok, text=text, good_for_s=GOOD_S)
