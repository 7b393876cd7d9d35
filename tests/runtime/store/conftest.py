"""A recording in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.runtime.store.mcap_recording import BEGAN, header, messages

from olympus.runtime.messages import Twist
from olympus.runtime.store import Incoming, Run, StreamStore


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return the folder of a recording with something of every kind, and a gap."""
    folder = tmp_path / "recording"
    with StreamStore(folder, is_durable=False) as store:
        store.begin_run(Run(number=0, session="drive", started=BEGAN, seen=BEGAN))
        store.append(messages())
        store.add([Incoming("rover/twist", BEGAN + 10**9, 9, "rover/node", 0, missed="thinned")])
        last = Twist(header=header(10, "t"), linear_mps=0.0, angular_radps=0.0)
        store.append([("rover/twist", last)])
        store.end_run(BEGAN + 2 * 10**9)
    return folder
