"""A bag where a recording is wanted: taken into a store that lasts as long as the command."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from olympus.runtime.cli import exchange
from olympus.runtime.store.environment import DATA

_ENDINGS = (".mcap", ".db3")


def is_bag(place: str | None) -> bool:
    """Tell whether somebody named a bag: an MCAP or sqlite file, or a folder of them."""
    path = Path(place or "")
    if path.is_dir() and not (path / DATA).exists():
        return place is not None and any(one.suffix in _ENDINGS for one in path.iterdir())
    return path.suffix in _ENDINGS and path.is_file()


@contextmanager
def as_store(bag: Path) -> Iterator[Path]:
    """Yield the folder of a store with what a bag holds; what could not be read is told.

    Raises:
        StoreError: The bag can't be read, or there is no room for its messages.
    """
    # Who ends the command by SIGTERM leaves no copy of the bag behind either.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with TemporaryDirectory(prefix="olympus-bag-") as room:
        folder = Path(room) / bag.absolute().name  # as which the page names the session
        exchange.take_in(bag, folder, key="", interfaces=[], name=bag.name)
        yield folder
