"""Nodes: what a user writes, and the host that runs them."""

from pydantic import Field

from olympus.runtime.node.declare import Output, output, service, subscribe, timer
from olympus.runtime.node.lifecycle import State, Transition
from olympus.runtime.node.node import Node, NodeContext
from olympus.runtime.node.params import NodeParams
from olympus.runtime.node.remote_model import Model, Tensors

__all__ = [
    "Field",
    "Model",
    "Node",
    "NodeContext",
    "NodeParams",
    "Output",
    "State",
    "Tensors",
    "Transition",
    "output",
    "service",
    "subscribe",
    "timer",
]
