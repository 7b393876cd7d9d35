"""MicroPython's `machine` for a computer: a Pico's pins with two motors, encoders and an IMU.

`rover_board.py` and `main.py` run on it unchanged under MicroPython's unix port. Time passes in
`WDT.feed`, which the firmware calls once in each turn of its loop.
"""

try:  # noqa: SIM105
    from collections.abc import Callable
except ImportError:  # MicroPython has none, and reads no annotations
    pass
from time import ticks_diff, ticks_us  # type: ignore[attr-defined,unused-ignore]

COUNTS_PER_RAD = 1320 / 6.283185307179586
TOP_RADPS = 15.0
LAG_S = 0.06
LEVELS = {7: 0}  # the stop input's contact is closed; all others are pulled up


class Pin:
    """A pin; `LEVELS` has what stands at it."""

    IN, OUT, PULL_UP = 0, 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2
    handlers = {}  # type: dict[int, tuple[Callable[[Pin], None], Pin]]  # noqa: RUF012

    def __init__(self, number: int, mode: int = IN, pull: int = 0, value: int = 0) -> None:
        self.number = number

    def value(self, level: "int | None" = None) -> int:
        if level is not None:
            LEVELS[self.number] = level
        return LEVELS.get(self.number, 0 if self.number in (9, 19, 21) else 1)

    def irq(self, handler: "Callable[[Pin], None]", trigger: int) -> None:
        Pin.handlers[self.number] = (handler, self)


class PWM:
    """An output's share of time at the top."""

    shares = {}  # type: dict[int, float]  # noqa: RUF012

    def __init__(self, pin: Pin) -> None:
        self.number = pin.number

    def freq(self, hz: int) -> None:
        pass

    def duty_u16(self, duty: int) -> None:
        PWM.shares[self.number] = duty / 65535


class I2C:
    """An IMU at rest, lying flat: 1 g upwards, turning left by 0.1 rad/s."""

    def __init__(self, port: int, sda: Pin, scl: Pin, freq: int) -> None:
        self.written: dict[int, bytes] = {}

    def writeto_mem(self, address: int, register: int, data: bytes) -> None:
        self.written[register] = data

    def readfrom_mem(self, address: int, register: int, count: int) -> bytes:
        assert (address, register, count) == (0x68, 0x3B, 14)
        assert self.written == {0x6B: b"\x01", 0x1A: b"\x03", 0x1B: b"\x08", 0x1C: b"\x00"}
        gyro = int(0.1 / 0.0174533 * 65.5)
        return bytes([0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0xFF, 0xFF, gyro >> 8, gyro & 255])


class ADC:
    """11.4 V behind the divider."""

    def __init__(self, number: int) -> None:
        pass

    def read_u16(self) -> int:
        return int(11.4 / 5.7 / 3.3 * 65535)


class Motor:
    """A motor behind two inputs of a bridge, with an encoder."""

    def __init__(self, first: int, second: int, a: int, b: int) -> None:
        self.inputs, self.a, self.b = (first, second), a, b
        self.speed = self.angle = 0.0
        self.edges = 0

    def advance(self, seconds: float) -> None:
        voltage = PWM.shares[self.inputs[0]] - PWM.shares[self.inputs[1]]
        self.speed += (voltage * TOP_RADPS - self.speed) * min(1.0, seconds / LAG_S)
        self.angle += self.speed * seconds
        target = int(self.angle * COUNTS_PER_RAD // 1)
        while self.edges != target:
            self.turn_one(1 if target > self.edges else -1)

    def turn_one(self, way: int) -> None:
        """Move to A's next edge: A goes before B on the way ahead."""
        self.edges += way
        level = self.edges & 1
        LEVELS[self.a] = level
        LEVELS[self.b] = level ^ 1 if way > 0 else level
        handler, pin = Pin.handlers[self.a]
        handler(pin)


class WDT:
    """The board's watchdog; feeding it lets time pass."""

    def __init__(self, timeout: int) -> None:
        self.motors = (Motor(2, 3, 10, 11), Motor(4, 5, 12, 13))
        self.last = ticks_us()

    def feed(self) -> None:
        now = ticks_us()
        seconds, self.last = ticks_diff(now, self.last) / 1e6, now
        for motor in self.motors:
            motor.advance(seconds)
