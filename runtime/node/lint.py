"""Finds in a node's source what may come out differently when the same recording is replayed.

A node that is replayed gets the same messages, timer ticks and clock readings in the same order;
what it does with them must not hang on anything else. This reads source and guesses no types, so
it sees what is written plainly and not what is hidden well: a replay is the proof, this is the word
in time.

Where a line may vary because nothing depends on it, say why: `# varies: only for the log`. Where
all of a module stands at the edge, at motors or browsers which no replay moves, a line of its own
says `# varies throughout: these are motors`.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from olympus.runtime.errors import ConfigError

_WAIVER = re.compile(r"#\s*varies( throughout)?:\s*(.*)")
_CLOCK = "ask `self.clock`, which a replay sets"
_SEED = "take `random.Random(seed)` or `numpy.random.default_rng(seed)`, the seed from a parameter"
_ORDER = "a set has no order: iterate over `sorted(...)`, or keep a dict"
_THREAD = "when another thread is done varies: give the work to `self.compute`, which is recorded"
_WAKING = (
    "when it lets a handler go on is in no journal: keep what is to be done in a field, and do it "
    "where what it waits for comes in"
)
_PLACE = "make it a parameter, which is recorded"
_LOOK = "look by `self.observe(what, read)`, which is recorded"
_NAMES = {
    **dict.fromkeys(
        (
            *(f"time.{name}{unit}" for name in ("time", "monotonic") for unit in ("", "_ns")),
            *(f"time.{name}" for name in ("localtime", "gmtime", "strftime", "ctime", "sleep")),
            *(f"datetime.{name}" for name in ("now", "utcnow", "today")),
            *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
            "date.today",
            "datetime.date.today",
        ),
        ("wall clock", _CLOCK),
    ),
    **dict.fromkeys(
        ("os.urandom", "uuid.uuid1", "uuid.uuid4", "random.SystemRandom"),
        ("randomness", _SEED),
    ),
    **dict.fromkeys(
        (
            "threading.Thread",
            "threading.Timer",
            "asyncio.to_thread",
            "multiprocessing.Process",
            "multiprocessing.Pool",
            "concurrent.futures.ThreadPoolExecutor",
            "concurrent.futures.ProcessPoolExecutor",
            "subprocess.Popen",
            "subprocess.run",
        ),
        ("thread", _THREAD),
    ),
    **dict.fromkeys(
        (f"asyncio.{name}" for name in ("Lock", "Event", "Condition", "Semaphore", "Queue")),
        ("waiting", _WAKING),
    ),
    **dict.fromkeys(
        ("os.getenv", "os.getpid", "os.cpu_count", "socket.gethostname", "platform.node"),
        ("surroundings", _PLACE),
    ),
    "os.environ": ("surroundings", _PLACE),
    "asyncio.as_completed": ("order", "which is done first varies: await them in your own order"),
    "os.listdir": ("order", "a folder has no order: iterate over `sorted(...)`"),
    "os.scandir": ("order", "a folder has no order: iterate over `sorted(...)`"),
    "glob.glob": ("order", "a folder has no order: iterate over `sorted(...)`"),
}
_CALLS = {
    "hash": ("hash", "hashes of texts differ in every process: use `zlib.crc32` or a key"),
    "id": ("address", "addresses differ in every process: number things yourself"),
}
"""Names that many a parameter or field has too: only a call of them is one of these."""
_MODULE_RANDOM = ("random.", "secrets.", "numpy.random.")
_NEEDS_SEED = ("random.Random", "numpy.random.default_rng", "numpy.random.RandomState")
_SEEDED_TYPES = ("numpy.random.Generator", "numpy.random.SeedSequence", "numpy.random.PCG64")
_FOLDER_METHODS = ("iterdir", "glob", "rglob")
_SET_METHODS = ("union", "intersection", "difference", "symmetric_difference")
_LOOKS_AT_ALL = ("sorted", "set", "frozenset", "len", "min", "max", "any", "all", "bool")
"""Calls whose result does not hang on the order of what they are given."""
_TAKES_IN_ORDER = ("list", "tuple", "enumerate", "iter", "zip", "map", "filter", "sum", "dict")


@dataclass(frozen=True, slots=True, order=True)
class Varying:
    """Something in a source that may vary between two replays."""

    line: int
    """From 1."""
    kind: str
    """What it hangs on: `wall clock`, `randomness`, `order`, `thread`, `waiting`, …"""
    text: str
    """The expression."""
    way_out: str
    """What to write instead."""
    excuse: str = ""
    """Why it may vary, from the comment `# varies: …` on its line; empty when nobody said."""


def varying(source: str, name: str = "<source>") -> list[Varying]:
    """Return what may vary in a source, by line; excused ones too.

    Args:
        source: Python source.
        name: For the error.

    Raises:
        ConfigError: It is not valid Python.
    """
    try:
        tree = ast.parse(source)
        excuses = dict(_excuses(source))
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise ConfigError(f"{name} can't be read as Python: {error}") from error
    reader = _Reader(imports_of(tree), _sets(tree))
    reader.visit(tree)
    whole = excuses.pop(0, "")
    found: set[Varying] = set()
    used: set[int] = set()
    for line, first, last, kind, text, way_out in reader.found:
        lines = range(first, last + 1)
        used.update(lines)
        excuse = next((excuses[n] for n in lines if excuses.get(n)), whole)
        found.add(Varying(line, kind, text, way_out, excuse))
    for line in sorted(excuses.keys() - used):
        text, way_out = f"# varies: {excuses[line]}", "nothing on this line varies: remove it"
        found.add(Varying(line, "excuse", text, way_out))
    return sorted(found)


def _excuses(source: str) -> Iterator[tuple[int, str]]:
    """Yield each excuse with its line; 0 is the whole file."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (match := _WAIVER.match(token.string)):
            yield 0 if match[1] else token.start[0], match[2].strip()


