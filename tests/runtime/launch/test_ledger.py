"""`launch.json`, also where there was no room for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from olympus.runtime.launch.ledger import Ledger, read_ledger


async def test_what_a_full_disk_kept_out_is_written_later(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, {"session": "s"}, lambda: 7)
    ledger.state("starting")
    keeping = asyncio.create_task(ledger.catch_up())
    draft = tmp_path / "launch.tmp"
    draft.mkdir()  # nothing can be written there, as on a full disk
    ledger.state("running")
    assert ledger.is_behind
    assert read_ledger(tmp_path)["state"] == "starting"
    draft.rmdir()
    async with asyncio.timeout(10):
        while ledger.is_behind:
            await asyncio.sleep(0.05)
    assert read_ledger(tmp_path)["state"] == "running"
    keeping.cancel()
