"""Structured logs: one JSON object a line, the same shape in files, on stderr and on the bus.

{"stamp": 1700000000000000000, "level": "info", "logger": "rover/camera",
"text": "device opened", "fields": {"source": "/dev/video0"}}
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from olympus.runtime.clock import Clock
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Header, Log

ROOT = "olympus"
_FIELDS = "olympus_fields"


class StructuredLog:
    """A node's log: a sentence, and facts by name."""

    def __init__(self, name: str) -> None:
        """Log under `name`, such as the full name of a node."""
        self.name = name
        self._logger = logging.getLogger(f"{ROOT}.{name}")

    def debug(self, text: str, /, **fields: object) -> None:
        """Say something only a developer wants to know."""
        self._write(logging.DEBUG, text, fields)

    def info(self, text: str, /, **fields: object) -> None:
        """Say what happened as it should."""
        self._write(logging.INFO, text, fields)

    def warning(self, text: str, /, **fields: object) -> None:
        """Say what is not as it should be, but is coped with."""
        self._write(logging.WARNING, text, fields)

    def error(self, text: str, /, **fields: object) -> None:
        """Say what failed."""
        self._write(logging.ERROR, text, fields)

    def critical(self, text: str, /, **fields: object) -> None:
        """Say what ends this process or the mission."""
        self._write(logging.CRITICAL, text, fields)

    def exception(self, text: str, /, **fields: object) -> None:
        """Say what failed, with the traceback of the exception being handled."""
        self._write(logging.ERROR, text, fields, with_traceback=True)

    def _write(
        self, level: int, text: str, fields: dict[str, object], *, with_traceback: bool = False
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        facts = {key: str(value) for key, value in fields.items()}
        self._logger.log(level, "%s", text, exc_info=with_traceback, extra={_FIELDS: facts})


def fields_of(record: logging.LogRecord) -> dict[str, str]:
    """Return the facts of a record; a traceback is the fact `traceback`."""
    fields: dict[str, str] = dict(getattr(record, _FIELDS, {}))
    if record.exc_info and record.exc_info[0] is not None:
        fields["traceback"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return {name: _unicode(text) for name, text in fields.items()}


def text_of(record: logging.LogRecord) -> str:
    """Return what a record says."""
    return _unicode(record.getMessage())


def _unicode(text: str) -> str:
    """Spell out what is no Unicode, such as the odd bytes of a file's name."""
    return text.encode(errors="backslashreplace").decode()


def logger_of(record: logging.LogRecord) -> str:
    """Return the name a record is shown under: a node's name without our own prefix."""
    return record.name.removeprefix(f"{ROOT}.")


class JsonFormatter(logging.Formatter):
    """Makes one JSON object of a record, on one line."""

    def __init__(self, clock: Clock) -> None:
        """Stamp lines with robot time."""
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line = {
            "stamp": self._clock.now_ns(),
            "level": record.levelname.lower(),
            "logger": logger_of(record),
            "text": text_of(record),
            "fields": fields_of(record),
        }
        return json.dumps(line, ensure_ascii=False)


class BusHandler(logging.Handler):
    """Hands every record on as a Log message; what publishing logs itself is not handed on."""

    def __init__(self, publish: Callable[[Log], None], clock: Clock) -> None:
        """Publish by `publish`, from whichever thread logs."""
        super().__init__()
        self._publish = publish
        self._clock = clock
        self._is_publishing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Publish one record."""
        if self._is_publishing:
            return
        self._is_publishing = True
        try:
            self._publish(log_message(record, self._clock.now_ns()))
        finally:
            self._is_publishing = False


def log_message(record: logging.LogRecord, now_ns: int) -> Log:
    """Return a record as a message with the stamp `now_ns` (robot time)."""
    return Log(
        header=Header(stamp=now_ns, source=logger_of(record)),
        level=record.levelname.lower(),
        logger=logger_of(record),
        text=text_of(record),
        fields=fields_of(record),
    )


def log_to(clock: Clock, *, file: Path | None = None, level: str = "info") -> logging.Handler:
    """Send the logs of this process to a file, or to stderr.

    Args:
        clock: What lines are stamped with.
        file: Where lines are appended; None for stderr.
        level: Least level that is written: `debug`, `info`, `warning`, `error`, `critical`.

    Returns:
        The handler, already attached; `logging.getLogger("olympus").removeHandler` takes it off.

    Raises:
        ConfigError: The level is unknown or the file can't be written.
    """
    root = logging.getLogger(ROOT)
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigError(f"log level {level!r}: use debug, info, warning, error or critical")
    try:
        handler = logging.FileHandler(file) if file else logging.StreamHandler(sys.stderr)
    except OSError as error:
        raise ConfigError(f"log file {file}: {error}; choose a folder you may write to") from error
    handler.setFormatter(JsonFormatter(clock))
    root.setLevel(number)
    root.addHandler(handler)
    return handler
