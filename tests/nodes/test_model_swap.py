from __future__ import annotations

import asyncio
import threading

import pytest

from olympus.models.onnx import OnnxModel
from olympus.models.registry import ZOO, StoredModel
from olympus.nodes.model_host import ModelHost
from olympus.runtime.errors import ServiceError
from olympus.runtime.messages import Ack
from olympus.runtime.messages.inference import Infer, SwapModel
from olympus.runtime.node.testing import running
from olympus.runtime.qos import Tier


class SlowHost(ModelHost):
    """Loads its second version when it is let."""

    may_load = threading.Event()
    is_loading = threading.Event()
    was_let = True

    def load(self, stored: StoredModel) -> OnnxModel:
        if self._models:
            self.is_loading.set()
            type(self).was_let = self.may_load.wait(5)
        model = super().load(stored)
        assert isinstance(model, OnnxModel)
        return model


async def test_questions_are_answered_while_a_way_back_waits_for_a_way_there() -> None:
    folder = str(ZOO / "sound-events")
    async with running(SlowHost, params={"models": ["sound-events"]}, name="models") as bench:

        def swap(to: str) -> asyncio.Task[Ack]:
            wish = SwapModel(model="sound-events", to=to)
            return asyncio.create_task(bench.bus.call("models/swap", wish, Ack, timeout_s=20))

        there = swap(folder)
        assert await asyncio.to_thread(SlowHost.is_loading.wait, 20)
        back = swap("")
        asked = Infer(model="nosuch", tier=Tier.HIGH, deadline=0, source="t", tensors=())
        for _ in range(3):
            with pytest.raises(ServiceError, match="serves no model 'nosuch'"):
                await bench.bus.call("models/infer", asked)
        SlowHost.may_load.set()
        assert (await there).ok
        assert (await back).ok
    assert SlowHost.was_let
