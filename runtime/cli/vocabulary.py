"""Learns the message types of a session's own plugins and nodes, so that they can be shown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from olympus.runtime.bus import Entity
from olympus.runtime.config import Session
from olympus.runtime.errors import BusError
from olympus.runtime.launch.ledger import read_ledger
from olympus.runtime.messages import message_types
from olympus.runtime.node.loading import look_beside, why_not_imported


def learn(types: Iterable[str], graph: Iterable[Entity], session: Session) -> None:
    """Import what may define message types that are not known yet.

    Args:
        types: Names of the types that are needed.
        graph: Entities of the session; the modules of its nodes are tried after its plugins.
        session: The session; its ledger names the plugins and where node modules lie.

    Raises:
        BusError: A type is defined nowhere.
    """
    needed, failed = set(types), []
    for module in _modules(graph, session):
        if needed <= message_types().keys():
            return
        failed.append(why_not_imported(module))
    if strange := sorted(needed - message_types().keys()):
        reasons = "".join(f"\n  {why}" for why in failed if why)
        raise BusError(
            f"no module that this session names defines the message type {', '.join(strange)}; "
            f"list its module under 'plugins' in the launch file{reasons}"
        )


def _modules(graph: Iterable[Entity], session: Session) -> Iterable[str]:
    ledger = read_ledger(session.run_dir)
    if isinstance(folder := ledger.get("folder"), str):
        look_beside(Path(folder))
    plugins = ledger.get("plugins")
    yield from (str(name) for name in plugins) if isinstance(plugins, list) else ()
    yield from {one.type.partition(":")[0]: None for one in graph if one.kind == "node"}
