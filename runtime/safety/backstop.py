"""The contract of a backstop: what the guardian feeds, and what may stand against motion.

A backstop is the layer behind the gates: a relay that opens, a watchdog that reboots. The launch
file names its module under `safety.backstops`; the module has a function `backstop(options)` that
checks the options and opens nothing. Standard library only: the guardian runs without site
packages.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar, get_args, get_type_hints

from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.safety.acks import Ack, Flag

LIVE_NS: Final = 1_000_000_000
"""A gate that nobody declared counts as there for so long after its last tick."""

FACTORY: Final = "backstop"
"""Name of the function that a backstop's module must have."""

_NONE: Final[Mapping[str, object]] = MappingProxyType({})
_Options = TypeVar("_Options")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the guardian sees at one tick, as far as a backstop needs to know."""

    now_ns: int
    """When, CLOCK_MONOTONIC."""
    epoch: int
    """Counts permissions; a new one is the only reason to close what has opened."""
    is_permitted: bool
    """Whether the lease is valid: motion is permitted."""
    answered_ns: int | None
    """When the gate that has been silent longest last ticked; None without any live gate."""
    is_neutral: bool
    """Whether every gate that is live, is required, or acted on the newest permission last handed
    its actuator a neutral output."""

    def is_answered(self, silence_ns: int) -> bool:
        """Tell whether every live gate has ticked within `silence_ns`."""
        return self.answered_ns is not None and self.now_ns - self.answered_ns <= silence_ns


@dataclass(frozen=True, slots=True)
class Permission:
    """How motion is permitted, as far as a backstop needs to know."""

    epoch: int
    """Counts permissions."""
    holds: bool
    """Whether it is permitted now."""
    granted: int
    """The newest permission that this guardian gave; 0 before the first."""


def look_out(
    acks: Mapping[str, Ack], needed: Sequence[str], permission: Permission, now_ns: int
) -> Outlook:
    """Sum up what the gates do.

    Args:
        acks: What each last did.
        needed: Gates that must answer.
        permission: What they act on.
        now_ns: CLOCK_MONOTONIC.
    """
    live = {
        name: ack for name, ack in acks.items() if name in needed or now_ns - ack.tick_ns < LIVE_NS
    }
    answers = {name: ack.tick_ns for name, ack in live.items() if Flag.CLOSED not in ack.flags}
    ticks = dict.fromkeys(needed, 0) | answers
    # One that falls silent while it drives has not stopped for that.
    driven = (
        ack for ack in acks.values() if (permission.granted or None) in (ack.epoch, ack.burned)
    )
    return Outlook(
        now_ns=now_ns,
        epoch=permission.epoch,
        is_permitted=permission.holds,
        answered_ns=min(ticks.values(), default=None),
        is_neutral=all(ack.is_neutral for ack in (*live.values(), *driven)),
    )


@dataclass(frozen=True, slots=True)
class Report:
    """How a backstop is, after it was fed."""

    problem: str = ""
    """What stands against motion, in words; a trip while motion is permitted. Empty when well."""
    text: str = ""
    """How it stands, for people: `closed`, `armed, 0.8 s left`."""
    facts: Mapping[str, object] = field(default_factory=lambda: _NONE)
    """Numbers for a page, ready for JSON."""


class Backstop(Protocol):
    """What the guardian feeds at every tick, each backstop in a thread of its own."""

    def feed(self, outlook: Outlook) -> Report:
        """Do what this tick asks for, and tell how things stand.

        Any exception is a trip, and stands against motion until a later feed succeeds; so open
        again here what was unplugged. The guardian doesn't wait: ticks that pass meanwhile are
        counted as missed, and a feed that takes too long is a trip.
        """
        ...

    def close(self, *, is_neutral: bool) -> None:
        """Let go of it, at the guardian's proper end.

        Args:
            is_neutral: Whether every actuator was read back at neutral; where it was not, leave
                the machine in the state in which this backstop ends the motion.
        """
        ...


@dataclass(frozen=True, slots=True)
class Spec:
    """One entry of `safety.backstops`."""

    name: str
    """Unique among the backstops; in the status and in causes of trips."""
    uses: str
    """Module of the backstop: `olympus.hardware.relay`."""
    options: Mapping[str, object] = field(default_factory=lambda: _NONE)
    """What else its entry says."""


def specs(entries: object) -> tuple[Spec, ...]:
    """Read the entries of `safety.backstops`.

    Args:
        entries: A list of mappings with `uses`, perhaps a `name`, and options.

    Returns:
        One each; a name left out is the last part of the module's.

    Raises:
        ConfigError: It is no such list, or two have one name.
    """
    if not isinstance(entries, list | tuple) or not all(isinstance(one, dict) for one in entries):
        raise ConfigError("safety.backstops must be a list such as `- {uses: olympus.hardware.…}`")
    found = tuple(_spec(one) for one in entries)
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"safety.backstops: two are called {name!r}; give one a `name`")
    return found


def _spec(entry: Mapping[str, object]) -> Spec:
    uses = entry.get("uses")
    if not isinstance(uses, str) or not uses:
        raise ConfigError("safety.backstops: each needs `uses`, such as olympus.hardware.relay")
    name = str(entry.get("name") or uses.rpartition(".")[2])
    return Spec(name, uses, {key: entry[key] for key in entry if key not in ("uses", "name")})


def entries(found: Sequence[Spec]) -> list[dict[str, object]]:
    """Write specs so that `specs` reads the same."""
    return [{**one.options, "uses": one.uses, "name": one.name} for one in found]


def load(spec: Spec) -> Backstop:
    """Import a backstop's module and hand it its options; opens nothing.

    Args:
        spec: Its entry.

    Returns:
        The backstop.

    Raises:
        ConfigError: There is no such module, it needs more than the standard library, or it
            refuses an option.
    """
    where = f"safety.backstops: {spec.name}"
    try:
        module = importlib.import_module(spec.uses)
    except ModuleNotFoundError as error:
        own = bool(error.name) and spec.uses.startswith(str(error.name))
        why = "there is no such module" if own else f"it needs {error.name!r}; the guardian has "
        more = "" if own else "the standard library only"
        raise ConfigError(f"{where}: uses: {spec.uses}: {why}{more}") from error
    factory: Callable[[Mapping[str, object]], Backstop] | None = getattr(module, FACTORY, None)
    if factory is None:
        raise ConfigError(f"{where}: {spec.uses} has no function {FACTORY!r}, so is no backstop")
    try:
        return factory(spec.options)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def read_options(kind: type[_Options], found: Mapping[str, object]) -> _Options:
    """Make a frozen dataclass of options from what a person wrote.

    Args:
        kind: Its fields are int, float, str or bool, or one of them or None.
        found: Values by name.

    Returns:
        The options.

    Raises:
        ConfigError: A name is unknown or missing, or a value is of another type.
    """
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for name in found:
        if name not in known:
            raise ConfigError(f"there is no option {name!r}; {did_you_mean(name, known)}")
    for name, one in known.items():
        if name not in found and one.default is MISSING:
            raise ConfigError(f"the option {name!r} is missing")
    return kind(**{name: _typed(name, value, hints[name]) for name, value in found.items()})


def _typed(name: str, value: object, hint: Any) -> object:
    kinds = get_args(hint) or (hint,)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join("nothing" if one is type(None) else one.__name__ for one in kinds)
        raise ConfigError(f"{name}={value!r} must be of type {wanted}")
    return value
