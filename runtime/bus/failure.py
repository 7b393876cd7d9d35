"""How an error travels from a service to who asked: as the name of its class and its text."""

from __future__ import annotations

from collections.abc import Iterator

from olympus.runtime.errors import BusError, OlympusError, ServiceError

MAX_BYTES = 16 * 1024
MAX_CALLS = 256
"""Questions that one host answers at the same time, for each way they come; more are refused."""


def failure_bytes(error: OlympusError) -> bytes:
    """Return an error as it travels: `Class: text`, in UTF-8, cut off at 16 KiB."""
    return f"{type(error).__name__}: {error}".encode(errors="replace")[:MAX_BYTES]


def busy(count: int) -> BusError:
    """Return the error for who asks a host that answers too many questions already."""
    return BusError(f"{count} calls are being answered; try later")


def failure_of(raw: bytes, service: str) -> ServiceError:
    """Return the error that `failure_bytes` turned into bytes.

    Args:
        raw: What arrived.
        service: Name of the service that failed.

    Returns:
        A ServiceError that is also of the class the service raised, if that is one of ours: who
        calls may catch either.
    """
    name, colon, text = raw[:MAX_BYTES].decode(errors="replace").partition(": ")
    cls = next((one for one in subclasses(OlympusError) if one.__name__ == name), None)
    if cls is None or not colon:
        return ServiceError(f"{service}: {name}{colon}{text}" if raw else f"{service}: failed")
    made = service_error_class(cls)
    return made.__new__(made, f"{service}: {text}")


def subclasses(cls: type[OlympusError]) -> Iterator[type[OlympusError]]:
    """Yield the classes of errors below one, those of this module left out."""
    for below in cls.__subclasses__():
        if below.__module__ != __name__:
            yield below
            yield from subclasses(below)


def service_error_class(cls: type[OlympusError]) -> type[ServiceError]:
    """Return a class that is both ServiceError and `cls`."""
    if issubclass(ServiceError, cls):
        return ServiceError
    return type(cls.__name__, (cls, ServiceError), {"__module__": __name__, "__doc__": cls.__doc__})
