"""A witness of its own: says when the machine stood still, and for how long.

    python -m olympus.sim.campaign.standstill PRIORITY

A virtual machine has its processors only as long as its host lets it: where they are taken away for
longer than a heartbeat may be silent, the guardian trips, as it should, and nothing of the robot is
at fault. This process has one thread on each processor, at a real-time priority above all of the
robot's and of the campaign's, that sleeps again and again for `STEP_S`: where one comes much too
late, nothing else can have run there. It prints one JSON object a line: `ready`, then each time
that a processor stood still; to `mark N` on standard input it answers with that mark, after
everything that was before. It ends when standard input does.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from olympus.runtime.safety.realtime import real_time
from olympus.sim.campaign.watching import CampaignError

STEP_S: Final = 0.002
LEAST_MS: Final = 20.0
"""Shorter ones are not told."""
PRIORITY: Final = 90
"""Above the observer's, the guardian's, and those of all faults that hold a processor."""

_MODULE: Final = "olympus.sim.campaign.standstill"
_ANSWER_S: Final = 20.0  # only a campaign in which all is lost waits for so long
_STOLEN: Final = 8  # words of a line of /proc/stat: its name, then seven other times


@dataclass(frozen=True, slots=True)
class Standstill:
    """A processor ran nothing."""

    core: int
    from_ns: int
    """CLOCK_MONOTONIC."""
    to_ns: int

    @property
    def ms(self) -> float:
        """How long."""
        return (self.to_ns - self.from_ns) / 1e6


class Standstills:
    """The witness as the harness sees it: what it has told so far."""

    def __init__(self, *, priority: int = PRIORITY) -> None:
        """Prepare it; it is started by a `with` block.

        Args:
            priority: Real-time priority to ask for.
        """
        self.refused = ""
        """Why it is no witness here; empty when it is one."""
        self._words = [sys.executable, "-m", _MODULE, str(priority)]
        self._process: subprocess.Popen[str] | None = None
        self._told: list[Standstill] = []
        self._news = threading.Condition()
        self._mark, self._marked = 0, -1

    def __enter__(self) -> Self:
        """Start it and wait until it watches.

        Raises:
            CampaignError: It does not begin.
        """
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, name="standstill", daemon=True).start()
        self._await(0, 20.0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def between(self, from_ns: int, to_ns: int) -> list[Standstill]:
        """Return when the machine stood still within a time that is past, the longest first.

        Raises:
            CampaignError: The witness does not answer.
        """
        self._mark += 1
        if self._process is None or self._process.stdin is None:
            return []
        try:
            self._process.stdin.write(f"mark {self._mark}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise CampaignError(f"the witness of standstills has ended: {error}") from error
        self._await(self._mark, _ANSWER_S)
        found = [one for one in self._told if one.to_ns > from_ns and one.from_ns < to_ns]
        return [] if self.refused else sorted(found, key=lambda one: -one.ms)

    def _await(self, mark: int, seconds: float) -> None:
        with self._news:
            if not self._news.wait_for(lambda: self._marked >= mark, seconds):
                raise CampaignError(f"not within {seconds:g} s: the witness of standstills answers")

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        with self._process.stdout as lines:
            for line in lines:
                told = json.loads(line)
                with self._news:
                    if "mark" in told:
                        self._marked = told["mark"]
                    elif "ready" in told:
                        said = str(told["ready"])
                        self.refused, self._marked = said * said.startswith("refused"), 0
                    else:
                        self._told.append(Standstill(**told))
                    self._news.notify_all()


def stolen_ms(stat: Path = Path("/proc/stat")) -> float:
    """Return for how long the host of this virtual machine ran others in its place, all told, ms.

    A second witness, and a coarse one: the kernel counts it in ticks of 10 ms, where it knows it.
    """
    words = stat.read_text().split("\n", 1)[0].split()
    ticks = int(words[_STOLEN]) if len(words) > _STOLEN else 0
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


class _Watch:
    """The threads of the witness."""

    def __init__(self, cores: Iterable[int]) -> None:
        self._seen_ns = dict.fromkeys(cores, 0)

    def start(self, priority: int) -> str:
        """Watch each processor; return whether the priority is granted."""
        said = real_time(priority)
        for core in self._seen_ns:
            name = f"core {core}"
            words = (core, priority)
            threading.Thread(target=self._run, args=words, name=name, daemon=True).start()
        self.catch_up()
        return said

    def catch_up(self) -> None:
        """Wait until each thread has told of everything up to now."""
        now_ns = time.monotonic_ns()
        while min(self._seen_ns.values()) < now_ns:
            time.sleep(STEP_S)

    def _run(self, core: int, priority: int) -> None:
        os.sched_setaffinity(0, {core})
        real_time(priority)
        step_ns, least_ns = round(STEP_S * 1e9), round(LEAST_MS * 1e6)
        last_ns = time.monotonic_ns()
        while True:
            time.sleep(STEP_S)
            now_ns, due_ns = time.monotonic_ns(), last_ns + step_ns
            if now_ns - due_ns > least_ns:
                _say({"core": core, "from_ns": due_ns, "to_ns": now_ns})
            self._seen_ns[core] = last_ns = now_ns


def main(arguments: Sequence[str]) -> int:
    """Watch until standard input ends.

    Args:
        arguments: The real-time priority to ask for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.disable()
    watch = _Watch(sorted(os.sched_getaffinity(0)))
    _say({"ready": watch.start(int(arguments[0]))})
    for line in sys.stdin:
        watch.catch_up()
        _say({"mark": int(line.split()[1])})
    return 0


def _say(what: dict[str, object]) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
