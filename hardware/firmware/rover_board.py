"""The pins of a rover base on an RP2040 board (Raspberry Pi Pico and its kin), for MicroPython.

| pins | to |
|---|---|
| GP2, GP3 / GP4, GP5 | inputs 1, 2 of the left / right H-bridge: PWM on one, both high brakes |
| GP6 | nFAULT of the bridges, low = fault |
| GP7 | stop input: normally closed contact to ground; open, broken or unplugged means stop |
| GP8, GP9 / GP18, GP19 / GP20, GP21 | trigger, echo of an HC-SR04: left, ahead, right |
| GP10, GP11 / GP12, GP13 | A, B of the left / right encoder |
| GP15 | to ground at power-up: `main.py` ends at once and leaves the prompt |
| GP16, GP17 | SDA, SCL of an MPU-6050 (or -6500, -9250) at 0x68; x ahead, y left, z up |
| GP26 | battery through a divider of 47 kOhm over 10 kOhm |

The pins bear 3.3 V: an HC-SR04's echo has 5 V and needs a divider.

Source: InvenSense MPU-6000/MPU-6050 Register Map 4.2 (registers, scales); Texas Instruments DRV8833
data sheet, table 1 (brake, slow decay).
"""

from time import ticks_diff, ticks_us  # type: ignore[attr-defined,unused-ignore]

import machine  # type: ignore[import-not-found,unused-ignore]
from rover_base import DRIVER, STOP, Board  # type: ignore[import-not-found,unused-ignore]

PWM_HZ = 20_000
DIVIDER = 5.7
FAR_US = 11_700
"""An echo that comes later is farther than 2 m."""
PING_US = 30_000
"""From one sonar to the next, so that none hears another's echo."""


class Bridge:
    """One motor: sign and amount of its voltage by PWM on two inputs, slow decay."""

    def __init__(self, first: int, second: int) -> None:
        self.inputs = [machine.PWM(machine.Pin(pin)) for pin in (first, second)]
        for pwm in self.inputs:
            pwm.freq(PWM_HZ)
        self.drive(0.0)

    def drive(self, voltage: float) -> None:
        """Apply -1..1 of the full voltage; 0 brakes."""
        low = int(65535 * (1 - min(1.0, abs(voltage))))
        self.inputs[0].duty_u16(low if voltage < 0 else 65535)
        self.inputs[1].duty_u16(low if voltage > 0 else 65535)


class Encoder:
    """Counts both edges of A; B tells the direction."""

    def __init__(self, a: int, b: int) -> None:
        self.count = 0
        self.a = machine.Pin(a, machine.Pin.IN, machine.Pin.PULL_UP)
        self.b = machine.Pin(b, machine.Pin.IN, machine.Pin.PULL_UP)
        self.a.irq(self.on_edge, machine.Pin.IRQ_RISING | machine.Pin.IRQ_FALLING)

    def on_edge(self, pin: object) -> None:
        """Count one; called at each edge."""
        if self.a.value() == self.b.value():
            self.count -= 1
        else:
            self.count += 1


class Imu:
    """An MPU-6050: +-2 g, +-500 degrees per second."""

    ADDRESS = 0x68

    def __init__(self, sda: int, scl: int) -> None:
        self.bus = machine.I2C(0, sda=machine.Pin(sda), scl=machine.Pin(scl), freq=400_000)
        self.is_ready = False

    def read(self) -> "tuple[int, ...] | None":
        """Return mm/s2 and mrad/s, three each; None while none answers."""
        try:
            if not self.is_ready:
                self.bus.writeto_mem(self.ADDRESS, 0x6B, b"\x01")  # awake, clock of the gyro
                self.bus.writeto_mem(self.ADDRESS, 0x1A, b"\x03")  # low pass 44 Hz
                self.bus.writeto_mem(self.ADDRESS, 0x1B, b"\x08")  # 500 degrees per second
                self.bus.writeto_mem(self.ADDRESS, 0x1C, b"\x00")  # 2 g
                self.is_ready = True
            raw = self.bus.readfrom_mem(self.ADDRESS, 0x3B, 14)
        except OSError:
            self.is_ready = False
            return None
        values = [_signed(raw, at) for at in (0, 2, 4, 8, 10, 12)]
        accel = [int(value * 9806.65 / 16384) for value in values[:3]]
        return tuple(accel + [int(value * 17.4533 / 65.5) for value in values[3:]])


