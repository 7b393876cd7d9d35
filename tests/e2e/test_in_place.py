"""A camera's picture lies in one place in memory, whoever looks at it, in whichever host."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Empty

HERE = Path(__file__).with_name("in_place")
LOOKERS = ("beside", "other", "third")
ENOUGH = 20
ON_THE_WAY = 2
"""Pictures between camera and publisher at most: one is written, one waits to be published."""
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]


@pytest.fixture
def places_type(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    import looking  # type: ignore[import-not-found]  # it lies beside its launch file

    yield looking.Places
    del sys.modules["looking"]


@pytest.fixture
def robot(tmp_path: Path) -> Iterator[Launched]:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((240, 320, 3), 80 * number, np.uint8))
    with tempfile.TemporaryDirectory(prefix="ip") as short:
        words = [f"source:={tmp_path}?loop=true"]
        with Launched(HERE / "in_place.yaml", *words, root=Path(short)) as launched:
            launched.until_active()
            yield launched


async def test_no_host_copies_a_picture_that_the_camera_wrote(
    robot: Launched, places_type: Any
) -> None:
    async with robot.joined() as seat:
        found: dict[str, dict[int, tuple[str, int, int]]] = {name: {} for name in LOOKERS}

        async def look() -> None:
            for name in LOOKERS:
                told = await seat.bus.call(f"{name}/places", Empty(), places_type, timeout_s=10.0)
                for file, (seq, inode, at) in zip(told.names, told.rows.tolist(), strict=True):
                    found[name][seq] = file, inode, at

        while not all(found.values()):
            await look()
        # As long as no other host listens, a picture is written into ordinary memory: those on
        # their way when the last began to listen are passed over.
        first = max(max(rows) for rows in found.values()) + ON_THE_WAY
        while (
            len(common := [n for n in set.intersection(*map(set, found.values())) if n > first])
            < ENOUGH
        ):
            await look()
    for seq in common:
        where = {name: rows[seq] for name, rows in found.items()}
        assert len(set(where.values())) == 1, f"picture {seq} lies in several places: {where}"
        file, inode, _ = where["beside"]
        assert inode > 0, f"picture {seq} lies in no memory file: {where}"
        assert file.startswith("/memfd:"), f"picture {seq} lies in {file}"
