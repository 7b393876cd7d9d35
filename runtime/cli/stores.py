"""Which store a command means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from olympus.runtime.errors import StoreError, did_you_mean
from olympus.runtime.store.environment import DATA
from olympus.runtime.store.places import stores

Place = Annotated[
    str | None,
    typer.Argument(help="Folder of the store, or the session's name; the only one by default."),
]
Key = Annotated[str, typer.Option(help="Key of an encrypted store: a file, or command:LINE.")]


def found(place: str | None) -> Path:
    """Return the folder of a store.

    Raises:
        StoreError: There is none, or several and none was named.
    """
    known = {path.parent.name: path.parent for path in sorted(stores().glob(f"*/{DATA}"))}
    if place is None:
        if len(known) != 1:
            raise StoreError(
                f"there are several stores; name one of {', '.join(known)}"
                if known
                else f"there is no store in {stores()}; launch a robot that records one"
            )
        return next(iter(known.values()))
    if (Path(place) / DATA).is_file():
        return Path(place)
    if place not in known:
        raise StoreError(f"no store {place!r}; {did_you_mean(place, known)}")
    return known[place]
