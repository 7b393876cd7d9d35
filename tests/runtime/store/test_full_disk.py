"""A disk that really is full: a small tmpfs of its own, the store and its reserve upon it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
APART = ("unshare", "--user", "--map-root-user", "--mount")
SCRIPT = """
import json, subprocess, sys
from pathlib import Path
from olympus.runtime.store import Incoming, StreamStore
from olympus.runtime.store.room import BALLAST
from olympus.runtime.store.upkeep import check_all
from olympus.runtime.store.writer import BatchWriter

MB = 2**20
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], check=True)
others = disk / "others.bin"
others.write_bytes(bytes(8 * MB))
folder, told, seq = disk / "store", {"troubles": [], "full_at": 0, "reserve_used": False}, 0
store = StreamStore(folder, map_bytes=1024 * MB)
writer = BatchWriter(store, max_bytes=1000 * MB, reserve_bytes=4 * MB)

def batch():
    global seq
    made = []
    for _ in range(10):
        seq += 1
        for topic, size in (("rover/image", 60_000), ("rover/pose", 300), ("safety/state", 300)):
            made.append(Incoming(topic, seq, seq, topic, 0, bytes(size)))
    return made

def fill(count):
    for _ in range(count):
        written = writer.write(batch(), now_ns=seq)
        if written.trouble:
            told["troubles"].append(written.trouble)
        if written.missed.get("full") and not told["full_at"]:
            told["full_at"] = seq
        told["reserve_used"] |= not (folder / BALLAST).exists()

fill(150)
told["image_when_full"] = store.count("rover/image")
others.unlink()  # somebody makes room
before = store.count("rover/image")
fill(3)
told["image_after_room"] = store.count("rover/image") - before
told["reserve_is_back"] = (folder / BALLAST).exists()
told["sent"] = seq
for topic in store.topics():
    missing = {}
    for gap in store.gaps():
        if gap.topic == topic:
            missing[gap.reason] = missing.get(gap.reason, 0) + gap.missing
    told[topic] = {"recorded": store.count(topic), **missing}
store.close()
with StreamStore(folder, read_only=True) as again:
    told["checked"] = check_all(again)
print(json.dumps(told))
"""


@cache
def may_mount() -> bool:
    """Tell whether this machine lets a test have a file system of its own."""
    mounted = "mount -t tmpfs -o size=1m tmpfs /mnt"
    try:
        done = subprocess.run([*APART, "sh", "-c", mounted], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(not may_mount(), reason="this machine gives no mount namespace (unshare)")
def test_a_full_disk_takes_sensors_first_and_safety_never(tmp_path: Path) -> None:
    command = [*APART, sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    sent = told["sent"]
    assert told["safety/state"] == {"recorded": sent}
    images = told["rover/image"]
    assert images["recorded"] + images["thinned"] + images["full"] == sent
    assert images["thinned"] > 0 < images["full"]
    poses = told["rover/pose"]
    assert sum(poses.values()) == sent
    assert poses["recorded"] > images["recorded"]
    assert any("not recorded" in trouble for trouble in told["troubles"])
    assert told["image_after_room"] > 0
    assert told["reserve_is_back"]
    assert told["checked"] == sum(
        told[topic]["recorded"] for topic in ("safety/state", "rover/image", "rover/pose")
    )


NO_ROOM = """
import subprocess, sys
from pathlib import Path
from olympus.runtime.errors import StoreError
from olympus.runtime.store.environment import open_environment

disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
for taken in range(17):  # of the 16 pages
    folder, others = disk / f"store{taken}", disk / "others.bin"
    folder.mkdir()
    others.write_bytes(bytes(taken * 4096))
    try:
        open_environment(folder).close()
        print("opened", flush=True)
    except StoreError as error:
        print(error, flush=True)
    others.unlink()
    subprocess.run(["rm", "-rf", str(folder)], check=True)
"""


@pytest.mark.skipif(not may_mount(), reason="this machine gives no mount namespace (unshare)")
def test_a_store_that_has_no_room_for_its_first_pages_is_an_error_and_kills_nobody(
    tmp_path: Path,
) -> None:
    command = [*APART, sys.executable, "-c", NO_ROOM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr  # -7 would be SIGBUS
    said = done.stdout.splitlines()
    assert said[0] == "opened"
    assert said[-1] != "opened"
    assert all("No space left on device" in line for line in said if line != "opened")
