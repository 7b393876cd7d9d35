"""The motor controller of a two-wheeled base: its logic, without a line about any pin.

It runs under MicroPython on a board (`main.py` with the pins of `rover_board.py`) and under Python
in `olympus.sim.motor_controller` and the tests. The protocol is written down in
`drivers/serial_protocol.py`. Whole numbers on the wire, no libraries: it must fit on a small board.

At power-up, after `silence_ms` without a good command, and after any fault the motors are at
neutral and stay there until a neutral frame was heard: a link that comes back moves nothing.
"""

BOOT, SILENCE, STUCK, STOP, DRIVER, LOW_VOLTAGE, NO_IMU = 1, 2, 4, 8, 16, 32, 64
LATCHED = BOOT | SILENCE | STUCK | STOP | DRIVER
TAU = 6.283185307179586
LONGEST_LINE = 80
CONTROL_MS = 10
REPORT_MS = 20
INFO_MS = 1000


def _crc_table() -> "list[int]":
    table = []
    for nibble in range(16):
        crc = nibble << 12
        for _ in range(4):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        table.append(crc & 0xFFFF)
    return table


_TABLE = _crc_table()


def crc16(data: bytes) -> int:
    """Return the CRC-16/CCITT-FALSE of `data`."""
    crc = 0xFFFF
    for byte in data:
        crc = ((crc << 4) & 0xFFFF) ^ _TABLE[(crc >> 12) ^ (byte >> 4)]
        crc = ((crc << 4) & 0xFFFF) ^ _TABLE[(crc >> 12) ^ (byte & 15)]
    return crc


def frame(body: str) -> bytes:
    """Put a body between its marks, with its CRC."""
    data = body.encode()
    return b"$" + data + f"*{crc16(data):04X}\n".encode()


def unframe(line: bytes) -> "list[str] | None":
    """Return the fields of a line's last frame, or None where it is not whole."""
    start = line.rfind(b"$")
    end = len(line) - 5
    if start < 0 or end <= start or line[end] != 0x2A:
        return None
    body = line[start + 1 : end]
    try:
        if int(line[end + 1 :], 16) != crc16(body):
            return None
        return body.decode().split(",")
    except ValueError:  # UnicodeError is one too
        return None


class Config:
    """What the controller is built into; change it for your robot."""

    wheel_radius_um = 33_000
    track_um = 160_000
    counts_per_turn = 1320
    """Encoder counts of one turn of a wheel, gear included."""
    max_mradps = 15_000
    """Speed of a wheel at full voltage."""
    range_max_mm = 2000
    bearings_mrad = ()  # type: tuple[int, ...]
    """Directions of the range sensors, positive to the left."""
    silence_ms = 200
    """Without a good command for so long it goes to neutral; 0 for never, which no robot should."""
    stuck_ms = 500
    """A motor driven hard whose encoder does not count for so long is stuck."""
    low_mv = 9900
    full_mv = 12_600
    empty_mv = 9600


class Board:
    """What the logic asks of a board; `rover_board.py` has one with pins."""

    def drive(self, left: float, right: float) -> None:
        """Set the motors' voltage, -1..1 of the full one; 0 brakes."""
        raise NotImplementedError

    def counts(self) -> "tuple[int, int]":
        """Return the encoders' counts since power-up, left and right, positive ahead."""
        raise NotImplementedError

    def imu(self) -> "tuple[int, ...] | None":
        """Return ax, ay, az in mm/s2 and gx, gy, gz in mrad/s; None without one."""
        return None

    def power(self) -> "tuple[int | None, int | None]":
        """Return voltage in mV and current in mA, None for what is not measured."""
        return None, None

    def ranges(self) -> "list[int | None]":
        """Return a distance in mm for each of the configured bearings, None where one failed."""
        return []

    def faults(self) -> int:
        """Return the bits of STOP and DRIVER that hold now."""
        return 0


class Wheel:
    """Keeps the speed of one wheel: feed-forward and integral, and sees when it is stuck."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.target = 0
        self.speed = 0.0
        self.count = 0
        self.stuck_ms = 0
        self.integral = 0.0

    def clear(self) -> None:
        """Forget what was asked and what has added up."""
        self.target = 0
        self.integral = 0.0
        self.stuck_ms = 0

    def step(self, count: int, elapsed_ms: int) -> float:
        """Take in an encoder's count and return the voltage to apply, -1..1."""
        moved, self.count = count - self.count, count
        measured = moved * TAU * 1e6 / (self.config.counts_per_turn * elapsed_ms)
        self.speed += 0.4 * (measured - self.speed)
        if self.target == 0:
            self.clear()
            return 0.0
        top = self.config.max_mradps
        error = (self.target - self.speed) / top
        self.integral = max(-0.6, min(0.6, self.integral + error * elapsed_ms * 0.008))
        voltage = max(-1.0, min(1.0, self.target / top + self.integral + 0.5 * error))
        if moved or abs(voltage) < 0.4:
            self.stuck_ms = 0
        else:
            self.stuck_ms += elapsed_ms
        return voltage

    @property
    def angle_mrad(self) -> int:
        """How far it has turned since power-up."""
        return int(self.count * TAU * 1000 / self.config.counts_per_turn)