def imports_of(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for: `np` for `numpy`, `sleep` for `time.sleep`.

    What is imported relative to a package begins with dots, as it is written.
    """
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (f"{node.module}." if node.module else "")
            for alias in node.names:
                names[alias.asname or alias.name] = f"{module}{alias.name}"
    return names


def _sets(tree: ast.Module) -> set[str]:
    """Return the names and attributes that are given a set somewhere, as they are written."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _makes_set(node.value, found):
            found.update(ast.unparse(target) for target in node.targets)
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            kind = ast.unparse(node.annotation).split("[")[0].split(".")[-1]
            if kind in ("set", "frozenset", "Set", "AbstractSet"):
                target = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
                found.add(target)
    return found


def _makes_set(node: ast.expr, known: set[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Call(func=ast.Attribute(attr=method, value=base)) if method in _SET_METHODS:
            return _makes_set(base, known)
        case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            return _makes_set(node.left, known) or _makes_set(node.right, known)
        case ast.Name() | ast.Attribute():
            return ast.unparse(node) in known
    return False


class _Reader(ast.NodeVisitor):
    """Walks a source; the arguments of calls that look at all of something are forgiven order."""

    def __init__(self, imports: dict[str, str], sets: set[str]) -> None:
        self.found: list[tuple[int, int, int, str, str, str]] = []
        """Line, first and last line of its statement, kind, text, way out."""
        self._imports, self._sets = imports, sets
        self._orderless: set[ast.AST] = set()
        self._lines = (1, 1)

    def visit(self, node: ast.AST) -> None:
        """Visit a node, and keep in mind on which lines its statement stands."""
        if isinstance(node, ast.stmt):
            end = node.end_lineno or node.lineno
            body = getattr(node, "body", None)
            self._lines = (node.lineno, max(body[0].lineno - 1, node.lineno) if body else end)
        super().visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self._full(node.func)
        if name in _LOOKS_AT_ALL or name.endswith((".update", ".union", ".issubset")):
            for argument in node.args:
                self._forgive(argument)
        if name in _NEEDS_SEED and not (node.args or node.keywords):
            self._note(node, "randomness", _SEED)
        if name in _CALLS and isinstance(node.func, ast.Name):
            self._note(node, *_CALLS[name])
        if isinstance(node.func, ast.Attribute) and node.func.attr in _FOLDER_METHODS:
            self._note_order(node, "a folder has no order: iterate over `sorted(...)`")
        taken = name in _TAKES_IN_ORDER or name.endswith((".join", ".extend", ".fromkeys"))
        for argument in node.args if taken else ():
            self._note_iterated(argument)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "pop" and not node.args:
            self._note_iterated(node.func.value, of=node)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        text = node.value if isinstance(node.value, str) else ""
        if text.startswith("/proc/") and not text.startswith("/proc/self/fd/"):
            self._note(node, "surroundings", _LOOK)

    def visit_Name(self, node: ast.Name) -> None:
        self._check_name(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not self._check_name(node):
            self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._note_iterated(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._note_iterated(node.value)
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node, node.generators)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node, node.generators)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._forgive(node)
        self._comprehension(node, node.generators)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node, node.generators)

    def visit_Import(self, node: ast.Import) -> None:
        """Importing does nothing yet."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Importing does nothing yet."""

    def _forgive(self, node: ast.expr) -> None:
        self._orderless.add(node)
        if isinstance(node, ast.Call):
            self._orderless.add(node.func)
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
            self._orderless.update(part.iter for part in node.generators)

    def _comprehension(self, node: ast.expr, parts: list[ast.comprehension]) -> None:
        for part in parts if node not in self._orderless else ():
            self._note_iterated(part.iter)
        self.generic_visit(node)

    def _check_name(self, node: ast.Name | ast.Attribute) -> bool:
        name = self._full(node)
        if name in _NAMES:
            kind, way_out = _NAMES[name]
            self._note_order(node, way_out) if kind == "order" else self._note(node, kind, way_out)
            return True
        is_drawn = name.startswith(_MODULE_RANDOM) and name not in (*_NEEDS_SEED, *_SEEDED_TYPES)
        if is_drawn:
            self._note(node, "randomness", _SEED)
        return is_drawn

    def _full(self, node: ast.expr) -> str:
        """Return the full name of what is meant, imports followed; empty for an expression."""
        if isinstance(node, ast.Name):
            return self._imports.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            base = self._full(node.value)
            return f"{base}.{node.attr}" if base else f".{node.attr}"
        return "" if not isinstance(node, ast.Constant) else "constant"

    def _note_iterated(self, node: ast.expr, of: ast.expr | None = None) -> None:
        if _makes_set(node, self._sets):
            self._note(of or node, "order", _ORDER)

    def _note_order(self, node: ast.expr, way_out: str) -> None:
        if node not in self._orderless:
            self._note(node, "order", way_out)

    def _note(self, node: ast.expr, kind: str, way_out: str) -> None:
        self.found.append((node.lineno, *self._lines, kind, ast.unparse(node), way_out))
