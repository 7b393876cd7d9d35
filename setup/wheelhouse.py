"""Builds llama-cpp-python once, small and for any CPU of its kind, and keeps the wheel.

The package comes as source only. Its default build takes what this very CPU can do, so that the
wheel dies with SIGILL on another one, and compiles much that Olympus never calls: five times bigger
and three times slower to make. Standard library only, like `environment.py`, which calls `install`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "setup" / "llm.txt"
PACKAGE = "llama-cpp-python"
TOOLS = ("cmake", "ninja", "packaging", "pathspec", "scikit-build-core")
NEEDS = ("diskcache", "jinja2", "markupsafe")
DISK_NEEDED_MB = 900
LAYOUT = "1"
"""Raised when a kept wheel would be made otherwise."""

ARGUMENTS = (
    "-DGGML_NATIVE=OFF",
    "-DGGML_OPENMP=OFF",
    "-DLLAVA_BUILD=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
X86_ARGUMENTS = tuple(
    f"-DGGML_{part}=ON" for part in ("SSE42", "AVX", "AVX2", "FMA", "F16C", "BMI2")
)
"""x86-64-v3, said outright: with SOURCE_DATE_EPOCH set ggml would quietly leave them all out."""
SLIM = "set(LLAMA_BUILD_COMMON OFF)\n"
"""A plain variable wins over what the package's CMakeLists.txt forces into the cache."""

MISSING = (
    "no C++ compiler here: language models are left out (llama-cpp-python comes as source only);"
    " everything else runs. For them: `sudo apt install g++`, then `./run setup --force`"
)


class BuildError(Exception):
    """The wheel could not be built; the message says why and where the log is."""


def install(python: Path, say: Callable[[str], None]) -> str:
    """Put llama-cpp-python into an environment, building it if no kept wheel fits.

    Args:
        python: The environment's interpreter; it has pip.
        say: Shows a line.

    Returns:
        The line that says what is missing; empty when it is installed.
    """
    try:
        wheel = kept() or build(python, say)
        if wheel is None:
            return MISSING
        needs = _requirements(NEEDS, wheel.parent / "needs.txt")
        _pip(python, "--no-deps", "--require-hashes", "-r", str(needs))
        _pip(python, "--no-deps", "--no-index", "--force-reinstall", str(wheel))
    except (BuildError, OSError, subprocess.SubprocessError) as error:
        return f"language models are left out: {error}; everything else runs"
    return ""


