from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from olympus.models.registry import ZOO, Registry
from olympus.models.sealed import SealedFile
from olympus.runtime.errors import ModelError

MakeModel = Callable[..., Path]


def test_a_model_is_found_by_name_folder_and_manifest(make_model: MakeModel) -> None:
    folder = make_model("doubler")
    registry = Registry([folder.parent])
    by_name = registry.find("doubler")
    assert by_name == registry.find(folder) == registry.find(str(folder / "manifest.yaml"))
    assert by_name.read() == (folder / "small.onnx").read_bytes()


def test_an_unknown_name_is_told_what_was_meant(make_model: MakeModel) -> None:
    registry = Registry([make_model("doubler").parent])
    with pytest.raises(ModelError, match=r"did you mean 'doubler'\?"):
        registry.find("dubler")


@pytest.mark.parametrize("name", ["~nobody-of-that-name/cats", "a" * 5000, "a\0b"])
def test_a_name_that_can_be_no_path_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"^model '(~nobody|aaa|a.x00b)"):
        Registry().find(name)


def test_a_bare_onnx_file_is_told_that_it_needs_a_manifest(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match=r"is no manifest; write a manifest\.yaml"):
        Registry().find(make_model() / "small.onnx")


def test_a_changed_byte_is_refused_by_name(make_model: MakeModel) -> None:
    folder = make_model("doubler")
    data = bytearray((folder / "small.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "small.onnx").write_bytes(data)
    with pytest.raises(
        ModelError, match=r"model doubler: .*small\.onnx has sha256 .*files\.sha256"
    ):
        Registry().find(folder).read()


def test_a_truncated_file_is_refused_by_name(make_model: MakeModel) -> None:
    folder = make_model("doubler")
    data = (folder / "small.onnx").read_bytes()
    (folder / "small.onnx").write_bytes(data[:-5])
    with pytest.raises(ModelError, match=r"model doubler: .*files\.bytes .* cut off"):
        Registry().find(folder).read()


def test_a_missing_file_is_refused_by_name(make_model: MakeModel) -> None:
    folder = make_model("doubler")
    (folder / "small.onnx").unlink()
    with pytest.raises(ModelError, match=r"model doubler: file small\.onnx can't be read"):
        Registry().find(folder).read()


def test_a_broken_manifest_hurts_only_who_wants_it(make_model: MakeModel) -> None:
    broken = make_model("broken", task="juggle")
    registry = Registry([make_model("doubler").parent])
    assert registry.find("doubler").name == "doubler"
    with pytest.raises(ModelError, match="model broken"):
        registry.find(broken)


def test_a_folder_named_unlike_its_model_is_refused(make_model: MakeModel) -> None:
    folder = make_model("doubler")
    text = yaml.safe_load((folder / "manifest.yaml").read_text())
    (folder / "manifest.yaml").write_text(yaml.safe_dump(text | {"name": "tripler"}))
    with pytest.raises(ModelError, match="is called 'tripler' in its manifest"):
        Registry([folder.parent]).find("doubler")


def test_an_own_folder_wins_over_a_shipped_model(make_model: MakeModel) -> None:
    shipped = Registry().names()
    assert Registry(shipped=False).names() == []
    mine = make_model(shipped[0])
    assert Registry([mine.parent]).find(shipped[0]).folder == mine


@pytest.mark.parametrize("name", Registry().names())
def test_every_shipped_model_is_whole(name: str) -> None:
    stored = Registry().find(name)
    assert stored.folder == ZOO / name
    for file in stored.manifest.files:
        assert stored.read(file)
    manifest = stored.manifest
    assert manifest.limits
    assert manifest.latency
    assert manifest.recipe
    assert manifest.memory_mb
    assert manifest.self_test
    assert manifest.quantization is not None
    assert any(entry.float_value is not None for entry in manifest.accuracy)


def test_all_shipped_models_together_are_small() -> None:
    sizes = [file.stat().st_size for file in ZOO.rglob("*") if file.is_file()]
    assert sum(sizes) < 20e6


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_what_is_no_ordinary_file_is_refused_and_not_read(
    make_model: MakeModel, what: str, is_sealed: bool
) -> None:
    """A pipe that nobody writes to would hold up whoever opens it, /dev/zero has no end."""
    folder = make_model("doubler")
    (folder / "small.onnx").unlink()
    if what == "pipe":
        os.mkfifo(folder / "small.onnx")
    elif what == "folder":
        (folder / "small.onnx").mkdir()
    else:
        (folder / "small.onnx").symlink_to("/dev/zero")
    stored = Registry().find(folder)
    with pytest.raises(ModelError, match=r"model doubler: file .*(pipe or a device|can't be read)"):
        SealedFile(stored) if is_sealed else stored.read()


def test_a_file_that_is_far_too_large_is_not_read(make_model: MakeModel) -> None:
    folder = make_model("doubler")
    with (folder / "small.onnx").open("r+b") as file:
        file.truncate(1 << 40)  # a hole: no disk has to hold it
    stored = Registry().find(folder)
    for read in (stored.read, lambda: SealedFile(stored)):
        with pytest.raises(ModelError, match=r"has 1099511627776 bytes"):
            read()


@pytest.mark.parametrize("text", ["name: " + "[" * 5000, "labels: [" + "x, " * 2**21 + "x]"])
def test_a_manifest_without_measure_is_refused_by_its_path(
    make_model: MakeModel, text: str
) -> None:
    folder = make_model("doubler")
    (folder / "manifest.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"manifest\.yaml: .*(too deeply|larger than)"):
        Registry().find(folder)


def test_aliases_that_would_fill_the_memory_are_quoted_in_short(make_model: MakeModel) -> None:
    folder = make_model("doubler")
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (folder / "manifest.yaml").write_text("\n".join([*lines, "labels: *a9"]))
    with pytest.raises(ModelError) as raised:
        Registry().find(folder)
    assert "labels[0]: Input should be a valid string, not [[" in str(raised.value)
    assert len(str(raised.value)) < 10_000
