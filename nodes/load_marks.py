"""Models that end the process while they are loaded: remembered, and not loaded for ever."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from olympus.runtime.errors import ModelError

MOST_ENDS: Final = 2
"""A model that has ended the process so often, one time after the other, is not loaded again."""
_log = logging.getLogger(__name__)


class LoadMarks:
    """Notes which model is being loaded: where the note is found again, the process had ended.

    Native code that reads a damaged file may end the whole process (llama.cpp aborts where a size
    of the file makes no sense), and the same model would do so again at each start.
    """

    def __init__(self, file: Path | None) -> None:
        """Read what earlier processes left.

        Args:
            file: Remembers it in this session; None = nothing is remembered.
        """
        self._file = file
        self._counts = _read(file) if file is not None else {}

    @contextmanager
    def loading(self, name: str) -> Iterator[None]:
        """Have a note there while the block loads a model.

        Raises:
            ModelError: It has ended the process too often; or what the block raises.
        """
        ends = self._counts.get(name, 0)
        if ends >= MOST_ENDS:
            raise ModelError(
                f"model {name}: ended this process {ends} times while it was loaded, so it is not "
                "loaded again; mend its file and launch anew"
            )
        _log.info("loading model %s", name)  # the last that is heard of one that ends the process
        self._note({**self._counts, name: ends + 1})
        try:
            yield
        finally:
            self._note({one: count for one, count in self._counts.items() if one != name})

    def _note(self, counts: dict[str, int]) -> None:
        self._counts = counts
        if self._file is None:
            return
        fresh = self._file.with_suffix(".marked")
        try:
            fresh.write_text(json.dumps(counts))
            fresh.replace(self._file)  # whole or not at all: this process may end next
        except OSError as error:  # a full disk must not keep a good model from being loaded
            _log.error("which model is being loaded can't be noted in %s: %s", self._file, error)


def _read(file: Path) -> dict[str, int]:
    try:
        return {str(name): int(count) for name, count in json.loads(file.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        _log.error("which models ended this process before is not known: %s: %s", file, error)
        return {}
