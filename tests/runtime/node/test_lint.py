"""The lint sees what is written plainly, forgives what can't matter, and takes an excuse."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.errors import ConfigError
from olympus.runtime.node.lint import varying

VARIES = {
    "import time\nx = time.time()": "wall clock",
    "from time import monotonic_ns as now\nx = now()": "wall clock",
    "from datetime import datetime\nx = datetime.now()": "wall clock",
    "import datetime\nx = datetime.datetime.now()": "wall clock",
    "import random\nx = random.random()": "randomness",
    "import random\nx = random.Random()": "randomness",
    "from random import choice\nx = choice(y)": "randomness",
    "import numpy as np\nx = np.random.rand(3)": "randomness",
    "import numpy as np\nx = np.random.default_rng()": "randomness",
    "import uuid\nx = uuid.uuid4()": "randomness",
    "import secrets\nx = secrets.token_hex()": "randomness",
    "for x in {1, 2}:\n    pass": "order",
    "s = set(y)\nfor x in s:\n    pass": "order",
    "def f(s: set[str]):\n    return list(s)": "order",
    "class A:\n    s: set[int]\n    def f(self):\n        return [x for x in s]": "order",
    "x = ','.join({y for y in z})": "order",
    "s = set()\nx = s.pop()": "order",
    "x = list(set(a) | b)": "order",
    "x = [*frozenset(y)]": "order",
    "x = [p for p in folder.glob('*')]": "order",
    "import os\nx = os.listdir('.')": "order",
    "x = hash('a')": "hash",
    "x = id(y)": "address",
    "import asyncio\nasync def f():\n    await asyncio.to_thread(g)": "thread",
    "import threading\nthreading.Thread(target=f).start()": "thread",
    "import asyncio\nlock = asyncio.Lock()": "waiting",
    "from asyncio import Event\nnews = Event()": "waiting",
    "import os\nx = os.environ['A']": "surroundings",
    "x = float(open('/proc/loadavg').read().split()[0])": "surroundings",
}
NEVER_VARIES = (
    "import random\nx = random.Random(3).random()",
    "import numpy as np\nx = np.random.default_rng(seed)",
    "import numpy as np\ndef f(r: np.random.Generator) -> None: ...",
    "for x in sorted({1, 2}):\n    pass",
    "x = sorted(p for p in folder.rglob('*') if p)",
    "x = max(len(y) for y in {'a'})",
    "x = {y + 1 for y in set(z)}",
    "x = 3 in {1, 2, 3}",
    "x = any(y for y in {1, 2})",
    "stack = [1]\nx = stack.pop()",
    "import os\nx = sorted(os.listdir('.'))",
    "x = self.clock.now_ns()",
    "def f(hash: str, id: int) -> str:\n    return f'{hash} {id}'",
    "x = Anchor(id=3, hash='a').hash",
    "x = self.time.time_of_day()",
)


@pytest.mark.parametrize("source", VARIES)
def test_what_varies_is_found_with_its_line_and_the_way_out(source: str) -> None:
    found = varying(source)
    assert [one.kind for one in found] == [VARIES[source]]
    assert 1 <= found[0].line <= source.count("\n") + 1
    assert found[0].way_out


@pytest.mark.parametrize("source", NEVER_VARIES)
def test_what_can_not_vary_is_left_alone(source: str) -> None:
    assert varying(source) == []


def test_an_excuse_stands_on_the_line_or_over_all_of_a_module() -> None:
    (one,) = varying("import time\nx = time.time()  # varies: only for the log")
    assert one.excuse == "only for the log"
    (one,) = varying("import time\n# varies throughout: a motor\nx = time.time()")
    assert one.excuse == "a motor"
    (one,) = varying("import time\nx = f(\n    time.time()\n)  # varies: told")
    assert (one.line, one.excuse) == (3, "told")
    (one,) = varying("import time\nx = time.time()  # varies:")
    assert one.excuse == ""


def test_an_excuse_for_nothing_is_found() -> None:
    (one,) = varying("x = 1  # varies: never did")
    assert (one.kind, one.line, one.excuse) == ("excuse", 1, "")


def test_what_is_no_python_is_an_error_of_ours() -> None:
    with pytest.raises(ConfigError, match=r"shy\.py can't be read as Python"):
        varying("def", "shy.py")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        varying(text)


@pytest.mark.e2e
def test_the_command_ends_with_1_when_something_is_found(tmp_path: Path) -> None:
    shy = tmp_path / "shy.py"
    shy.write_text("import time\nx = time.time()\n")
    command = [str(Path(sys.executable).parent / "olympus"), "lint", "--json", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["kind"] == "wall clock"
    shy.write_text("import time\nx = time.time()  # varies: a test\n")
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0
