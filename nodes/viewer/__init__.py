"""A page that shows everything, and the stop within reach."""

from olympus.nodes.viewer.node import Viewer

__all__ = ["Viewer"]
