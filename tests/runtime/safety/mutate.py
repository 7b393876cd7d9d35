"""Change one thing at a time in the pure rooms of the safety path, and see that a test notices.

    python tests/runtime/safety/mutate.py [ROOM ...]

It prints each mutant that survives with its line, and ends with 1 if any did. Nothing on disk is
changed: each mutant lives in a process of its own.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import itertools
import os
import signal
import sys
import types
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOMS = {
    "state": "test_state.py",
    "limits": "test_limits.py",
    "lease": "test_lease.py",
    "stopinput": "test_stopinput.py",
    "sleep": "test_sleep.py",
    "vouched": "test_vouched.py",
    "acks": "test_acks.py",
    "readback": "test_readback.py",
    "realtime": "test_realtime.py",
    "gate": "test_gate.py",
    "telling": "test_telling.py",
    "seal": "test_seal.py",
    "shared": "test_shared.py",
    "stopline": "test_stopline.py",
    "neutral_line": "test_neutral_line.py",
}
"""Room -> its tests."""

LONGEST_S = 60
"""How long the tests of one mutant may take."""

EQUIVALENT = {
    ("limits", "LONGEST_BRAKE_S * (1 + 1e-09)"): "room for rounding, of no size in particular",
    ("limits", "(moved - self.neutral) * (current - self.neutral) <= 0"): "neutral either way",
    (
        "limits",
        "(moved - self.neutral) / (current - self.neutral)",
    ): "the same sign: not both are 0",
    ("limits", "abs(target - current) < step"): "a step that just reaches ends there either way",
    ("gate", "abs(a - b) >= _NEAR"): "room for rounding, of no size in particular",
    ("gate", "truth turned: False in: limited = any("): "of one length: it was looked at before",
    ("gate", "truth turned: False in: for index, (value, limits)"): "the same",
    ("gate", "number: 1 in: return Flag(0)"): "NEUTRAL, which it has already",
    ("gate", "number: 1 in: return Flag.WATCHED | Flag.SENSED"): "the same",
    ("neutral_line", "in: _LONGEST_TEXT"): "of no size in particular",
    (
        "neutral_line",
        "in: last_ns, count = self._used.get(name, (0, 0))",
    ): "long ago, either way; the count has a test of its own",
    (
        "lease",
        "in: self._file.write(RECORD.pack(epoch, self._sequence, 0, 0",
    ): "nobody is permitted",
    ("readback", "time.monotonic() >= deadline"): "a nanosecond of a second",
    ("realtime", "number: 3 in: _MCL_FUTURE"): "present memory too, which is asked for anyway",
    ("realtime", "in: ctypes.CDLL(None, use_errno=True).prctl("): "the kernel reads no more of it",
    ("realtime", "in: libc = ctypes.CDLL(None, use_errno=True)"): "it is only told",
    (
        "realtime",
        "in: if may_lock_all(resource.getrlimit",
    ): "soft and hard limit are told apart only by who may raise them",
    ("seal", "in: nonce = secrets.token_hex(8)"): "of no size in particular",
    ("seal", "number: -1 in: if about.st_uid not in"): "whoever runs this may be root",
    ("seal", "in: self._newest[name] = max("): "a counter is 1 at least",
    ("shared", "number: 2 in: self._fd = -1"): "any below 0 will do",
    ("shared", "False in: self._is_claimed = True"): "it only spares a system call",
    ("shared", "number: -1 in: if self._fd < 0:"): "what is not open has no state either",
    ("shared", "in: path.mkdir(mode=0o700"): "a wrong mode is put right below",
    ("state", 'in: return f"reset is being held or repeated'): "200 ms as they are written",
    ("sleep", "number: 1000001"): "a millisecond is no exact bound: no sleep is so short",
    ("sleep", "number: 999999"): "the same",
    ("stopinput", "number: 4"): "of a file that is too long, more is read: it is too long",
}
"""(room, text) of what may change without a difference, and why."""

_COMPARE = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


def mutants(tree: ast.Module, lines: list[str]) -> Iterator[tuple[ast.Module, str]]:
    """Yield changed trees, and what was changed in words, with the line of the room it is in."""
    for index, original in enumerate(ast.walk(tree)):
        for variant in range(2):
            if not _change(_alone(original), variant):
                continue  # found out on a copy of little, not of the whole room
            changed = copy.deepcopy(tree)
            node = next(itertools.islice(ast.walk(changed), index, None))
            words = _change(node, variant)
            text = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ""
            number: int = node.lineno  # type: ignore[attr-defined]
            where = f"line {number}: {words}: {text} in: {lines[number - 1].strip()}"
            yield ast.fix_missing_locations(changed), where


def _alone(node: ast.AST) -> ast.AST:
    """Copy a node without copying what is below it."""
    return type(node)(**{name: getattr(node, name) for name in node._fields})


def _change(node: ast.AST, variant: int) -> str:
    match node:
        case ast.Compare(ops=[op]) if variant == 0 and type(op) in _COMPARE:
            node.ops = [_COMPARE[type(op)]()]
            return "comparison"
        case ast.BinOp(op=op) if variant == 0 and type(op) in _ARITHMETIC:
            node.op = _ARITHMETIC[type(op)]()
            return "arithmetic"
        case ast.BoolOp() if variant == 0:
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            return "and/or"
        case ast.IfExp() | ast.If() if variant == 0:
            node.test = ast.UnaryOp(ast.Not(), node.test)
            return "condition turned"
        case ast.Constant(value=bool(value)) if variant == 0:
            node.value = not value
            return "truth turned"
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            node.value = value + (1 if variant == 0 else -1)
            return "number"
        case ast.UnaryOp(op=ast.Not()) if variant == 0:
            node.op = ast.UAdd()
            return "not left out"
    return ""


def source(room: str) -> tuple[str, Path]:
    """Return the text of a room and where it is."""
    spec = importlib.util.find_spec(f"olympus.runtime.safety.{room}")
    if spec is None or spec.origin is None:
        raise SystemExit(f"there is no room {room}")
    return Path(spec.origin).read_text(), Path(spec.origin)


def run_one(room: str, tree: ast.Module) -> int:
    """Run the room's tests on one tree of it, in this process; 0 = they pass."""
    path = source(room)[1]
    name = f"olympus.runtime.safety.{room}"
    module = types.ModuleType(name)
    module.__file__, module.__package__ = str(path), "olympus.runtime.safety"
    sys.modules[name] = module
    exec(compile(tree, str(path), "exec"), module.__dict__)
    import pytest
    from hypothesis import Phase, settings

    # A counterexample is enough; it need not be made small.
    settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None)
    settings.load_profile("mutants")
    # Processes that the tests start have the room as it is on disk: they notice nothing.
    quiet = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-m", "not e2e"]
    # Imported before the fork, and nobody needs its assertions rewritten.
    quiet += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*quiet, str(HERE / ROOMS[room])]))


def is_noticed(room: str, tree: ast.Module) -> bool:
    """Tell whether a test notices a tree, in a process forked from this one.

    What the tests need besides the room is imported already, which makes it ten times as fast.
    """
    child = os.fork()
    if child == 0:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        signal.alarm(LONGEST_S)  # a mutant that loops for ever is noticed too
        code = 2
        try:
            code = run_one(room, tree)
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] != 0


def main(words: list[str]) -> int:
    """Try every mutant of the named rooms; all of `ROOMS` when none is named."""
    import hypothesis
    import pytest

    del hypothesis, pytest
    survivors = tried = 0
    for room in words or list(ROOMS):
        told = source(room)[0]
        whole = ast.parse(told)
        if is_noticed(room, whole):
            raise SystemExit(f"{room}: its tests fail without any change; mend that first")
        for number, (tree, words_of) in enumerate(mutants(whole, told.splitlines())):
            tried += 1
            is_equal = any(r == room and text in words_of for r, text in EQUIVALENT)
            if not is_equal and not is_noticed(room, tree):
                survivors += 1
                sys.stdout.write(f"survived: {room}: {number}: {words_of}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{tried} mutants, {survivors} survived\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