def folder() -> Path:
    """Return where the wheel for this kind of machine is kept, outside the tree."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "olympus" / "wheelhouse" / fingerprint()


def fingerprint() -> str:
    """Return the hash of all that decides what the wheel is: package, arguments, platform."""
    parts = (
        LAYOUT,
        _blocks()[PACKAGE],
        *_arguments(),
        SLIM,
        platform.machine(),
        *platform.libc_ver(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def kept() -> Path | None:
    """Return the wheel built earlier, if there is one."""
    return next(iter(sorted(folder().glob("*.whl"))), None)


def build(python: Path, say: Callable[[str], None]) -> Path | None:
    """Build the wheel, show how far it is, and keep it.

    Args:
        python: An interpreter that can make virtual environments.
        say: Shows a line.

    Returns:
        The kept wheel; None where there is no C++ compiler.

    Raises:
        BuildError: It did not work; names the log.
    """
    if compiler() is None:
        return None
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as door:  # another checkout may be building the same one
        fcntl.flock(door, fcntl.LOCK_EX)
        if (wheel := kept()) is not None:
            return wheel
        free_mb = shutil.disk_usage(str(place)).free // 2**20
        if free_mb < DISK_NEEDED_MB:
            raise BuildError(f"{free_mb} MB free at {place}, building takes {DISK_NEEDED_MB} MB")
        say("llama-cpp-python, built once for this kind of machine (2 cores: about 2 minutes)")
        work = place / "work"
        try:
            return slimmed(_compile(python, work, say), place)
        finally:
            shutil.rmtree(str(work), ignore_errors=True)


def compiler() -> str | None:
    """Return the C++ compiler that a build would use; None if there is none, or no C compiler."""
    cxx = next(
        filter(None, map(shutil.which, (os.environ.get("CXX", ""), "c++", "g++", "clang++"))), None
    )
    cc = any(map(shutil.which, (os.environ.get("CC", ""), "cc", "gcc", "clang")))
    return cxx if cc else None


def _compile(python: Path, work: Path, say: Callable[[str], None]) -> Path:
    shutil.rmtree(str(work), ignore_errors=True)
    work.mkdir()
    slim = work / "slim.cmake"
    slim.write_text(SLIM)
    _run([str(python), "-m", "venv", str(work / "venv")])
    tools = work / "venv" / "bin" / "python"
    _pip(
        tools, "--no-deps", "--require-hashes", "-r", str(_requirements(TOOLS, work / "tools.txt"))
    )
    source = _requirements((PACKAGE,), work / "source.txt")
    command = [str(tools), "-m", "pip", "wheel", "--verbose", "--no-build-isolation", "--no-deps"]
    command += ["--no-cache-dir", "--require-hashes", "-r", str(source), "-w", str(work / "wheel")]
    env = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    env["PATH"] = str(work / "venv" / "bin") + os.pathsep + env.get("PATH", "")
    env["CMAKE_ARGS"] = " ".join((*_arguments(), f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={slim}"))
    _watched(command, env, work.parent / "build.log", say)
    return next((work / "wheel").glob("*.whl"))


def _arguments() -> tuple[str, ...]:
    return ARGUMENTS + (X86_ARGUMENTS if platform.machine() in ("x86_64", "AMD64") else ())


def _watched(
    command: list[str], env: dict[str, str], log: Path, say: Callable[[str], None]
) -> None:
    """Run a build, keep its words, and tell how many of its parts are done.

    Raises:
        BuildError: It failed.
    """
    began = told = time.monotonic()
    with log.open("w") as kept_words:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        for line in process.stdout or ():
            kept_words.write(line)
            part = re.match(r"\s*\[(\d+)/(\d+)\]", line)
            if part and time.monotonic() - told > 10:
                told = time.monotonic()
                say(f"     {part[1]} of {part[2]} parts, {told - began:.0f} s")
    if process.wait() != 0:
        tail = " / ".join(log.read_text().strip().splitlines()[-2:])
        raise BuildError(
            f"llama-cpp-python could not be built ({tail[:300]}); the whole log: {log}"
        )


def slimmed(wheel: Path, place: Path) -> Path:
    """Write a wheel anew without what nothing loads: headers and copies of libraries.

    Args:
        wheel: As the package's own build makes it.
        place: Folder to keep it in.

    Returns:
        The kept wheel.
    """
    out = place / "next.part"
    with (
        zipfile.ZipFile(str(wheel)) as old,
        zipfile.ZipFile(str(out), "w", zipfile.ZIP_DEFLATED) as new,
    ):
        names = [name for name in old.namelist() if _is_needed(name)]
        record = next(name for name in names if name.endswith(".dist-info/RECORD"))
        lines = []
        for name in names:
            if name == record:
                continue
            data = old.read(name)
            new.writestr(old.getinfo(name), data, zipfile.ZIP_DEFLATED)
            digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}")
        new.writestr(record, "\n".join([*lines, record + ",,"]) + "\n")
    return out.rename(place / wheel.name)


def _is_needed(name: str) -> bool:
    """Keep of each library the name it is loaded by: libllama.so, and libggml*.so.0."""
    if name.startswith(("lib/", "include/", "bin/")):
        return False
    if name.startswith("llama_cpp/lib/") and ".so" in name:
        return name.endswith("/libllama.so") or bool(re.search(r"/libggml[\w-]*\.so\.\d+$", name))
    return not name.startswith("llama_cpp/server/")


def _blocks() -> dict[str, str]:
    """Part the lock into packages: name to its lines."""
    found = re.findall(r"^(([\w.-]+)==(?:.*\\\n)*.*\n)", LOCK.read_text(), re.MULTILINE)
    return {name: block for block, name in found}


def _requirements(names: Iterable[str], path: Path) -> Path:
    """Write the lock's lines for some packages into a file."""
    blocks = _blocks()
    path.write_text("".join(blocks[name] for name in names))
    return path


def _pip(python: Path, *arguments: str) -> None:
    _run([str(python), "-m", "pip", "install", "--quiet", *arguments])


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = " / ".join((done.stderr or done.stdout).strip().splitlines()[-2:])
        raise BuildError(f"`{' '.join(command[-4:])}` failed: {last[:300]}")


if __name__ == "__main__":
    missing = install(Path(sys.executable), print)
    sys.exit(missing)
