"""Make and keep `.venv`: the pinned packages of `setup/requirements.txt` and the project itself.

Standard library only and no syntax newer than Python 3.8, so that an old Python can still say
that it is too old. `./run` calls `ensure()` before every command; when the stamp in `.venv`
matches the locks and the Python version, that costs a few milliseconds.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import wheelhouse

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "olympus.stamp"
LOCK = ROOT / "setup" / "requirements.txt"
UV_LOCK = ROOT / "setup" / "uv.txt"
OLDEST = (3, 11)
QUICK = tuple(sorted(ROOT.glob("runtime/quick/*.[ch]")))
"""What is built in C, where that is possible."""
DISK_NEEDED_MB = 1200
WINGS = ("runtime", "nodes", "drivers", "models", "sim", "hardware")
"""Folders of our own code, compiled beforehand."""

REMEDIES = (
    (r"No space left|os error 28|Errno 28", "the disk is full; free about 1.2 GB and try again"),
    (
        r"[Hh]ash mismatch|THESE PACKAGES DO NOT MATCH THE HASHES",
        "a downloaded file is not the one the lock pins: nothing was installed from it. Clear the"
        " cache (`rm -rf ~/.cache/uv ~/.cache/pip`) and try again; if it stays, your package"
        " index serves other files, ask whoever runs it",
    ),
    (
        r"dns error|name resolution|Could not connect|client error \(Connect\)|[Tt]imed out|"
        r"NewConnectionError|Connection refused|Network is unreachable|error sending request|"
        r"tls handshake|invalid peer certificate|No matching distribution found for uv",
        "the package index can't be reached. The first set-up needs the network once; check it"
        " (and pip's settings: `python3 -m pip config list`) and try again",
    ),
    (
        r"Failed to build|no wheels with a matching|has no wheels",
        "a package has no ready-made build for this machine; Olympus is for x86-64 and aarch64"
        " Linux with glibc and Python 3.11 to 3.13",
    ),
    (r"Permission denied|os error 13", "a folder can't be written; who owns .venv and ~/.cache?"),
)


class SetupError(Exception):
    """Setting up failed; the message says what, where, and the way out."""


def ensure(force: bool = False) -> None:
    """Bring `.venv` to the state the locks describe; return at once when it is there.

    Args:
        force: Install even if the stamp matches.

    Raises:
        SetupError: Something is missing that this script can't get by itself.
    """
    if not force and _is_current():
        return
    with (ROOT / "run").open() as door:  # one set-up at a time in this folder
        try:
            fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say("another ./run is setting up here; waiting for it")
            fcntl.flock(door, fcntl.LOCK_EX)
        if force or not _is_current():
            _install()


def fingerprint(
    paths: tuple[Path, ...] = (
        LOCK,
        UV_LOCK,
        wheelhouse.LOCK,
        ROOT / "pyproject.toml",
        *QUICK,
    ),
) -> str:
    """Return the hash of all that decides what is in `.venv`: Python, folder, `paths`."""
    digest = hashlib.sha256("{}.{}".format(*sys.version_info[:2]).encode())
    digest.update(str(ROOT).encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def explain(output: str) -> str:
    """Return the way out for the installer's `output`, or its last lines if it is unknown."""
    for pattern, remedy in REMEDIES:
        if re.search(pattern, output):
            return remedy
    return "the installer's last words:\n" + "\n".join(output.strip().splitlines()[-12:])


def uv_environment(pip_settings: dict[str, str], base: dict[str, str]) -> dict[str, str]:
    """Translate pip's settings into uv's, which doesn't read pip's files.

    Args:
        pip_settings: Name to value, as `pip config list` shows them.
        base: The process environment; uv variables that are set there win.

    Returns:
        `base` with uv's own variables added.
    """
    env = dict(base)
    spaced = {
        "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
        "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
        "trusted-host": ("UV_INSECURE_HOST",),
        "cert": ("SSL_CERT_FILE",),
    }
    for name, variables in spaced.items():
        if name in pip_settings and not any(variable in base for variable in variables):
            env[variables[0]] = " ".join(pip_settings[name].split())
    if "find-links" in pip_settings:
        env.setdefault("UV_FIND_LINKS", ",".join(pip_settings["find-links"].split()))
    # Hashes are required, so it can't matter which index a file comes from.
    env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    env["VIRTUAL_ENV"] = str(VENV)
    return env


def pip_settings(listing: str) -> dict[str, str]:
    """Parse `pip config list`; the environment wins over files, `install` over `global`."""
    settings: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for name, value in re.findall(rf"^{section}\.([\w-]+)=(.+)$", listing, re.MULTILINE):
            settings[name] = str(ast.literal_eval(value))
    return settings


def make_lock(upgrade: bool = False) -> None:
    """Write both locks anew from `pyproject.toml`, for every platform, naming no index.

    Args:
        upgrade: Take the newest versions instead of keeping the locked ones.

    Raises:
        SetupError: The resolver found no solution or no network.
    """
    compile_ = [str(VENV / "bin" / "uv"), "pip", "compile", "--universal", "--generate-hashes"]
    compile_ += ["--python-version", "{}.{}".format(*OLDEST), "--no-header", "--quiet"]
    compile_ += ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate"]
    compile_ += ["--upgrade"] if upgrade else []
    extras = re.findall(r"^(\w+) = \[", _table("project.optional-dependencies"), re.MULTILINE)
    wanted = [part for name in extras if name not in ("train", "llm") for part in ("--extra", name)]
    _do([*compile_, "pyproject.toml", "--group", "build", *wanted, "-o", str(LOCK)])
    _do([*compile_, "setup/uv.in", "-o", str(UV_LOCK)])
    _do([*compile_, "setup/llm.in", "-c", str(LOCK), "-o", str(wheelhouse.LOCK)])


