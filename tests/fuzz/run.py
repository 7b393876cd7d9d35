"""Fuzz what reads bytes from outside, led by coverage: `./run fuzz codec --seconds 60`.

Uses atheris (libFuzzer), which is installed for this alone, below .venv/fuzz; where there is no
wheel of it for this Python it says so and ends with 3. What it finds lies in .venv/fuzz/found, and
is fed again with `./run fuzz codec FILE`. A run is bounded in memory (--rss-mb) and each input in
time (5 s), so that what allocates or loops without end is a finding too.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".venv" / "fuzz"
NEEDS = "atheris==3.0.0"
NO_ATHERIS = 3
INPUT_S = 5
INSTRUMENTED = ("olympus.runtime.messages", "olympus.runtime.bus")


def atheris() -> Any:
    """Return atheris, installed if need be; None if it can't be had."""
    folder = HOME / "packages"
    if not (folder / "atheris").is_dir():
        uv = str(ROOT / ".venv" / "bin" / "uv")
        command = [uv, "pip", "install", "-q", "--only-binary", ":all:", "--target", str(folder)]
        done = subprocess.run(
            [*command, "-p", sys.executable, NEEDS], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            sys.stdout.write(f"skipped: {NEEDS} can't be installed: {done.stderr.strip()[-300:]}\n")
            return None
    sys.path.append(str(folder))
    return importlib.import_module("atheris")


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", help="codec, ipc, cdr, picture, edges or wire")
    parser.add_argument("files", nargs="*", help="feed these once instead of fuzzing")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-len", type=int, default=4096, help="longest input, bytes")
    parser.add_argument(
        "--sanitized", action="store_true", help="wire: build the C with ASAN and UBSAN (gcc)"
    )
    parser.add_argument("--rss-mb", type=int, default=768, help="most memory of the process")
    return parser.parse_args()


def corpus(name: str, seeds: list[bytes]) -> Path:
    """Write the good inputs to begin with; what fuzzing adds stays for the next run."""
    folder = HOME / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    return folder


def main() -> int:
    """Fuzz one target."""
    wanted = options()
    engine = atheris()
    if engine is None:
        return NO_ATHERIS
    if wanted.target == "wire":
        os.environ["OLYMPUS_PURE"] = "1"  # Python here, where coverage leads, and C in the other
    with engine.instrument_imports(include=list(INSTRUMENTED), enable_loader_override=False):
        from targets import TARGETS, Other, sanitized
    if wanted.target not in TARGETS:
        sys.stdout.write(f"no target {wanted.target!r}; known: {', '.join(TARGETS)}\n")
        return 2
    target = TARGETS[wanted.target]
    Other.built = sanitized() if wanted.sanitized else None
    if wanted.files:
        for name in wanted.files:
            target.feed(Path(name).read_bytes())
        return 0
    target.instrument(engine.instrument_func)
    target.feed(target.seeds()[0])  # what is made once, a process say, is no input's time
    found = HOME / "found"
    found.mkdir(parents=True, exist_ok=True)
    engine.Setup(
        [
            sys.argv[0],
            f"-max_total_time={wanted.seconds}",
            f"-seed={wanted.seed}",
            f"-max_len={wanted.max_len}",
            f"-rss_limit_mb={wanted.rss_mb}",
            f"-timeout={INPUT_S}",
            f"-artifact_prefix={found}/{wanted.target}-",
            "-print_final_stats=1",
            str(corpus(wanted.target, target.seeds())),
        ],
        target.feed,
    )
    engine.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
