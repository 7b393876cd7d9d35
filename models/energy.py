"""What a board has used of energy, where its processor counts that.

Source: Linux kernel documentation, "Power Capping Framework": each package's `energy_uj` counts
microjoules and begins anew behind `max_energy_range_uj`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

_log = logging.getLogger(__name__)
POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """The energy counters of all processor packages, added up; any thread may ask it."""

    def __init__(self, zones: Sequence[Path]) -> None:
        """Begin at zero.

        Args:
            zones: Folders with `energy_uj` and `max_energy_range_uj`.
        """
        self._zones = {zone: _number(zone / "energy_uj") for zone in zones}
        self._used_uj = 0
        self._is_told = False
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the energy used since the beginning, joules.

        What can't be read now is left out until it can; that is told once.
        """
        with self._lock:
            for zone, before in self._zones.items():
                try:
                    self._add(zone, before)
                except (OSError, ValueError) as error:
                    self._tell(zone, error)
            return self._used_uj / 1e6

    def _add(self, zone: Path, before: int) -> None:
        now = _number(zone / "energy_uj")
        wrapped = _number(zone / "max_energy_range_uj") if now < before else 0
        self._used_uj += now - before + wrapped
        self._zones[zone] = now

    def _tell(self, zone: Path, error: Exception) -> None:
        if not self._is_told:
            _log.error("energy is not counted while %s can't be read: %s", zone, error)
        self._is_told = True


def board_energy(root: Path = POWERCAP) -> Callable[[], float] | None:
    """Find this board's energy counter.

    Args:
        root: Where the kernel lists counters.

    Returns:
        A meter; None where the board has none or we may not read it, as on a Pi.
    """
    zones = sorted(root.glob("*:[0-9]"))  # packages; `intel-rapl:0:1` is a part of one
    try:
        return EnergyMeter(zones) if zones else None
    except (OSError, ValueError):
        return None


def _number(file: Path) -> int:
    return int(file.read_text())
