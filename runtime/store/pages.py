"""Reading an LMDB file without trusting it.

LMDB follows what its pages say: a flipped bit in one can end the process that reads it. Here each
page is checked before it is followed (its own number, kind, bounds, the order of its keys, and that
they lie where its parent says), and read with `pread`, so that a file that was cut off is an error
and not a signal. A store that is being written is read this way too, within an LMDB transaction,
which keeps the pages of its state from being used anew.

Source: the file format of LMDB 0.9 (data version 1, 64-bit), as written in lmdb's mdb.c.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from olympus.runtime.errors import DamageError

MAGIC, VERSION = 0xBEEFC0DE, 1
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
BIG_VALUE, SUB_TREE = 1, 2
INTEGER_KEYS = 8
NO_PAGE = 2**64 - 1
DEEPEST = 32
_HEADER = struct.Struct("<QHHHH")
"""Number, padding, kind, and the bounds of the free space; or the length of a run, as u32."""
_NODE = struct.Struct("<HHHH")
_META = struct.Struct("<IIQQ")
_TREE = struct.Struct("<IHHQQQQQ")
_TAIL = struct.Struct("<QQ")

Item = tuple[bytes, bytes, int]
"""Key, value, and the node's flags."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One database in the file."""

    root: int
    depth: int
    entries: int
    branches: int
    leaves: int
    overflows: int
    """Pages of each kind."""
    has_numbers: bool
    """Whether its keys are numbers in the machine's byte order, as those of the free pages are."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the whole file."""

    page_bytes: int
    last_page: int
    transaction: int
    free: Tree
    main: Tree


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a tree, checked."""

    number: int
    kind: int
    data: bytes
    starts: tuple[int, ...]
    """Where its nodes begin."""
    keys: tuple[bytes, ...]
    """In ascending order, numbers with their highest byte first; the first of a branch says
    nothing."""


class PageFile:
    """The data file of an LMDB environment."""

    def __init__(self, file: Path) -> None:
        """Open the file to read it.

        Raises:
            OSError: It can't be opened.
        """
        self.file = file
        self._descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the file; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def snapshots(self) -> list[Snapshot]:
        """Return the two newest states that the file holds, the newer first.

        Raises:
            DamageError: The first pages are damaged, or the file is cut off.
        """
        first = self._meta(0, 4096)
        states = sorted((first, self._meta(1, first.page_bytes)), key=lambda s: -s.transaction)
        newer, older = states
        if newer.transaction - older.transaction > 1:
            raise self._damage(0, "its two states are no neighbours")
        needed = (newer.last_page + 1) * newer.page_bytes
        held = os.fstat(self._descriptor).st_size
        if held < needed:
            raise DamageError(
                f"{self.file} is cut off, {held} bytes of {needed} remain; "
                "bring back a copy, or move it away to begin anew"
            )
        return states

    def snapshot(self, transaction: int) -> Snapshot | None:
        """Return the state of a transaction; None if it is no longer one of the two newest.

        Raises:
            DamageError: The first pages are damaged, or the file is cut off.
        """
        return next((s for s in self.snapshots() if s.transaction == transaction), None)

    def subtrees(self, state: Snapshot) -> dict[bytes, Tree]:
        """Return the named databases.

        Raises:
            DamageError: A page is damaged.
        """
        return {
            key: _tree(value, 0)
            for key, value, flags in self.items(state, state.main)
            if flags & SUB_TREE and len(value) == _TREE.size
        }

    def items(
        self, state: Snapshot, tree: Tree, start: bytes = b"", *, backwards: bool = False
    ) -> Iterator[Item]:
        """Yield the items of a tree in the order of their keys.

        Args:
            state: The state of the file.
            tree: One of its trees.
            start: First key of interest; backwards: the last.
            backwards: From the last key to the first.

        Raises:
            DamageError: A page is damaged.
        """
        for page in self.pages(state, tree, start, backwards=backwards):
            if page.kind != LEAF:
                continue
            order = range(len(page.keys))
            for index in reversed(order) if backwards else order:
                key = page.keys[index]
                if key >= start if not backwards else (not start or key <= start):
                    value, flags = self.value(state, page, index)
                    yield key, value, flags

    def pages(
        self, state: Snapshot, tree: Tree, start: bytes = b"", *, backwards: bool = False
    ) -> Iterator[Page]:
        """Yield the pages of a tree that can hold keys from `start` on, parents first.

        Raises:
            DamageError: A page is damaged.
        """
        if tree.root == NO_PAGE:
            if tree.entries:
                raise self._damage(0, f"a tree of {tree.entries} entries has no root")
            return
        if not 0 < tree.depth <= DEEPEST:
            raise self._damage(tree.root, f"a tree of depth {tree.depth}")
        bounds: tuple[bytes, bytes | None] = (b"", None)
        yield from self._below(state, tree, tree.root, tree.depth, bounds, start, backwards)

    def value(self, state: Snapshot, page: Page, index: int) -> tuple[bytes, int]:
        """Return the value of a leaf's node, and the node's flags.

        Raises:
            DamageError: It goes beyond its page, or its run of pages is damaged.
        """
        start = page.starts[index]
        low, high, flags, key_bytes = _NODE.unpack_from(page.data, start)
        size, begin = low | high << 16, start + _NODE.size + key_bytes
        if not flags & BIG_VALUE:
            if begin + size > state.page_bytes:
                raise self._damage(page.number, "a value goes beyond the page")
            return page.data[begin : begin + size], flags
        first, count = self.run(state, page, index)
        if size > count * state.page_bytes - _HEADER.size:
            raise self._damage(first, f"a value of {size} bytes in {count} pages")
        return self._read(size, first * state.page_bytes + _HEADER.size), flags

    def run(self, state: Snapshot, page: Page, index: int) -> tuple[int, int]:
        """Return first page and length of the run that holds a node's value; length 0: none.

        Raises:
            DamageError: The run is damaged.
        """
        start = page.starts[index]
        _, _, flags, key_bytes = _NODE.unpack_from(page.data, start)
        begin = start + _NODE.size + key_bytes
        if not flags & BIG_VALUE:
            return 0, 0
        if begin + 8 > state.page_bytes:
            raise self._damage(page.number, "a value goes beyond the page")
        first = int.from_bytes(page.data[begin : begin + 8], "little")
        if first > state.last_page:
            raise self._damage(page.number, f"points to page {first} of {state.last_page}")
        number, _, kind, low, high = _HEADER.unpack(
            self._read(_HEADER.size, first * state.page_bytes)
        )
        count = low | high << 16
        if number != first or kind != OVERFLOW or first + count - 1 > state.last_page:
            raise self._damage(first, "it begins no run of pages")
        return first, count

    def _below(
        self,
        state: Snapshot,
        tree: Tree,
        number: int,
        levels: int,
        bounds: tuple[bytes, bytes | None],
        start: bytes,
        backwards: bool,
    ) -> Iterator[Page]:
        page = self._page(state, tree, number, LEAF if levels == 1 else BRANCH, bounds)
        yield page
        if page.kind == LEAF:
            return
        keys = (bounds[0], *page.keys[1:])
        order = range(len(keys))
        for index in reversed(order) if backwards else order:
            low, high = keys[index], keys[index + 1] if index + 1 < len(keys) else bounds[1]
            if start and (low > start if backwards else high is not None and high <= start):
                continue
            child = _child(page, index)
            yield from self._below(state, tree, child, levels - 1, (low, high), start, backwards)

    def _page(
        self,
        state: Snapshot,
        tree: Tree,
        number: int,
        kind: int,
        bounds: tuple[bytes, bytes | None],
    ) -> Page:
        if not 2 <= number <= state.last_page:
            raise self._damage(number, f"there are {state.last_page + 1} pages")
        size = state.page_bytes
        data = self._read(size, number * size)
        own, _, found, lower, upper = _HEADER.unpack_from(data)
        if own != number or found != kind:
            raise self._damage(number, f"it says it is page {own} of kind {found}, not {kind}")
        if not _HEADER.size <= lower <= upper <= size or lower % 2:
            raise self._damage(number, "its bounds make no sense")
        count = (lower - _HEADER.size) // 2
        starts = struct.unpack_from(f"<{count}H", data, _HEADER.size)
        if not count or min(starts) < upper or max(starts) + _NODE.size > size:
            raise self._damage(number, "its nodes lie outside")
        keys = tuple(data[s + 8 : s + 8 + (data[s + 6] | data[s + 7] << 8)] for s in starts)
        if tree.has_numbers:
            keys = tuple(key[::-1] if sys.byteorder == "little" else key for key in keys)
        real = keys[1:] if kind == BRANCH else keys
        if list(real) != sorted(set(real)) or any(not key for key in real):
            raise self._damage(number, "its keys are out of order")
        if real and (real[0] < bounds[0] or (bounds[1] is not None and real[-1] >= bounds[1])):
            raise self._damage(number, "its keys are not where its parent says")
        return Page(number, kind, data, starts, keys)

    def _meta(self, number: int, page_bytes: int) -> Snapshot:
        data = self._read(_HEADER.size + 152, number * page_bytes)
        own, _, kind, _, _ = _HEADER.unpack_from(data)
        magic, version, _, _ = _META.unpack_from(data, _HEADER.size)
        if (own, kind, magic, version) != (number, META, MAGIC, VERSION):
            raise self._damage(number, "it is no beginning of a store")
        place = _HEADER.size + _META.size
        size = _TREE.unpack_from(data, place)[0]
        if size not in (4096, 8192, 16384, 32768, 65536):
            raise self._damage(number, f"pages of {size} bytes")
        last, transaction = _TAIL.unpack_from(data, place + 2 * _TREE.size)
        if last > 2**40 or (transaction > 1 and transaction % 2 != number):
            raise self._damage(number, f"last page {last}, transaction {transaction}")
        trees = _tree(data, place), _tree(data, place + _TREE.size)
        return Snapshot(size, last, transaction, *trees)

    def _read(self, size: int, position: int) -> bytes:
        try:
            data = os.pread(self._descriptor, size, position)
        except OSError as error:
            raise DamageError(f"{self.file} can't be read at byte {position}: {error}") from error
        if len(data) < size:
            raise DamageError(
                f"{self.file} is cut off at byte {position + len(data)}; bring back a copy"
            )
        return data

    def _damage(self, page: int, what: str) -> DamageError:
        return DamageError(
            f"{self.file} is damaged at page {page}: {what}; `olympus store check` shows the extent"
        )


def _tree(data: bytes, position: int) -> Tree:
    _, flags, depth, branches, leaves, overflows, entries, root = _TREE.unpack_from(data, position)
    return Tree(root, depth, entries, branches, leaves, overflows, bool(flags & INTEGER_KEYS))


def _child(page: Page, index: int) -> int:
    low, high, flags, _ = _NODE.unpack_from(page.data, page.starts[index])
    return int(low | high << 16 | flags << 32)
