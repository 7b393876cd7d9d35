"""Every error Olympus raises on purpose, in one tree.

    OlympusError                 exit code 1
    ├── ConfigError              2   what a person wrote is wrong
    │   ├── LaunchError          2   a launch file
    │   └── ParamError           2   a node's parameter
    ├── MessageError             3   bytes or values that are no valid message
    │   └── SchemaError          3   of a type, or a version of it, that is not known here
    ├── BusError                 4   topics, services, sessions
    │   └── ServiceError         4   what a service in this or another host failed with
    ├── DeviceError              5   a camera, microphone, motor, broker
    │   ├── StallError           5   it is there, but gives nothing
    │   └── EndOfStream          5   a recording has come to its end
    ├── ModelError               6   a model's file, shape or output
    ├── SafetyError              7   guardian, lease, gate
    ├── StoreError               8   the robot's database
    │   ├── StoreFullError       8   no room, in the store or on the disk
    │   └── DamageError          8   what is on the disk is not what was written
    └── LifecycleError           9   a node asked to do what its state forbids

A message says what is wrong, where, and the way out. The exit code lives on the class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OlympusError(Exception):
    """Base of all errors that Olympus raises on purpose."""

    exit_code = 1


class ConfigError(OlympusError):
    """Something a person wrote is wrong: a value, a name, a path."""

    exit_code = 2


class LaunchError(ConfigError):
    """A launch file can't be used as it is."""


class ParamError(ConfigError):
    """A parameter was refused; the old value is kept."""


class MessageError(OlympusError):
    """Bytes or values that are no valid message."""

    exit_code = 3


class SchemaError(MessageError):
    """A message of a type, or of a version of a type, that is not known here."""


class BusError(OlympusError):
    """A topic, a service or a session does not do what was asked."""

    exit_code = 4


class ServiceError(BusError):
    """A service failed; the error is also of the class that its handler raised, if one of ours."""


class DeviceError(OlympusError):
    """A device is missing, refused, or gave nonsense."""

    exit_code = 5


class StallError(DeviceError):
    """A device is there but has given nothing for too long."""


class EndOfStream(DeviceError):  # noqa: N818  it is an end, not a fault
    """A recording has come to its end."""


class ModelError(OlympusError):
    """A model's file, shape, hash or output is wrong."""

    exit_code = 6


class SafetyError(OlympusError):
    """The safety path was asked for something it must refuse, or does not answer."""

    exit_code = 7


class StoreError(OlympusError):
    """The robot's database can't do what was asked."""

    exit_code = 8


class StoreFullError(StoreError):
    """The store has reached its largest size, or the disk is full."""


class DamageError(StoreError):
    """What is on the disk is not what was written there; names the place."""


class LifecycleError(OlympusError):
    """A node was asked for something its lifecycle state forbids."""

    exit_code = 9


_LISTED = 12


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, and which there are.

    Args:
        word: What was written.
        known: The words that would have been right.

    Returns:
        A sentence to end an error message with; never empty. Of many words it lists the first.
    """
    words = sorted(set(known))
    near = nearest(word, words)
    hint = "" if near is None else f"did you mean {near!r}? "
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return f"{hint}known: {', '.join(words[:_LISTED]) or 'none'}{more}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant; None when none is like it.

    Args:
        word: What was written.
        known: The words that would have been right. Of names with a `/` one that ends alike wins:
            `rover/shy` and `shy`.
    """
    words = sorted(set(known))
    last = word.rpartition("/")[2]
    alike = [name for name in words if "/" in word + name and name.rpartition("/")[2] == last]
    near = difflib.get_close_matches(word, alike or words, n=1, cutoff=0.0 if alike else 0.6)
    return near[0] if near else None
