"""A file that somebody cuts off while it is open: an error that names it, and the process goes on.

LMDB reads through a map, so the process would end by SIGBUS: each test asks another process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from olympus.runtime.errors import StoreError
from olympus.runtime.store.environment import StoreFile

STORE = """
from olympus.runtime.store.environment import StoreFile
store = StoreFile(folder)
def put(number):
    def work(writing):
        writing.put(b"%d" % number, bytes(20_000), db=store.database(b"numbers", writing))
    store.write("writing", work)
def get():
    with store.view() as view:
        return view.get(b"numbers", b"1")
"""
QUEUE = """
from olympus.runtime.store.queue import DiskQueue
store = DiskQueue(folder)
def put(number):
    store.append(bytes(20_000))
get = store.popleft
"""
ANSWERS = """
import logging
from olympus.models.answers import AnswerCache
logging.disable()
store = AnswerCache(folder, 60, lambda: 1)
def put(number):
    store.put(b"%d" % number, bytes(20_000))
def get():
    store.get(b"1")
"""
REST = """
for number in range(20):
    put(number)
get()
os.truncate(folder / "data.mdb", int(sys.argv[2]))
for _ in range(2):
    for again in (get, lambda: put(30)):
        try:
            again()
            print("failures", getattr(store, "failures", 0))
        except DamageError as error:
            print(error)
store.close()
print("well")
"""
HEAD = """
import os, sys
from pathlib import Path
from olympus.runtime.errors import DamageError
folder = Path(sys.argv[1])
"""


def test_what_is_closed_says_so(tmp_path: Path) -> None:
    store = StoreFile(tmp_path)
    store.close()
    with pytest.raises(StoreError, match="reading"), store.view():
        pass


def told(code: str, folder: Path, left: int) -> list[str]:
    command = [sys.executable, "-c", HEAD + code + REST, str(folder), str(left)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout.splitlines()


@pytest.mark.parametrize("left", [0, 4096, 40_000])
@pytest.mark.parametrize("code", [STORE, QUEUE], ids=["store", "queue"])
def test_a_store_that_is_cut_off_while_it_is_open_is_refused_by_name(
    tmp_path: Path, code: str, left: int
) -> None:
    *errors, last = told(code, tmp_path, left)
    assert last == "well"
    assert len(errors) == 4
    for error in errors:
        assert f"{tmp_path}/data.mdb was cut off while it is in use, {left} bytes of " in error


@pytest.mark.parametrize("left", [0, 4096, 40_000])
def test_remembered_answers_that_are_cut_off_are_computed_anew(tmp_path: Path, left: int) -> None:
    assert told(ANSWERS, tmp_path, left) == [*(f"failures {n}" for n in (1, 2, 3, 4)), "well"]
