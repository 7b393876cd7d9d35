from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from olympus.models.describe import describe, main
from olympus.models.onnx import open_model
from olympus.runtime.errors import ModelError

MakeModel = Callable[..., Path]
README = Path(__file__).resolve().parents[2] / "models" / "README.md"


@pytest.fixture
def lone_file(make_model: MakeModel) -> Path:
    """An ONNX file without a manifest."""
    folder = make_model("made")
    (folder / "manifest.yaml").unlink()
    return (folder / "small.onnx").rename(folder / "My Cats 2.onnx")


def test_a_draft_is_a_manifest_that_runs(lone_file: Path) -> None:
    assert main([str(lone_file), "--task", "classify", "--labels", "a", "b"]) == 0
    model = open_model(str(lone_file.parent))
    assert model.manifest.name == "my-cats-2"
    assert model.manifest.labels == ("a", "b")
    assert model.manifest.inputs[0].shape == ("batch", 4)
    assert model.run({"x": np.ones((3, 4), np.float32)})["y"].shape == (3, 4)


def test_a_manifest_that_is_there_is_left_alone(lone_file: Path) -> None:
    assert main([str(lone_file)]) == 0
    before = (lone_file.parent / "manifest.yaml").read_bytes()
    assert main([str(lone_file), "--task", "detect"]) == 2
    assert (lone_file.parent / "manifest.yaml").read_bytes() == before


def test_a_file_that_is_no_onnx_gets_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "notes.onnx").write_text("notes")
    assert main([str(tmp_path / "notes.onnx")]) == ModelError.exit_code
    assert not (tmp_path / "manifest.yaml").exists()
    with pytest.raises(ModelError, match=r"absent\.onnx: can't be read"):
        describe(tmp_path / "absent.onnx")


def test_the_example_of_the_readme_runs(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model("brightness").parent / "my_models" / "brightness"
    folder.mkdir(parents=True)
    (folder.parents[1] / "brightness" / "small.onnx").rename(folder / "brightness.onnx")
    monkeypatch.chdir(folder.parents[1])
    text = README.read_text(encoding="utf-8")
    (shell,) = re.findall(r"```sh\npython -m olympus\.models\.describe (.*?)\n```", text)
    assert main(shell.split()) == 0
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), names)
    outputs = names["outputs"]
    assert isinstance(outputs, dict)
    assert outputs["y"].tolist() == [[2, 2, 2, 2]]
