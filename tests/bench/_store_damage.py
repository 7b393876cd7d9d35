"""Damage to a store's file at random places, and what readers and writers say of it."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from _store_life import PICTURE, SMALL, forked, message_of

from olympus.runtime.errors import MessageError, StoreError
from olympus.runtime.messages import Message, Reading
from olympus.runtime.store import StreamStore


class Damages:
    """Damage to a store, and what readers and writers say of it."""

    def __init__(self, whole: Path, folder: Path, seed: int) -> None:
        self._whole, self._folder = (whole / "data.mdb").read_bytes(), folder
        self._luck = random.Random(seed)
        self.complaints: list[str] = []
        with StreamStore(whole, read_only=True) as store:
            self._truth = content(store)

    def run(self, count: int) -> dict[str, dict[str, int]]:
        """Damage the file so many times, each time anew; return what was said, by kind."""
        damages: dict[str, dict[str, int]] = {}
        kinds = (self._bit, self._bits, self._sector, self._garbage, self._cut)
        for number in range(count):
            kind = kinds[number % len(kinds)]
            data = kind(bytearray(self._whole))
            found = self._read(data)
            name = str(kind.__doc__).rstrip(".")
            counts = damages.setdefault(name, {})
            counts[found] = counts.get(found, 0) + 1
            if found not in ("as written", "error named"):
                self.complaints.append(f"damage {number}, {name}: {found}")
        return damages

    def _read(self, data: bytearray) -> str:
        place = self._folder / "damaged"
        place.mkdir(exist_ok=True)
        (place / "data.mdb").write_bytes(data)
        said = self._folder / "said"
        said.write_text("")
        pid = forked(lambda: self._read_and_write(place, said))
        _, status = os.waitpid(pid, 0)
        shutil.rmtree(place)
        if status:
            return f"crash ({os.waitstatus_to_exitcode(status)}) {said.read_text()}"
        return said.read_text()

    def _read_and_write(self, place: Path, said: Path) -> None:
        try:
            with StreamStore(place, read_only=True) as store:
                found = content(store)
            said.write_text(
                "as written" if found == self._truth else difference(found, self._truth)
            )
        except (MessageError, StoreError):
            said.write_text("error named")
        text = said.read_text()
        said.write_text(f"{text}, then writing")
        try:
            with StreamStore(place, is_durable=False) as store:
                for number in range(3):
                    store.append([(SMALL, Reading(name="more", value=float(number), unit="1"))])
        except (MessageError, StoreError):
            pass  # refused in our words, which is what is asked for
        said.write_text(text)

    def _bit(self, data: bytearray) -> bytearray:
        """one bit flipped."""
        data[self._luck.randrange(len(data))] ^= 1 << self._luck.randrange(8)
        return data

    def _bits(self, data: bytearray) -> bytearray:
        """100 bits flipped."""
        for _ in range(100):
            self._bit(data)
        return data

    def _sector(self, data: bytearray) -> bytearray:
        """a sector of 512 bytes zeroed."""
        start = self._luck.randrange(len(data) // 512) * 512
        data[start : start + 512] = bytes(512)
        return data

    def _garbage(self, data: bytearray) -> bytearray:
        """a page of 4096 bytes overwritten."""
        start = self._luck.randrange(len(data) // 4096) * 4096
        data[start : start + 4096] = self._luck.randbytes(4096)
        return data

    def _cut(self, data: bytearray) -> bytearray:
        """the end cut off."""
        return data[: self._luck.randrange(len(data))]


def content(store: StreamStore) -> dict[str, Any]:
    """Return all that a store holds, in a form that can be compared."""
    records = {
        topic: [(r.stamp, r.seq, r.arrived, hash(r.frame)) for r in store.records(topic)]
        for topic in store.topics()
    }
    return {**records, "gaps": store.gaps(), "runs": store.runs()}


def difference(found: dict[str, Any], truth: dict[str, Any]) -> str:
    """Say in a few words what two contents differ in."""
    names = [n for n in sorted({*found, *truth}) if found.get(n) != truth.get(n)]
    counts = [f"{n} {len(found.get(n, []))} of {len(truth.get(n, []))}" for n in names]
    return f"SILENTLY WRONG: {', '.join(counts)}"


def small_store(place: Path) -> Path:
    """Make a store small enough that damage hits what matters."""
    with StreamStore(place, is_durable=False) as store:
        for start in range(1, 1200, 40):
            batch = [(SMALL, _numbered("small", n)) for n in range(start, start + 40)]
            store.append([*batch, (PICTURE, _numbered("picture", start // 40 + 1))])
    return place


def _numbered(name: str, seq: int) -> Message:
    message = message_of(name, seq)
    header = replace(message.header, seq=seq, stamp=seq * 10**6, source=name)
    return replace(message, header=header)