class Sonar:
    """One HC-SR04: the echo's length is measured at its edges, nothing waits for it."""

    def __init__(self, trigger: int, echo: int) -> None:
        self.trigger = machine.Pin(trigger, machine.Pin.OUT, value=0)
        self.echo = machine.Pin(echo, machine.Pin.IN)
        self.rose_us = 0
        self.length_us = -1
        self.mm = None  # type: int | None
        self.echo.irq(self.on_edge, machine.Pin.IRQ_RISING | machine.Pin.IRQ_FALLING)

    def on_edge(self, pin: object) -> None:
        """Note when the echo began or how long it was; called at each edge."""
        if self.echo.value():
            self.rose_us = ticks_us()
        else:
            self.length_us = ticks_diff(ticks_us(), self.rose_us)

    def ping(self, far_mm: int) -> None:
        """Take in the last echo and send the next ping."""
        length_us = self.length_us
        # 343 m/s, there and back. One that never answered has failed.
        self.mm = None if length_us < 0 else min(far_mm, length_us * 343 // 2000)
        self.length_us = FAR_US if self.echo.value() else -1
        self.trigger.value(1)
        begun = ticks_us()
        while ticks_diff(ticks_us(), begun) < 10:
            pass
        self.trigger.value(0)


class PicoBoard(Board):  # type: ignore[misc,unused-ignore]
    """The pins of the table above."""

    def __init__(self, far_mm: int) -> None:
        self.bridges = (Bridge(2, 3), Bridge(4, 5))
        self.encoders = (Encoder(10, 11), Encoder(12, 13))
        self.bridge_ok = machine.Pin(6, machine.Pin.IN, machine.Pin.PULL_UP)
        self.stop = machine.Pin(7, machine.Pin.IN, machine.Pin.PULL_UP)
        self.inertia = Imu(16, 17)
        self.sonars = [Sonar(8, 9), Sonar(18, 19), Sonar(20, 21)]
        self.battery = machine.ADC(26)
        self.far_mm = far_mm
        self._next, self._pinged_us = 0, ticks_us()

    def drive(self, left: float, right: float) -> None:
        """Set the motors' voltage, -1..1 of the full one; 0 brakes."""
        self.bridges[0].drive(left)
        self.bridges[1].drive(right)

    def counts(self) -> "tuple[int, int]":
        """Return the encoders' counts since power-up."""
        return self.encoders[0].count, self.encoders[1].count

    def imu(self) -> "tuple[int, ...] | None":
        """Return mm/s2 and mrad/s, or None."""
        return self.inertia.read()

    def power(self) -> "tuple[int | None, int | None]":
        """Return the battery's voltage in mV; the current is not measured."""
        return int(self.battery.read_u16() * 3300 * DIVIDER / 65535), None

    def ranges(self) -> "list[int | None]":
        """Return three distances in mm: left, ahead, right."""
        now = ticks_us()
        if ticks_diff(now, self._pinged_us) >= PING_US:
            self.sonars[self._next].ping(self.far_mm)
            self._next, self._pinged_us = (self._next + 1) % len(self.sonars), now
        return [sonar.mm for sonar in self.sonars]

    def faults(self) -> int:
        """Return the bits of STOP and DRIVER that hold now."""
        stop = STOP if self.stop.value() else 0
        return stop if self.bridge_ok.value() else stop | DRIVER


def _signed(raw: bytes, at: int) -> int:
    value = raw[at] << 8 | raw[at + 1]
    return value - 65536 if value & 0x8000 else value
