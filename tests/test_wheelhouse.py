from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import wheelhouse


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_a_compiler_one_line_says_what_is_missing(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[str] = []
    line = wheelhouse.install(Path("/no/python"), told.append)
    assert "no C++ compiler" in line
    assert "sudo apt install g++" in line
    assert "\n" not in line
    assert told == []


def test_a_build_that_fails_is_one_line_and_no_error(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("g++", "gcc"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python").write_text("#!/bin/sh\necho 'the disk is on fire' >&2\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    line = wheelhouse.install(tmp_path / "python", lambda _: None)
    assert "the disk is on fire" in line
    assert "everything else runs" in line


def test_the_wheel_is_kept_outside_the_tree_by_what_made_it(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = wheelhouse.folder()
    assert first.is_relative_to(empty_cache)
    assert wheelhouse.kept() is None
    first.mkdir(parents=True)
    (first / "llama.whl").touch()
    assert wheelhouse.kept() == first / "llama.whl"
    monkeypatch.setattr(wheelhouse, "ARGUMENTS", ("-DGGML_NATIVE=ON",))
    assert wheelhouse.folder() != first


def test_a_slim_wheel_has_each_library_once_and_a_right_record(tmp_path: Path) -> None:
    wheel = tmp_path / "big.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in (
            *(
                "lib/libllama.so",
                "include/llama.h",
                "llama_cpp/server/app.py",
                "llama_cpp/llama.py",
            ),
            *("llama_cpp/lib/libllama.so", "llama_cpp/lib/libllama.so.0"),
            *("llama_cpp/lib/libggml.so", "llama_cpp/lib/libggml.so.0"),
            *("llama_cpp/lib/libggml-cpu.so.0", "llama_cpp/lib/libggml-cpu.so.0.25.3"),
            "llama-1.dist-info/RECORD",
        ):
            archive.writestr(name, name)
    (tmp_path / "kept").mkdir()
    slim = wheelhouse.slimmed(wheel, tmp_path / "kept")
    with zipfile.ZipFile(slim) as archive:
        names = sorted(archive.namelist())
        record = archive.read("llama-1.dist-info/RECORD").decode()
    assert names == [
        "llama-1.dist-info/RECORD",
        "llama_cpp/lib/libggml-cpu.so.0",
        "llama_cpp/lib/libggml.so.0",
        "llama_cpp/lib/libllama.so",
        "llama_cpp/llama.py",
    ]
    assert sorted(line.split(",")[0] for line in record.split()) == names


def test_the_lock_has_all_that_a_build_needs_with_hashes(tmp_path: Path) -> None:
    names = (wheelhouse.PACKAGE, *wheelhouse.TOOLS, *wheelhouse.NEEDS)
    lines = wheelhouse._requirements(names, tmp_path / "r.txt").read_text()
    assert lines.count("==") == len(names)
    assert lines.count("--hash=sha256:") >= len(names)
    assert "://" not in lines
