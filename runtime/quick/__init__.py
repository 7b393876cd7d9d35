"""What every message goes through, in C where it could be built, else in Python: `quick` is None.

Both do the same, and the Python functions are the reference: what is in C takes what is as it
should be and leaves all else to them, refusals above all. See README.md.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

PURE = "OLYMPUS_PURE"
"""With this in the environment, all is done in Python."""
VERSION = 13
"""Of what is built; one of another version, left from before an update, is not used."""


def _load() -> tuple[ModuleType | None, str]:
    if os.environ.get(PURE):
        return None, f"{PURE} is set"
    try:
        module = import_module("olympus.runtime.quick._quick")
    except ImportError as error:
        return None, f"not built here: {error}"
    if module.VERSION != VERSION:
        return None, f"built for version {module.VERSION}, not {VERSION}: `./run setup --force`"
    return module, ""


quick, why_not = _load()
"""The module, or None and the reason."""
