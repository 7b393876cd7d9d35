from __future__ import annotations

import numpy as np

from olympus.nodes.steering import OVERSHOOT, believable
from olympus.runtime.messages import Ranges


def test_distances_that_no_working_sensor_gives_become_no_numbers() -> None:
    told = np.array([0.0, 2.5, 4.0, 4.0 * OVERSHOOT, 4.3, -0.1, np.inf, np.nan], np.float32)
    bearings = np.linspace(1, -1, len(told)).astype(np.float32)
    heard = believable(Ranges(bearings_rad=bearings, distances_m=told, max_m=4.0))
    assert heard.dtype == np.float32
    assert np.isnan(heard).tolist() == [False, False, False, False, True, True, True, True]
    assert heard[:3].tolist() == [0.0, 2.5, 4.0]
