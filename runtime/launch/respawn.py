"""When a process that ended comes back: a delay that doubles, and a cap."""

from __future__ import annotations

from collections import deque

from olympus.runtime.launch.schema import Respawn

_MOST_DOUBLINGS = 32


class Backoff:
    """Decides about each end of one process.

    A restart counts for `within_s`; with `max_restarts` of them counting there is no further one.
    """

    def __init__(self, settings: Respawn) -> None:
        """Start with nothing counted."""
        self._settings = settings
        self._recent: deque[float] = deque()
        self.restarts = 0
        """Restarts granted since the start."""

    def delay_s(self, exit_code: int, now_s: float) -> float | None:
        """Decide about a process that has just ended.

        Args:
            exit_code: 0 for a good end; negative for a signal.
            now_s: A monotonic time, in seconds.

        Returns:
            How long to wait before it is started again; None to let it rest.
        """
        settings = self._settings
        is_wanted = settings.policy == "always" or (
            settings.policy == "on_failure" and exit_code != 0
        )
        if not is_wanted:
            return None
        while self._recent and now_s - self._recent[0] > settings.within_s:
            self._recent.popleft()
        if len(self._recent) >= settings.max_restarts:
            return None
        doublings = min(len(self._recent), _MOST_DOUBLINGS)
        self._recent.append(now_s)
        self.restarts += 1
        return min(settings.delay_s * 2.0**doublings, settings.max_delay_s)

    def reason(self) -> str:
        """Return why the last end was final, as part of a sentence."""
        settings = self._settings
        if len(self._recent) >= settings.max_restarts:
            return f"{settings.max_restarts} restarts within {settings.within_s:g} s"
        return f"respawn policy is {settings.policy}"
