"""How much another host may announce: what is broken or hostile costs a bounded amount.

What is beyond is refused, counted and told; what was announced before stays as it is.
"""

from __future__ import annotations

from collections.abc import Container, Sized
from typing import Protocol

from olympus.runtime.errors import BusError

MOST_POOLS = 64
"""There are two sizes of slots to each doubling, from 64 KiB on: the 64th has 96 TiB."""
MOST_THINGS = 4096
"""Of channels, patterns, entities and services, each. Hosts have some dozens; a host that announces
as much of all four as it may costs its peer 153 MB (measured), 32 with names of ASCII alone."""
MOST_TEXT = 512
"""Characters, or bytes, of one text among what is said; names of topics have some dozens."""
MOST_WORDS = MOST_POOLS + 4 * MOST_THINGS + 2
"""Said and not heard: who is that far behind has missed as much as there can be to say at all."""


class BoundError(BusError):
    """A host has announced as much of a kind as is kept of one host."""

    def __init__(self, host: str, kind: str, most: int) -> None:
        super().__init__(
            f"host {host} has announced {most} {kind}, and more are not kept of one host; "
            "let it close what it needs no more, or run its nodes in several hosts"
        )
        self.kind = kind


class _Held(Sized, Container[object], Protocol):
    """What is kept, by number or name."""


def check_room(host: str, kind: str, held: _Held, key: int | str) -> None:
    """See that one more of a kind can be kept, or that it takes the place of one that is.

    Raises:
        BoundError: It can't.
    """
    most = MOST_POOLS if kind == "pools" else MOST_THINGS
    if len(held) >= most and key not in held:
        raise BoundError(host, kind, most)


def check_texts(words: list[object]) -> None:
    """See that no text is too long to be kept.

    Raises:
        BusError: One is.
    """
    for word in words:
        if isinstance(word, str | bytes) and len(word) > MOST_TEXT:
            raise BusError(f"a text of {len(word)} characters, at most {MOST_TEXT}")
