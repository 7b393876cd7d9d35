"""Failures that say nothing about a model, and so never open its circuit."""

from __future__ import annotations

from olympus.runtime.errors import ModelError


class BlamelessError(ModelError):
    """A call came to nothing, which is no fault of the model."""


class UnfitError(BlamelessError):
    """A request is not for this model."""


class BusyError(BlamelessError):
    """A model has as much under way as it has room for."""
