"""A client of a robot's bus that knows nothing of Olympus but docs/wire.md.

It needs the packages `eclipse-zenoh` and `msgpack`, and an endpoint of the launch file's section
`bus`; with certificates also the file of a Zenoh configuration (docs/wire.md shows one).

    python wire_client.py tcp/rover:7447 list
    python wire_client.py tcp/rover:7447 watch 'rover/**' --count 10
    python wire_client.py tcp/rover:7447 save rover/camera/image picture.jpg
    python wire_client.py tcp/rover:7447 last rover/mission
    python wire_client.py tcp/rover:7447 last 'rover/*' --count 20
    python wire_client.py tcp/rover:7447 reading rover/door 1 1 --count 5
    python wire_client.py tcp/rover:7447 call rover/navigator/say 'patrol the corridor'
    python wire_client.py tls/rover:7447 watch 'rover/**' --config client.json5
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import queue
import secrets
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgpack
import zenoh

HEADER = (
    "header:Header(seq:int,stamp:int,expires:int,tier:enum(0,1,2,3,4),source:str,"
    "trace:[Hop(topic:str,seq:int,stamp:int,sent:int)])"
)
LAYOUTS = {
    "olympus/Reading": (
        1,
        f"Reading({HEADER},name:str,value:float,unit:str,valid:bool,device:str,text:str)",
    ),
    "olympus/Command": (1, f"Command({HEADER},text:str,verb:str,args:{{str}})"),
}
"""Version and layout of what this client sends, as `olympus topic type NAME` prints them."""
NORMAL = 2
MAX_FRAME = 256 * 2**20
MAX_HEAD = 2**20
SOURCE = "wire_client"


@dataclass(frozen=True)
class Frame:
    """One frame, taken apart."""

    type: str
    header: list[Any]
    """`[seq, stamp, expires, tier, source, trace]`."""
    body: list[Any]
    arrays: list[tuple[str, list[int], memoryview]]
    """Type, shape and bytes of each array."""


def read(raw: bytes) -> Frame:
    """Take a frame apart.

    Raises:
        ValueError: The bytes are no frame.
    """
    if len(raw) < 8 or len(raw) > MAX_FRAME or raw[:4] != b"OLY1":
        raise ValueError("no frame")
    (length,) = struct.unpack_from("<I", raw, 4)
    if length > min(MAX_HEAD, len(raw) - 8):
        raise ValueError("a head longer than may be")
    name, _version, _hash, header, body, shapes = msgpack.unpackb(raw[8 : 8 + length])
    arrays, end = [], 8 + length
    for dtype, shape in shapes:
        start = -(-end // 64) * 64
        end = start + math.prod(shape) * int(dtype[2:])
        arrays.append((dtype, shape, memoryview(raw)[start:end]))
    if end != len(raw):
        raise ValueError("not as long as its arrays")
    return Frame(name, header, body, arrays)


def write(name: str, body: list[Any], *, seq: int = 0) -> bytes:
    """Make a frame without arrays.

    Args:
        name: Type of the message, one of `LAYOUTS`.
        body: Its fields in order, the header left out.
        seq: Number of the message, from 1; 0 for one that stands alone.
    """
    version, layout = LAYOUTS[name]
    digest = hashlib.sha256(f"{name}={layout}".encode()).digest()[:8]
    header = [seq, time.time_ns(), 0, NORMAL, SOURCE, []]
    head: bytes = msgpack.packb([name, version, digest, header, body, []])
    return b"OLY1" + struct.pack("<I", len(head)) + head


def show(key: str, raw: bytes) -> None:
    """Print a frame as one line of JSON."""
    try:
        frame = read(raw)
    except ValueError as error:
        told: dict[str, Any] = {"key": key, "refused": str(error)}
    else:
        told = {
            "key": key,
            "type": frame.type,
            "seq": frame.header[0],
            "stamp": frame.header[1],
            "source": frame.header[4],
            "body": frame.body,
            "arrays": [[dtype, shape] for dtype, shape, _ in frame.arrays],
        }
    sys.stdout.write(json.dumps(told, default=lambda value: f"{len(value)} bytes") + "\n")
    sys.stdout.flush()


def watch(session: zenoh.Session, wanted: argparse.Namespace) -> int:
    """Print what is published; while we are slow, only the newest of each look waits."""
    samples: queue.Queue[zenoh.Sample] = queue.Queue(1000)

    def take(sample: zenoh.Sample) -> None:  # one of Zenoh's threads: take it and go
        if samples.full():
            samples.get_nowait()
        samples.put_nowait(sample)

    session.declare_subscriber(wanted.name, take)
    shown = 0
    while not wanted.count or shown < wanted.count:
        sample = samples.get()
        show(str(sample.key_expr), sample.payload.to_bytes())
        shown += 1
    return 0


def save(session: zenoh.Session, wanted: argparse.Namespace) -> int:
    """Write the next picture that comes as a file to a file."""
    pictures: queue.Queue[bytes] = queue.Queue(1)

    def take(sample: zenoh.Sample) -> None:
        if not pictures.full():
            pictures.put_nowait(sample.payload.to_bytes())

    session.declare_subscriber(wanted.name, take)
    frame = read(pictures.get())
    if frame.type != "olympus/CompressedImage":
        sys.stderr.write(
            f"{frame.type}: only olympus/CompressedImage is a file already; the robot's launch "
            f"file makes it one with `bus: topics: {{{wanted.name}: {{jpeg: 80}}}}`\n"
        )
        return 1
    with Path(wanted.words[0]).open("wb") as target:
        target.write(frame.arrays[0][2])
    return 0


def last(session: zenoh.Session, wanted: argparse.Namespace) -> int:
    """Print the last value of latched topics, or, from a store, the newest of any."""
    key = wanted.name + (f"?last={wanted.count}" if wanted.count else "")
    found = 0
    replies = session.get(
        key,
        target=zenoh.QueryTarget.ALL,
        consolidation=zenoh.ConsolidationMode.NONE,  # else one value a key
        timeout=5.0,
    )
    for reply in replies:
        if reply.ok is not None:
            show(str(reply.ok.key_expr), reply.ok.payload.to_bytes())
            found += 1
        elif reply.err is not None:
            sys.stderr.write(reply.err.payload.to_bytes().decode(errors="replace") + "\n")
    return 0 if found else 1


def reading(session: zenoh.Session, wanted: argparse.Namespace) -> int:
    """Publish a reading, ten times a second, with the attachment that lets gaps be seen."""
    encoding = zenoh.Encoding("application/x-olympus").with_schema("olympus/Reading")
    publisher = session.declare_publisher(wanted.name, encoding=encoding)
    deadline = time.monotonic() + 5.0
    while not publisher.matching_status.matching and time.monotonic() < deadline:
        time.sleep(0.05)  # nobody has asked for it yet, as far as we know
    incarnation = time.time_ns()
    value, unit = float(wanted.words[0]), wanted.words[1]
    for seq in range(1, (wanted.count or 1) + 1):
        body = [wanted.name, value, unit, True, SOURCE, ""]
        origin = struct.pack("<QQ", seq, incarnation) + SOURCE.encode()
        publisher.put(write("olympus/Reading", body, seq=seq), attachment=origin)
        time.sleep(0.1)
    return 0


def call(session: zenoh.Session, wanted: argparse.Namespace) -> int:
    """Ask a service that takes a sentence; who stops this client has its handler cancelled."""
    caller, number, patience_s = secrets.randbits(64), 1, 5.0
    token = session.liveliness().declare_token(f"@olympus/caller/{caller:016x}")
    replies = session.get(
        wanted.name,
        payload=write("olympus/Command", [" ".join(wanted.words), "", {}]),
        attachment=struct.pack("<QQI", caller, number, round(patience_s * 1000)),
        timeout=patience_s + 1,
    )
    done, told = 1, False
    try:
        for reply in replies:
            if reply.ok is not None:
                show(wanted.name, reply.ok.payload.to_bytes())
                done = 0
            elif reply.err is not None:
                told = True
                sys.stderr.write(reply.err.payload.to_bytes().decode(errors="replace") + "\n")
    except KeyboardInterrupt:
        session.put(f"@olympus/cancel/{caller:016x}", struct.pack("<Q", number), express=True)
    token.undeclare()
    if done and not told:
        sys.stderr.write(f"{wanted.name}: nobody answers\n")
    return done


def list_(session: zenoh.Session, _wanted: argparse.Namespace) -> int:
    """Print who is there."""
    for reply in session.liveliness().get("@olympus/graph/**", timeout=3.0):
        if reply.ok is not None:
            parts = str(reply.ok.key_expr).removeprefix("@olympus/graph/").split("/")
            sys.stdout.write("  ".join("-" if p == "%" else unquote(p) for p in parts) + "\n")
    return 0


def opened(endpoint: str, file: str) -> zenoh.Session:
    """Open a session as a client of the robot's gateway."""
    config = zenoh.Config.from_file(file) if file else zenoh.Config()
    config.insert_json5("mode", json.dumps("client"))
    config.insert_json5("connect/endpoints", json.dumps([endpoint]))
    config.insert_json5("scouting/multicast/enabled", "false")
    return zenoh.open(config)


def main() -> int:
    """Do what the words say and return the exit code."""
    acts = {
        "watch": watch,
        "save": save,
        "last": last,
        "reading": reading,
        "call": call,
        "list": list_,
    }
    parser = argparse.ArgumentParser(description="A client of a robot's bus.")
    parser.add_argument("endpoint", help="such as tcp/rover:7447")
    parser.add_argument("act", choices=acts)
    parser.add_argument("name", nargs="?", default="**", help="key of a topic or a service")
    parser.add_argument("words", nargs="*", help="value and unit, a file, or a sentence")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--config", default="", help="a Zenoh configuration file")
    wanted = parser.parse_intermixed_args()
    try:
        with opened(wanted.endpoint, wanted.config) as session:
            return acts[wanted.act](session, wanted)
    except zenoh.ZError as error:
        hint = "" if wanted.config else "; does it ask for a certificate? --config FILE names one"
        sys.stderr.write(f"{wanted.endpoint}: {error}{hint}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
