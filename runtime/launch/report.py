"""What the launcher tells the person who started it: a line per process, warnings, logs."""

from __future__ import annotations

import contextlib
import json
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import TextIO

from rich.console import Console
from rich.text import Text

from olympus.runtime.launch.hostlog import LogLine

_STYLE = {
    "debug": "dim",
    "info": "",
    "warning": "yellow",
    "error": "red",
    "critical": "bold red",
    "ready": "green",
    "good": "green",
}
_SHOWN_FIELDS = 6
_MOST_WAITING = 1000
_LAST_WORDS_S = 1.0
_DETAIL_AT = 39
"""Column where the detail of a process begins."""


def wrapped(text: str, width: int, indent: int = 2) -> str:
    """Break lines that are too long between words, and indent what follows.

    Args:
        text: One or more lines; a line that is indented already (a quotation, a caret) stays.
        width: Columns of the screen.
        indent: How far the second and later lines of each are indented.
    """
    return "\n".join(
        line
        if line.startswith(" ")
        else textwrap.fill(
            line,
            max(width, indent + 20),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
            drop_whitespace=True,
        )
        for line in text.splitlines()
    )


def harmless(text: str) -> str:
    """Write out what would steer a terminal: what a log says may come from anybody."""
    return "".join(
        one if one in "\n\t" or ord(one) >= 160 or " " <= one <= "~" else f"\\x{ord(one):02x}"
        for one in text
    )


class _Console(Console):
    """A console that falls silent when nobody reads it any more; the launch goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class Report:
    """Readable lines; coloured on a terminal, plain elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream`, standard output by default."""
        self._console = _Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)
        self._waiting: SimpleQueue[Callable[[], None] | None] | None = None
        self.unshown = 0
        """Lines that nobody took: too many waited already."""

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Have a thread write while the block runs, so that a terminal holds up nobody.

        One that was stopped by Ctrl-S, or a pipe that nobody empties, takes nothing more; whoever
        waited for it would hear no key, and beat for no guardian.
        """
        waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._waiting = waiting

        def write_on() -> None:
            while (write := waiting.get()) is not None:
                write()

        thread = threading.Thread(target=write_on, name="report", daemon=True)
        thread.start()
        try:
            yield
        finally:
            waiting.put(None)
            thread.join(_LAST_WORDS_S)
            if not thread.is_alive():  # else what is still said waits behind the rest
                self._waiting = None
                if self.unshown:
                    self.say(f"{self.unshown} lines were not shown: nobody took them", "warning")

    @property
    def is_terminal(self) -> bool:
        """Whether a person can see colours and press keys."""
        return self._console.is_terminal

    def process(self, name: str, state: str, seconds: float | None, detail: str = "") -> None:
        """Tell about one process: `camera  active  0.8 s`."""
        time = "" if seconds is None else f"{seconds:6.1f} s"
        words = f"{name:<16} {state:<10} {time:>9}  {detail}".rstrip()
        self._say(words, _STYLE["ready"] if state in ("active", "ready") else "", _DETAIL_AT)

    def say(self, text: str, kind: str = "info") -> None:
        """Tell a sentence; `kind` is a log level, or `good`."""
        prefix = {"warning": "warning: ", "error": "error: "}.get(kind, "")
        self._say(prefix + text, _STYLE.get(kind, ""))

    def log(self, line: LogLine) -> None:
        """Show one line of a process's log, condensed."""
        fields = {k: v for k, v in line.fields.items() if k != "traceback"}
        facts = " ".join(f"{k}={v}" for k, v in list(fields.items())[:_SHOWN_FIELDS])
        text = f"[{line.logger}] {line.level}: {line.text}"
        self._say(f"{text}  {facts}".rstrip(), _STYLE.get(line.level, ""))
        if traceback := line.fields.get("traceback"):
            self._say(traceback, "dim")

    def _say(self, text: str, style: str, indent: int = 2) -> None:
        if self.is_terminal:
            text = wrapped(text, self._console.width, indent)
        self._hand_over(partial(self._print, Text(harmless(text), style=style)))

    def _print(self, text: Text) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            self._console.print(text)

    def _hand_over(self, write: Callable[[], None]) -> None:
        if self._waiting is None:
            write()
        elif self._waiting.qsize() < _MOST_WAITING:
            self._waiting.put(write)
        else:
            self.unshown += 1


class JsonReport(Report):
    """One JSON object a line, for scripts."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream`, standard output by default."""
        super().__init__(stream)
        self._stream = stream or sys.stdout

    @property
    def is_terminal(self) -> bool:
        """Whether a person can press keys: never."""
        return False

    def process(self, name: str, state: str, seconds: float | None, detail: str = "") -> None:
        """Tell about one process."""
        self._write(event="process", name=name, state=state, seconds=seconds, detail=detail)

    def say(self, text: str, kind: str = "info") -> None:
        """Tell a sentence."""
        self._write(event="say", level=kind, text=text)

    def log(self, line: LogLine) -> None:
        """Tell one line of a process's log."""
        self._write(
            event="log",
            host=line.host,
            level=line.level,
            logger=line.logger,
            text=line.text,
            fields=line.fields,
        )

    def _write(self, **entry: object) -> None:
        self._hand_over(partial(self._put, json.dumps(entry, ensure_ascii=False) + "\n"))

    def _put(self, line: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more
            self._stream.write(line)
            self._stream.flush()
