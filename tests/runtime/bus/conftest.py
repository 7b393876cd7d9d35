"""A session with a hub, for what Zenoh carries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.bus.hub import open_hub
from olympus.runtime.config import Session, new_session


@pytest.fixture
def session(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    made = new_session("bus")
    with open_hub(made):
        yield made
