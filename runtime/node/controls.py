"""A node's parameters and lifecycle, as others reach them: three services beside its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from olympus.runtime.bus.link import Closable
from olympus.runtime.errors import OlympusError, ParamError
from olympus.runtime.messages import Ack, Empty, ParamChange, ParamList
from olympus.runtime.messages import Transition as TransitionRequest
from olympus.runtime.node.lifecycle import State, Transition
from olympus.runtime.node.node import Node
from olympus.runtime.node.params import as_json, from_json

Change = Callable[[Transition], Awaitable[State]]
SetParams = Callable[[dict[str, Any]], Awaitable[set[str]]]


class Controls:
    """Makes a node visible, and its parameters and lifecycle reachable, until it is closed."""

    def __init__(self, node: Node, uses: str, *, change: Change, set_params: SetParams) -> None:
        """Open them.

        Args:
            node: Whose they are.
            uses: Where its class came from, for others to see.
            change: Makes a lifecycle transition.
            set_params: Changes parameters, all or none.

        Raises:
            BusError: A node of this name is in the host already.
        """
        self._node, self._change, self._set = node, change, set_params
        bus, name = node.bus, node.name
        self._sign: Closable = bus.announce_node(name, uses)
        self._services = [
            bus.serve(f"{name}/param/list", Empty, self._list_params, node=name),
            bus.serve(f"{name}/param/set", ParamChange, self._set_params, node=name),
            bus.serve(f"{name}/lifecycle", TransitionRequest, self._transition, node=name),
        ]

    def close(self) -> None:
        """Take them back; again is harmless."""
        for service in self._services:
            self._node.bus.withdraw_service(service)
        self._sign.close()

    def _list_params(self, _: Empty) -> ParamList:
        schema = json.dumps(type(self._node.params).model_json_schema())
        return ParamList(values=as_json(self._node.params), schema=schema)

    async def _set_params(self, change: ParamChange) -> Ack:
        try:
            changed = await self._set(from_json(change.values, self._node.name))
        except ParamError as error:
            self._node.log.warning(f"parameters refused, old values kept: {error}")
            return Ack(ok=False, text=str(error))
        self._node.log.info("parameters changed", names=sorted(changed))
        return Ack(ok=True, text=", ".join(sorted(changed)) or "nothing differs")

    async def _transition(self, request: TransitionRequest) -> Ack:
        try:
            transition = Transition(request.transition)
        except ValueError:
            known = ", ".join(Transition)
            return Ack(ok=False, text=f"no transition {request.transition!r}; known: {known}")
        try:
            # A task of its own: who asks may be a handler that this very change ends.
            state = await asyncio.shield(asyncio.ensure_future(self._change(transition)))
        except OlympusError as error:
            return Ack(ok=False, text=str(error))
        return Ack(ok=True, text=state.value)
