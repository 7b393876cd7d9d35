"""Read source strings: which kind of device, which one, with which options."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from olympus.runtime.errors import ConfigError

Option = bool | int | float | str
"""What an option of a device may be."""

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")
_OPAQUE = frozenset({"rtsp", "rtsps"})
"""Schemes whose address is passed on whole, question marks and all."""
_WORDS: dict[str, bool] = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class Source:
    """A source string, taken apart."""

    text: str
    """What was written, without its password."""
    scheme: str
    """Kind of source, lower case, such as `v4l2`, `file`, `sim`."""
    location: str
    """Which one: a device, a path, a name, a pipeline or a whole address."""
    options: dict[str, Option] = field(default_factory=dict)
    """What stood behind the question mark."""


def without_secret(text: str) -> str:
    """Return `text` with the user and password of every address in it taken out."""
    return _SECRET.sub("***@", text)


def parse_option(text: str) -> Option:
    """Turn the text of an option into a bool, an int or a float where it reads like one."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def require_positive(**options: Option | None) -> None:
    """Check that options that must be numbers above 0 are, or are left out.

    Raises:
        ConfigError: One is not.
    """
    for name, value in options.items():
        if value is None:
            continue
        if isinstance(value, (bool, str)) or not 0 < value < float("inf"):
            raise ConfigError(f"{name}={value!r}: must be a number above 0, or left out")


def split_options(text: str) -> tuple[str, dict[str, Option]]:
    """Split `place?key=value&key=value` into the place and its options."""
    place, _, query = text.partition("?")
    return place, {key: parse_option(value) for key, value in parse_qsl(query, True)}


def parse_source(text: str | int) -> Source:
    """Take a source string apart.

    Args:
        text: `scheme://place?option=value`, `gst:PIPELINE`, a device such as `/dev/video0`, a
            number (that video device), or the path of a file or folder, `?option=value` included.

    Returns:
        Its parts; `scheme` is `v4l2` for devices and numbers, `file` for paths.

    Raises:
        ConfigError: It is empty.
    """
    written = str(text).strip()
    if not written:
        raise ConfigError("source is empty; give a device, an address or a path")
    if written.startswith("gst:"):
        pipeline = written.removeprefix("gst:").removeprefix("//").strip()
        return Source(without_secret(written), "gst", pipeline)
    if written.isdecimal():
        return Source(written, "v4l2", f"/dev/video{written}")
    if match := _SCHEME.fullmatch(written):
        return _from_address(written, match["scheme"].lower(), match["rest"])
    # A question mark may stand in a file's name; the file that exists wins.
    place, options = (written, {}) if Path(written).exists() else split_options(written)
    return Source(written, "v4l2" if place.startswith("/dev/") else "file", place, options)


def _from_address(written: str, scheme: str, rest: str) -> Source:
    if scheme in _OPAQUE:
        return Source(without_secret(written), scheme, written)
    place, options = split_options(rest)
    return Source(without_secret(written), scheme, place, options)
