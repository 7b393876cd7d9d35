from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.models.registry import ZOO
from olympus.runtime.launch.run import check_launch

LAUNCH = """
nodes:
  look: {{uses: olympus.nodes.detector, params: {{model_host: {host}, model: {model}}}}}
  models: {{uses: olympus.nodes.model_host, params: {{models: [{served}]}}}}
"""


@pytest.mark.parametrize(
    ("host", "model", "served", "told"),
    [
        ("models", "person-obstacle", "person-obstacle", ""),
        ("models", "person-obstacle", "sound-events", "which it does not serve; known: sound"),
        ("modles", "person-obstacle", "person-obstacle", "did you mean 'models'?"),
        ("models", "FOLDER", "person-obstacle", "name the same folder in both"),
        ("models", "FOLDER", "FOLDER", ""),
    ],
)
def test_a_model_that_is_asked_where_it_is_not_served_is_told(
    write: Callable[..., Path], tmp_path: Path, host: str, model: str, served: str, told: str
) -> None:
    folder = shutil.copytree(ZOO / "person-obstacle", tmp_path / "other")
    text = LAUNCH.format(host=host, model=model, served=served).replace("FOLDER", str(folder))
    found = [note for note in check_launch(write(text)).notes if note.startswith("look asks ")]
    assert len(found) == bool(told)
    assert all(told in note for note in found)
