"""When what is built in C is used, and that it is built where it can be."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from olympus.runtime import quick as loading

CAN_BUILD = shutil.which("cc") and (Path(sysconfig.get_paths()["include"]) / "Python.h").exists()


def said(environment: dict[str, str]) -> str:
    look = "from olympus.runtime.quick import quick, why_not; print(quick is None, why_not)"
    command = [sys.executable, "-c", look]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(not CAN_BUILD, reason="no C compiler here, or no headers of Python")
@pytest.mark.skipif(bool(os.environ.get(loading.PURE)), reason=f"{loading.PURE} is set")
def test_it_is_built_where_there_is_a_compiler_and_used() -> None:
    assert loading.why_not == ""
    assert loading.quick is not None


def test_with_a_word_in_the_environment_all_is_done_in_python() -> None:
    assert said({loading.PURE: "1"}) == "True OLYMPUS_PURE is set"


def test_one_of_another_version_is_not_used_and_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(loading.PURE, raising=False)
    stale = ModuleType("olympus.runtime.quick._quick")
    stale.VERSION = loading.VERSION - 1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, stale.__name__, stale)
    found, why = loading._load()
    assert found is None
    assert (
        why == f"built for version {loading.VERSION - 1}, not {loading.VERSION}: "
        "`./run setup --force`"
    )


@pytest.mark.skipif(loading.quick is None, reason=f"no C here: {loading.why_not}")
@pytest.mark.parametrize(
    "spoilt",
    [
        "core._ARRAY_API = None",
        "core._ARRAY_API = capsule(1 << 24 | 9)",  # numpy 1.26
        "numpy.ndarray = numpy.zeros",
        "numpy.ndarray = lambda *given: real(*given).T",
        "numpy.ndarray = lambda shape, *given: real((6,), *given)",
        "numpy.ndarray = lambda shape, dtype, memory: real(shape, dtype)",
    ],
)
def test_with_another_numpy_all_is_done_in_python(spoilt: str) -> None:
    program = f"""
import ctypes, numpy, numpy._core._multiarray_umath as core
made = []
def capsule(version):
    made.append(ctypes.CFUNCTYPE(ctypes.c_uint)(lambda: version))
    made.append((ctypes.c_void_p * 300)(ctypes.cast(made[0], ctypes.c_void_p).value))
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
    return new(ctypes.addressof(made[1]), None, None)
real = numpy.ndarray
{spoilt}
from olympus.runtime.quick import quick, why_not
print(quick is None, why_not)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("True not built here: made for numpy 2"), done.stdout


def test_both_sides_say_the_same_version() -> None:
    header = (Path(loading.__file__).parent / "quick.h").read_text()
    assert f"#define VERSION {loading.VERSION}\n" in header
