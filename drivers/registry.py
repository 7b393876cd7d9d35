"""From a source string to a device.

A factory is any callable

    factory(location, *, clock, session, **options) -> device

where `location` is what stands behind `scheme://` (`front` in `sim://front?noise=0.1`), `clock` and
`session` (None outside a launch) come as keywords, and so do the options behind the question mark
and those the caller gives, which win. A class is a factory. Options the factory does not name are
refused with a hint, unless it takes `**options`. The camera node gives `fps`, `width` and `height`
where its params ask for them.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, cast

from olympus.drivers.base import Camera, Device, Microphone, RoverBase
from olympus.drivers.source import Option, Source, parse_source
from olympus.runtime.clock import Clock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, did_you_mean

Kind = Literal["camera", "microphone", "base"]
Factory = Callable[..., Device]

_GIVEN = frozenset({"location", "clock", "session"})
_BUILT_IN: dict[tuple[Kind, str], str] = {
    ("camera", "v4l2"): "olympus.drivers.camera:V4l2Camera",
    ("camera", "csi"): "olympus.drivers.camera:CsiCamera",
    ("camera", "gst"): "olympus.drivers.camera:GstCamera",
    ("camera", "rtsp"): "olympus.drivers.camera:RtspCamera",
    ("camera", "rtsps"): "olympus.drivers.camera:RtspCamera",
    ("camera", "file"): "olympus.drivers.camera_file:VideoFileCamera",
    ("camera", "folder"): "olympus.drivers.camera_file:FolderCamera",
    ("microphone", "portaudio"): "olympus.drivers.microphone:PortAudioMicrophone",
    ("microphone", "file"): "olympus.drivers.microphone_file:WavMicrophone",
    ("base", "serial"): "olympus.drivers.serial_base:SerialRoverBase",
}
"""Rooms of this wing, imported when one of their devices is asked for."""

_registered: dict[tuple[Kind, str], Factory] = {}


def register(kind: Kind, scheme: str, factory: Factory) -> None:
    """Make `scheme://…` a source of `kind`; the last one registered for a scheme wins.

    Args:
        kind: `camera`, `microphone` or `base`.
        scheme: Lower case, such as `sim`.
        factory: Called as the head of this file says.
    """
    _registered[kind, scheme.lower()] = factory


def known_schemes(kind: Kind) -> list[str]:
    """Return the schemes that sources of `kind` may have, sorted."""
    keys: Iterable[tuple[Kind, str]] = {*_BUILT_IN, *_registered}
    return sorted(scheme for of, scheme in keys if of == kind)


def make_camera(
    source: str | int, *, clock: Clock, session: Session | None = None, **options: Option
) -> Camera:
    """Make the camera of a source string, closed.

    Args:
        source: Such as `sim://front`, `/dev/video0`, `rtsp://…`, `clip.mp4?loop=true`, `pictures/`.
        clock: Stamps the frames.
        session: The running session, for devices that live in one.
        options: Such as `fps`, `width`, `height`; they win over those in `source`.

    Raises:
        ConfigError: The scheme or an option is unknown, or a value is wrong.
    """
    device = _make("camera", source, clock=clock, session=session, options=options)
    if not isinstance(device, Camera):
        raise ConfigError(_wrong("camera", source, device))
    return device


def open_camera(
    source: str | int, *, clock: Clock, session: Session | None = None, **options: Option
) -> Camera:
    """Make the camera of a source string and open it; see `make_camera`.

    Raises:
        ConfigError: The scheme or an option is unknown, or a value is wrong.
        DeviceError: It can't be opened.
    """
    camera = make_camera(source, clock=clock, session=session, **options)
    camera.open()
    return camera


def make_microphone(
    source: str | int, *, clock: Clock, session: Session | None = None, **options: Option
) -> Microphone:
    """Make the microphone of a source string, closed; see `make_camera`.

    Raises:
        ConfigError: The scheme or an option is unknown, or a value is wrong.
    """
    device = _make("microphone", source, clock=clock, session=session, options=options)
    if not isinstance(device, Microphone):
        raise ConfigError(_wrong("microphone", source, device))
    return device


def make_base(
    source: str | int, *, clock: Clock, session: Session | None = None, **options: Option
) -> RoverBase:
    """Make the rover base of a source string, closed; see `make_camera`.

    Raises:
        ConfigError: The scheme or an option is unknown, or a value is wrong.
    """
    device = _make("base", source, clock=clock, session=session, options=options)
    if not isinstance(device, RoverBase):
        raise ConfigError(_wrong("base", source, device))
    return device


def _make(
    kind: Kind,
    source: str | int,
    *,
    clock: Clock,
    session: Session | None,
    options: dict[str, Option],
) -> Device:
    parsed = parse_source(source)
    factory = _find(kind, parsed)
    merged = {**parsed.options, **options}
    _check_options(parsed, factory, merged)
    return factory(parsed.location, clock=clock, session=session, **merged)


def _wrong(kind: Kind, source: str | int, device: Device) -> str:
    made = type(device).__name__
    return f"{parse_source(source).text!r} made a {made}, which is no {kind}; mend its factory"


def _find(kind: Kind, source: Source) -> Factory:
    scheme = source.scheme
    if scheme == "file" and kind == "camera" and Path(source.location).is_dir():
        scheme = "folder"
    if found := _registered.get((kind, scheme)):
        return found
    if name := _BUILT_IN.get((kind, scheme)):
        module, _, attribute = name.partition(":")
        return cast(Factory, getattr(importlib.import_module(module), attribute))
    raise ConfigError(
        f"{source.text!r}: no {kind} has the scheme {scheme!r}; "
        f"{did_you_mean(scheme, known_schemes(kind))}"
        " (a plugin adds its own when the launch file names it under 'plugins')"
    )


def _check_options(source: Source, factory: Factory, options: dict[str, Option]) -> None:
    parameters = inspect.signature(factory).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    known = {name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY} - _GIVEN
    for name in options:
        if name not in known:
            raise ConfigError(
                f"{source.text!r} has no option {name!r}; {did_you_mean(name, known)}"
            )
