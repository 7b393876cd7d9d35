from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olympus.models.onnx import OnnxModel
from olympus.models.registry import ZOO, StoredModel
from olympus.nodes.model_host import ModelHost
from olympus.runtime.config import Session
from olympus.runtime.errors import ServiceError
from olympus.runtime.messages.inference import Infer, Inferred, tensors_of
from olympus.runtime.node.testing import running
from olympus.runtime.qos import Tier

PICTURE = {"image": np.zeros((1, 120, 160, 3), np.uint8)}


class Hanging(OnnxModel):
    """A model with a single operator that does not come back, for now, and can't be aborted."""

    def begin(self, inputs: Any) -> Any:
        return partial(time.sleep, 1.0)

    def check(self, inputs: Any) -> None:
        """Take anything."""

    def abort(self, why: str = "") -> None:
        """A single operator does not look whether it should end."""


class HangingHost(ModelHost):
    """A model host whose models hang; there is no trial run that would hang already."""

    def load(self, stored: StoredModel) -> OnnxModel:
        model = Hanging.__new__(Hanging)
        model.manifest = stored.manifest.model_copy(update={"self_test": ()})
        return model


@pytest.mark.parametrize("model", ["person-obstacle", "task:look"])
@pytest.mark.parametrize("place", ["person-obstacle", "eye", "eye/manifest.yaml"])
async def test_a_model_that_hangs_ends_the_process_and_after_two_times_is_not_run_again(
    session: Session, tmp_path: Path, model: str, place: str
) -> None:
    if place.startswith("eye"):
        shutil.copytree(ZOO / "person-obstacle", tmp_path / "eye")
        place = str(tmp_path / place)
    router = {"tasks": {"look": {"candidates": [place]}}}
    params = {"models": [place], "hang_s": 0.2, "router": router}
    asked = Infer(
        model=model, tier=Tier.HIGH, deadline=0, source="test", tensors=tensors_of(PICTURE)
    )
    for _ in range(2):
        async with running(HangingHost, params=params, name="models", session=session) as bench:
            call = asyncio.create_task(bench.bus.call("models/infer", asked, Inferred))
            await until(lambda: bool(bench.crashes))
            assert "person-obstacle has hung" in bench.crashes[0]
            call.cancel()
            await asyncio.wait({call})
    async with running(HangingHost, params=params, name="models", session=session) as bench:
        with pytest.raises(ServiceError, match="hung 2 times; it is not run again"):
            await bench.bus.call("models/infer", asked, Inferred)
    assert json.loads((session.run_dir / "models.hangs").read_text()) == {"person-obstacle": 2}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