def _is_current() -> bool:
    try:
        return STAMP.read_text() == fingerprint() and PYTHON.exists()
    except OSError:
        return False


def _install() -> None:
    free_mb = shutil.disk_usage(str(ROOT)).free // 2**20
    if free_mb < DISK_NEEDED_MB and not STAMP.exists():
        raise SetupError(f"{free_mb} MB free at {ROOT}, setting up takes {DISK_NEEDED_MB} MB")
    STAMP.unlink() if STAMP.exists() else None
    _make_venv()
    _say("2/5  uv, the installer")
    pip = [str(PYTHON), "-m", "pip"]
    _do([*pip, "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(UV_LOCK)])
    listing = subprocess.run([*pip, "config", "list"], stdout=subprocess.PIPE, text=True)
    env = uv_environment(pip_settings(listing.stdout), dict(os.environ))
    count = len(re.findall(r"^[\w.-]+==", LOCK.read_text(), re.MULTILINE))
    _say(f"3/5  {count} packages, about 230 MB to download unless they are cached")
    uv = [str(VENV / "bin" / "uv"), "pip", "install"]
    # Compiled now, for every process of a launch imports them: where Python may not write beside
    # its sources (a read-only system, PYTHONDONTWRITEBYTECODE) each would take a second longer.
    _do([*uv, "--compile-bytecode", "--require-hashes", "--no-deps", "-r", str(LOCK)], env)
    _say("4/5  Olympus itself, editable")
    project = [*uv, "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    _do([*project, "--editable", str(ROOT)], env)
    if not _works([str(PYTHON), "-c", "import olympus.runtime.quick._quick"]):
        _say("     no C compiler, or no headers of Python (python3-dev): the bus will be slower")
    _do([str(PYTHON), "-m", "compileall", "-q", *WINGS], env)
    _say("5/5  llama-cpp-python, for language models")
    if missing := wheelhouse.install(PYTHON, _say):
        _say("     " + missing)
    STAMP.write_text(fingerprint())
    _say("set up")


def _make_venv() -> None:
    if _stands_here() and _works([str(PYTHON), "-m", "pip", "--version"]):
        return
    _say("1/5  .venv with Python {}.{}.{}".format(*sys.version_info[:3]))
    _have_ensurepip()
    if VENV.exists() and not (VENV / "pyvenv.cfg").exists() and any(VENV.iterdir()):
        raise SetupError(f"{VENV} is there but is no virtual environment; move it away")
    _do([sys.executable, "-m", "venv", "--clear", str(VENV)])


def _have_ensurepip() -> None:
    if _has_ensurepip():
        return
    package = "python{}.{}-venv".format(*sys.version_info[:2])
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        _say(f"     installing {package} with apt-get")
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        _do([apt, "update", "-qq"], env)
        _do([apt, "install", "-y", "-qq", "--no-install-recommends", package], env)
    if not _has_ensurepip():
        way = f"sudo apt install {package}" if apt else "install your system's python3-venv"
        raise SetupError(f"this Python can't make virtual environments; type:\n\n    {way}\n")


def _has_ensurepip() -> bool:
    importlib.invalidate_caches()
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def _stands_here() -> bool:
    """Tell whether `.venv` was made by this Python version and hasn't been moved since."""
    try:
        made_by = re.search(r"^version\s*=\s*(\d+\.\d+)", (VENV / "pyvenv.cfg").read_text(), re.M)
        script = (VENV / "bin" / "pip").read_text()
    except OSError:
        return False
    ours = "{}.{}".format(*sys.version_info[:2])
    return made_by is not None and made_by[1] == ours and str(VENV) in script


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _do(command: list[str], env: dict[str, str] | None = None) -> None:
    """Run `command` in sight; if it fails, once more for its words, and explain them.

    Raises:
        SetupError: It failed twice.
    """
    if _show(command, env) == 0:
        return
    _say("     that failed; trying once more")
    again = subprocess.run(
        command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if again.returncode != 0:
        raise SetupError(f"{Path(command[0]).name} failed: {explain(again.stdout + again.stderr)}")


def _show(command: list[str], env: dict[str, str] | None) -> int:
    """Run `command`: with its progress bars on a terminal, without the package list elsewhere."""
    if sys.stderr.isatty():
        return subprocess.run(command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL).returncode
    with subprocess.Popen(
        command,
        env=env,
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        for line in process.stdout or ():
            if not line.startswith((" + ", " - ", " Downloaded")):
                sys.stderr.write("     " + line)
                sys.stderr.flush()
    return process.returncode


def _table(name: str) -> str:
    text = (ROOT / "pyproject.toml").read_text()
    return text.split(f"[{name}]", 1)[1].split("\n[", 1)[0]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
