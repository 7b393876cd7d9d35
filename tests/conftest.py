"""The same examples in every run: no test passes or fails by luck.

`--hypothesis-profile=explore` looks for new ones, with a seed that it prints.
"""

from __future__ import annotations

import signal

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True, max_examples=1000)
settings.load_profile("steady")

# A shell has what it starts in the background ignore SIGINT, and every child inherits that; some
# tests press Ctrl-C on a child of theirs. What is not ignored here is at its default there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
