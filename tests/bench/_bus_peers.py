"""The buses that ours is compared with: where they come from, and one round of each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".venv" / "bench"
"""The environments of the peers, one each; deleted with .venv."""
SCRIPTS = Path(__file__).with_name("peers")
PATIENCE_S = 90.0
DORA_POOL = {"DORA_NODE_SHM_POOL_SIZE": str(64 * 2**20)}
"""With the default, 6 MB pictures find no room in dora's shared memory and take a slower way."""
_FLOW = """\
nodes:
  - {{id: near, path: {python}, args: "{script} near {folder}", outputs: [blob],
     inputs: {{echo: {{source: far/echo, queue_size: 100}}}}}}
  - {{id: far, path: {python}, args: "{script} far {folder}", outputs: [echo],
     inputs: {{blob: {{source: near/blob, queue_size: 100}}}}}}
"""


class SkippedError(Exception):
    """A peer can't be measured here; says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One bus."""

    name: str
    script: str
    way: str = "-"
    needs: tuple[str, ...] = ()
    """Packages that are installed into an environment of its own; without any it has ours."""
    also: Mapping[str, str] = field(default_factory=dict)
    """Environment variables."""
    writes_in_place: bool = True
    """Whether a sender can write straight into what is sent."""

    @property
    def versions(self) -> str:
        """What it is."""
        return self.needs[0] if self.needs else f"eclipse-zenoh=={version('eclipse-zenoh')}"

    @property
    def python(self) -> Path:
        """The interpreter that has it."""
        home = HOME / self.script.removesuffix("_peer.py") if self.needs else ROOT / ".venv"
        return home / "bin" / "python"

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.also, "PYTHONPATH": str(SCRIPTS.parent)}

    def prepare(self) -> None:
        """Install what it needs, once.

        Raises:
            SkippedError: It can't be had.
        """
        mark = self.python.parents[1] / "complete"
        wanted = " ".join(self.needs)
        if not self.needs or (mark.exists() and mark.read_text() == wanted):
            return
        uv = str(ROOT / ".venv" / "bin" / "uv")
        _done([uv, "venv", "--quiet", "--clear", "-p", sys.executable, str(mark.parent)])
        _done([uv, "pip", "install", "--quiet", "-p", str(self.python), *self.needs])
        mark.write_text(wanted)

    def round(self, folder: Path, trials: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Carry out some trials between two new processes and return their results.

        Raises:
            SkippedError: It failed.
        """
        folder.mkdir()
        (folder / "trials.json").write_text(json.dumps(trials))
        command = [str(self.python), str(SCRIPTS / self.script)]
        if self.script == "dora_peer.py":
            self._run_dora(folder, command[1])
        else:
            self._run_pair(folder, command)
        try:
            results: list[Any] = json.loads((folder / "results.json").read_text())
        except OSError:
            raise SkippedError(f"no results; {_last_words(folder)}") from None
        return results

    def _run_pair(self, folder: Path, command: list[str]) -> None:
        with (folder / "output").open("wb") as output:
            far = subprocess.Popen(
                [*command, "far", str(folder), self.way],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
                env=self._environment,
            )
            try:
                if far.stdout is not None:
                    far.stdout.readline()
                _run([*command, "near", str(folder), self.way], folder, self._environment)
                far.wait(5.0)
            except subprocess.TimeoutExpired:
                raise SkippedError("its far end did not end") from None
            finally:
                far.kill()
                far.communicate()

    def _run_dora(self, folder: Path, script: str) -> None:
        flow = folder / "flow.yml"
        flow.write_text(_FLOW.format(python=self.python, script=script, folder=folder))
        dora = str(self.python.with_name("dora"))
        _run([dora, "run", str(flow), "--log-level", "error"], folder, self._environment)


PEERS = (
    Peer("zenoh-python", "zenoh_peer.py", "plain", writes_in_place=False),
    Peer("zenoh-python, shared memory", "zenoh_peer.py", "shm"),
    Peer("iceoryx2, events", "iceoryx2_peer.py", needs=("iceoryx2==0.10.0", "numpy")),
    Peer(
        "dora", "dora_peer.py", also=DORA_POOL,
        needs=("dora-rs==1.1.0", "dora-rs-cli==1.1.0", "numpy"),
    ),
)  # fmt: skip


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    """Run a command in a session of its own, and end with it everything that it started."""
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, env=environment,
        )  # fmt: skip
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise SkippedError(f"nothing for {PATIENCE_S:.0f} s; {_last_words(folder)}") from None
        finally:
            _end_session(process.pid)
            process.wait()


def _end_session(session: int) -> None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == session:
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue  # ended meanwhile


def _done(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        told = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise SkippedError(f"can't be installed: {told[-1] if told else error}") from error


def _last_words(folder: Path) -> str:
    output = folder / "output"
    lines = output.read_text(errors="replace").strip().splitlines() if output.exists() else []
    return lines[-1] if lines else "it said nothing"
