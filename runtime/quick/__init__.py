"""What every message goes through, in C where it could be built, else in Python: `quick` is None.

Both do the same. The Python functions are the reference: they alone refuse, and say why. What is in
C takes what is as it should be and leaves the rest to them, and never reads bytes from outside but
for the first of a packet. `OLYMPUS_PURE=1` in the environment has everything done in Python.
"""

from __future__ import annotations

import os
from types import ModuleType

PURE = "OLYMPUS_PURE"
quick: ModuleType | None = None

if not os.environ.get(PURE):
    try:
        from olympus.runtime.quick import _quick as quick  # type: ignore[attr-defined,no-redef]
    except ImportError:
        quick = None
