from __future__ import annotations

import time

from olympus.runtime.telemetry import ProcessMeter


def test_a_busy_process_shows_its_cores() -> None:
    meter = ProcessMeter()
    meter.snapshot()
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    use = meter.snapshot()
    assert 0.05 < use.cpu < 8
    assert 5 < use.rss_mb < 5000
    assert use.threads >= 1
    assert use.uptime_s >= 0.1
