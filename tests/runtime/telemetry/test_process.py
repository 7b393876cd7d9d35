from __future__ import annotations

import json
import subprocess
import sys
import time

from olympus.runtime.telemetry import ProcessMeter


def test_a_busy_process_shows_its_cores() -> None:
    meter = ProcessMeter()
    meter.snapshot()
    begun, end = time.monotonic(), time.process_time() + 0.1
    while time.process_time() < end:
        pass
    lasted_s = time.monotonic() - begun  # less than 0.1 if other threads computed as well
    use = meter.snapshot()
    assert 0.05 / max(lasted_s, 1.0) < use.cpu < 8
    assert 5 < use.rss_mb < 5000
    assert use.threads >= 1
    assert use.uptime_s >= lasted_s
    meter.close()


STARVED = """
import json, os, resource
from olympus.runtime.telemetry import ProcessMeter
meter = ProcessMeter()
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
use = meter.snapshot()
print(json.dumps([use.rss_mb, use.threads]))
"""


def test_a_process_without_a_descriptor_to_spare_is_measured_all_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", STARVED], capture_output=True, check=True)
    rss_mb, threads = json.loads(done.stdout)
    assert 5 < rss_mb < 500
    assert threads >= 1
