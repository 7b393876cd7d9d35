"""Who is there: nodes, publishers, subscribers and services as Zenoh liveliness tokens.

A token is the key `@olympus/graph/<kind>/<host>/<node>/<topic>/<type>`, each part percent-encoded,
a lone `%` for an empty one. It vanishes with the process that declared it.
"""

from __future__ import annotations

import logging
from urllib.parse import quote, unquote

import zenoh
from zenoh.handlers import Callback

from olympus.runtime.bus.link import Entity

MOST_ENTITIES = 16_384
"""A session has hundreds; whoever declares more is broken, or means harm."""
_ROOT = "@olympus/graph"
_log = logging.getLogger(__name__)


def token_key(entity: Entity) -> str:
    """Return the liveliness key of an entity."""
    parts = (entity.kind, entity.host, entity.node, entity.topic, entity.type)
    return "/".join([_ROOT, *(quote(part, safe="") or "%" for part in parts)])


def entity_of(key: str) -> Entity | None:
    """Return the entity of a liveliness key, or None if it is not one of ours."""
    parts = key.removeprefix(_ROOT + "/").split("/")
    if not key.startswith(_ROOT) or len(parts) != 5:
        return None
    return Entity(*("" if part == "%" else unquote(part) for part in parts))


class Graph:
    """Follows who comes and goes."""

    def __init__(self, session: zenoh.Session, *, most: int = MOST_ENTITIES) -> None:
        self._most = most
        self._keys: dict[str, Entity] = {}
        self.refused = 0
        """Entities that were not taken in because there are too many."""
        self._subscriber = session.liveliness().declare_subscriber(
            f"{_ROOT}/**", Callback(self._on_change, indirect=False), history=True
        )

    def entities(self) -> list[Entity]:
        """Return who is there now, in a stable order."""
        return sorted(self._keys.copy().values(), key=lambda e: (e.kind, e.topic, e.node, e.host))

    def _on_change(self, sample: zenoh.Sample) -> None:
        key = str(sample.key_expr)
        if sample.kind == zenoh.SampleKind.DELETE:
            self._keys.pop(key, None)
        elif key in self._keys or (entity := entity_of(key)) is None:
            return
        elif len(self._keys) < self._most:
            self._keys[key] = entity
        else:
            self.refused += 1
            if self.refused & (self.refused - 1) == 0:  # 1, 2, 4, 8, …: loud, but no flood
                _log.warning("entity no. %d beyond %d: %s", self.refused, self._most, key)


class Token:
    """The visible sign of one entity."""

    def __init__(self, session: zenoh.Session, entity: Entity) -> None:
        self._token: zenoh.LivelinessToken | None = session.liveliness().declare_token(
            token_key(entity)
        )

    def close(self) -> None:
        """Take it back; again is harmless."""
        if self._token is not None:
            self._token.undeclare()  # type: ignore[no-untyped-call]
            self._token = None
