"""Boards as folders: a tree with `proc`, `sys` and `dev`, as a kernel would show it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

MakeBoard = Callable[..., Path]

PI5 = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
    "proc/cpuinfo": "".join(
        f"processor\t: {core}\nFeatures\t: fp asimd evtstrm aes asimdhp asimddp\n\n"
        for core in range(4)
    )
    + "Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
    "proc/meminfo": "MemTotal:        8246032 kB\nMemFree: 1 kB\nMemAvailable:    7012352 kB\n",
    "proc/version": "Linux version 6.6.31 (gcc) #1 SMP PREEMPT Debian\n",
    "proc/sys/kernel/osrelease": "6.6.31+rpt-rpi-2712\n",
    "proc/sys/kernel/sched_rt_runtime_us": "950000\n",
    "proc/sys/kernel/sched_rt_period_us": "1000000\n",
    "proc/self/limits": "Max realtime priority     80                   80\n"
    "Max locked memory         unlimited            unlimited            bytes\n",
    "proc/self/status": "CapEff:\t0000000000000000\n",
    "proc/asound/cards": " 0 [vc4hdmi0       ]: vc4-hdmi - vc4-hdmi-0\n                      vc4\n"
    " 2 [Device         ]: USB-Audio - USB Microphone\n                      C-Media\n",
    "proc/asound/card0/pcm0p/info": "",
    "proc/asound/card2/pcm0c/info": "",
    "dev/snd/pcmC2D0c": "",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "51234\n",
    "sys/class/net/can0/type": "280\n",
    "sys/class/net/can0/operstate": "down\n",
    "sys/class/net/eth0/type": "1\n",
    "dev/video0": "",
    "dev/video10": "",
    "dev/video2": "",
    "sys/class/video4linux/video0/name": "HD Webcam\n",
    "dev/gpiochip0": "",
    "dev/i2c-1": "",
    "sys/class/i2c-dev/i2c-1/name": "Synopsys DesignWare I2C adapter\n",
    "dev/ttyAMA0": "",
    "dev/watchdog0": "",
    "sys/class/watchdog/watchdog0/identity": "Broadcom BCM2835 Watchdog timer\n",
    "sys/class/watchdog/watchdog0/max_timeout": "15\n",
}


@pytest.fixture
def make_board(tmp_path: Path) -> MakeBoard:
    """Return a function that writes files below a new root and gives that root back."""

    def make(files: dict[str, str] | None = None, **changes: str) -> Path:
        for name, text in {**(PI5 if files is None else files), **changes}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make
