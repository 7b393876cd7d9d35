from __future__ import annotations

from olympus.models.profile import measure
from olympus.models.registry import Registry


def test_a_models_memory_does_not_depend_on_what_was_timed_before_it() -> None:
    """Timed in one process, a model seemed to need the little that the one before had not left."""
    for name in ("person-obstacle", "sound-events"):
        memory_mb = measure(Registry().find(name), 20).memory_mb
        assert memory_mb is not None and memory_mb > 5, name