class Controller:
    """Hears commands, keeps the wheels' speeds, reports; `step` it as often as you can."""

    def __init__(self, board: Board, config: Config) -> None:
        self.board, self.config = board, config
        self.flags = BOOT
        self.seq = 0
        self.bad_lines = 0
        self.wheels = (Wheel(config), Wheel(config))
        self._line = b""
        self._heard_ms = 0
        self._control_ms = self._report_ms = self._info_ms = 0

    def step(self, now_ms: int, data: bytes) -> bytes:
        """Do what is due.

        Args:
            now_ms: Milliseconds since power-up; never wraps, never steps back.
            data: Bytes that have come.

        Returns:
            Bytes to send.
        """
        answer = self._hear(now_ms, data) if data else b""
        elapsed_ms = now_ms - self._control_ms
        if elapsed_ms >= CONTROL_MS:
            self._control_ms = now_ms
            self._control(now_ms, elapsed_ms)
        if now_ms - self._info_ms >= INFO_MS:
            self._info_ms = now_ms
            answer += self.info()
        if now_ms - self._report_ms >= REPORT_MS:
            self._report_ms = now_ms
            answer += self.report(now_ms)
        return answer

    def _hear(self, now_ms: int, data: bytes) -> bytes:
        answer = b""
        lines = (self._line + data).split(b"\n")
        self._line = lines.pop()[-LONGEST_LINE:]
        for line in lines:
            fields = unframe(line)
            if fields == ["Q"]:
                answer += self.info()
            elif fields is None or not self._obey(now_ms, fields):
                self.bad_lines += 1
        return answer

    def _obey(self, now_ms: int, fields: "list[str]") -> bool:
        try:
            numbers = [int(field) for field in fields[1:]]
        except ValueError:
            return False
        if fields[0] == "N" and len(numbers) == 1:
            self._halt()
            self.flags &= ~LATCHED
            self.flags |= self.board.faults()
        elif fields[0] == "W" and len(numbers) == 3:
            if not self.flags & LATCHED:
                top = self.config.max_mradps
                self.wheels[0].target = max(-top, min(top, numbers[1]))
                self.wheels[1].target = max(-top, min(top, numbers[2]))
        else:
            return False
        self.seq = numbers[0] & 0xFFFF
        self._heard_ms = now_ms
        return True

    def _control(self, now_ms: int, elapsed_ms: int) -> None:
        self.flags |= self.board.faults()
        silence_ms = self.config.silence_ms
        if silence_ms and now_ms - self._heard_ms >= silence_ms:
            self.flags |= SILENCE
        counts = self.board.counts()
        left = self.wheels[0].step(counts[0], elapsed_ms)
        right = self.wheels[1].step(counts[1], elapsed_ms)
        if max(self.wheels[0].stuck_ms, self.wheels[1].stuck_ms) >= self.config.stuck_ms:
            self.flags |= STUCK
        if self.flags & LATCHED:
            self._halt()
        else:
            self.board.drive(left, right)

    def _halt(self) -> None:
        self.wheels[0].clear()
        self.wheels[1].clear()
        self.board.drive(0.0, 0.0)

    def info(self) -> bytes:
        """Return the frame that says what this is built into."""
        config = self.config
        fields: list[int | None] = [
            1,
            config.wheel_radius_um,
            config.track_um,
            config.range_max_mm,
        ]
        fields += config.bearings_mrad
        return frame("I," + _joined(fields))

    def report(self, now_ms: int) -> bytes:
        """Return the frame that says what is measured."""
        imu = self.board.imu()
        voltage, current = self.board.power()
        self._note(NO_IMU, imu is None)
        self._note(LOW_VOLTAGE, voltage is not None and voltage < self.config.low_mv)
        left, right = self.wheels
        fields: list[int | None] = [
            self.seq,
            now_ms,
            self.flags,
            int(left.speed),
            int(right.speed),
        ]
        fields += [left.angle_mrad, right.angle_mrad]
        fields += imu or [None] * 6
        fields += [voltage, current, self._charge(voltage)]
        return frame("S," + _joined(fields + self.board.ranges()))

    def _note(self, flag: int, is_so: bool) -> None:
        self.flags = self.flags | flag if is_so else self.flags & ~flag

    def _charge(self, voltage: "int | None") -> "int | None":
        if voltage is None:
            return None
        empty, full = self.config.empty_mv, self.config.full_mv
        return max(0, min(1000, 1000 * (voltage - empty) // (full - empty)))


def _joined(numbers: "list[int | None]") -> str:
    return ",".join(["" if number is None else str(number) for number in numbers])
