"""The same examples in every run: no test passes or fails by luck.

`--hypothesis-profile=explore` looks for new ones, with a seed that it prints.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True, max_examples=1000)
settings.load_profile("steady")
