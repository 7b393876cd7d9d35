"""Plays scripts that come in, each after its length, and answers each with a line of JSON.

With an argument it is done by that build of `_quick`.
"""

from __future__ import annotations

import importlib.util
import json
import struct
import sys

LENGTH = struct.Struct("<I")


def take(path: str) -> None:
    """Have a `_quick` that was built in another way be the one."""
    spec = importlib.util.spec_from_file_location("olympus.runtime.quick._quick", path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])


def main() -> None:
    """Answer until nothing more comes."""
    if len(sys.argv) > 1:
        take(sys.argv[1])
    from wire_stage import outcome

    while length := sys.stdin.buffer.read(LENGTH.size):
        data = sys.stdin.buffer.read(LENGTH.unpack(length)[0])
        sys.stdout.write(json.dumps(outcome(data)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
