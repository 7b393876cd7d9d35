"""The dead-man relay: its logic, without a line about any pin.

Motor power is on only while valid pulses arrive. It runs under MicroPython on a board (`main.py`
with the pins of `relay_board.py`) and under Python in the tests. Whole numbers, no libraries.

One frame is one line of printable ASCII, `$BODY*CCCC\\n`; CCCC is the CRC-16/CCITT-FALSE of BODY
in four upper-case hex digits. No byte is below 0x20 but the line's end, so none can interrupt a
prompt.

    computer -> relay
    A,seq,challenge      arm: close, if it is open, has settled, and this is its newest challenge
    P,seq,challenge      pulse: stay closed; `seq` at most `window` ahead of the one before
    O                    open at once; needs neither order nor challenge
    Q                    tell how you are

    relay -> computer
    S,version,state,sense,cause,challenge,seq,longest_gap,closings,uptime
                         at each change, every `report_ms`, and when asked: 1 closed, 1 sense
                         closed, one of the causes below, what the next arm frame must repeat,
                         newest seq, ms between pulses since it closed, times closed, ms

It latches: whatever opened it, only an arm frame closes it again, and each opening makes a new
challenge, so a recorded stream that is played again closes nothing. `seq` counts modulo 65536.
"""

VERSION = 1
BOOT, SILENCE, ASKED, NO_CONTACT, WELDED = 0, 1, 2, 3, 4
"""Why it is open: just started, no pulse in time, asked to, the contact did not follow or fell off
while driven, or it stayed closed though not driven. WELDED stays until the power is switched
off."""

SEQ_RANGE = 65536
LONGEST_LINE = 40


class Config:
    """What may differ from one machine to another."""

    silence_ms = 100
    """Without a valid pulse for longer it opens."""
    window = 5
    """How far a pulse may run ahead of the one before: four in a row may be lost."""
    settle_ms = 60
    """How long the contact may take to follow; a relay needs 5 to 20 ms, its read-back more."""
    report_ms = 50


class Contact:
    """What the logic asks of a board; `relay_board.py` has one with pins."""

    def drive(self, is_closed: bool) -> None:
        """Hold the contact closed for this turn of the loop, or let it fall open."""
        raise NotImplementedError

    def is_closed(self) -> bool:
        """Tell what the read-back says."""
        raise NotImplementedError

    def challenge(self) -> int:
        """Return a random number below 65536."""
        raise NotImplementedError


def crc16(data: bytes) -> int:
    """Return the CRC-16/CCITT-FALSE of `data`."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc


def frame(body: str) -> bytes:
    """Put a body between its marks, with its CRC."""
    data = body.encode()
    return b"$" + data + f"*{crc16(data):04X}\n".encode()


def unframe(line: bytes) -> "list[bytes]":
    """Return the fields of a line's last frame; empty where it is not whole."""
    start = line.rfind(b"$")
    end = len(line) - 5
    if start < 0 or end <= start:
        return []
    body = line[start + 1 : end]
    if line[end:] != f"*{crc16(body):04X}".encode():
        return []
    return body.split(b",")


def whole(field: bytes) -> int:
    """Return a field as a number; -1 where it is none."""
    return int(field) if 0 < len(field) < 6 and field.isdigit() else -1


class Relay:
    """Opens at the first doubt."""

    def __init__(self, contact: Contact, config: Config) -> None:
        self.contact = contact
        self.config = config
        self.is_closed = False
        self.cause = BOOT
        self.challenge = contact.challenge()
        self.seq = 0
        self.closings = 0
        self.longest_gap_ms = 0
        self._pulse_ms = 0
        self._changed_ms = 0
        self._reported_ms = -10_000
        self._line = b""
        contact.drive(False)

    def step(self, now_ms: int, data: bytes) -> bytes:
        """Do one turn of the loop.

        Args:
            now_ms: Since power-up; never runs backwards.
            data: What arrived since the last turn.

        Returns:
            What to send; often nothing.
        """
        before = (self.is_closed, self.cause)
        if self.is_closed and now_ms - self._pulse_ms > self.config.silence_ms:
            self.open(now_ms, SILENCE)
        asked = self._hear(now_ms, data)
        self._look(now_ms)
        self.contact.drive(self.is_closed)
        is_due = now_ms - self._reported_ms >= self.config.report_ms
        if asked or is_due or before != (self.is_closed, self.cause):
            self._reported_ms = now_ms
            return self.report(now_ms)
        return b""

    def open(self, now_ms: int, cause: int) -> None:
        """Let the contact fall open, and forget the session."""
        self.contact.drive(False)
        if self.is_closed:
            self._changed_ms = now_ms
            self.challenge = self.contact.challenge()
        self.is_closed = False
        self.cause = cause

    def report(self, now_ms: int) -> bytes:
        """Return the frame that tells how it is."""
        sense = int(self.contact.is_closed())
        head = f"S,{VERSION},{int(self.is_closed)},{sense},{self.cause},{self.challenge}"
        return frame(f"{head},{self.seq},{self.longest_gap_ms},{self.closings},{now_ms}")

    def _hear(self, now_ms: int, data: bytes) -> bool:
        self._line += data
        asked = False
        while b"\n" in self._line:
            line, self._line = self._line.split(b"\n", 1)
            asked = self._obey(now_ms, unframe(line)) or asked
        self._line = self._line[-LONGEST_LINE:]
        return asked

    def _obey(self, now_ms: int, fields: "list[bytes]") -> bool:
        if fields == [b"O"]:
            if self.is_closed:
                self.open(now_ms, ASKED)
            return True
        if len(fields) == 3 and whole(fields[2]) == self.challenge:
            seq = whole(fields[1])
            if fields[0] == b"P" and self.is_closed:
                self._pulse(now_ms, seq)
            if fields[0] == b"A" and not self.is_closed:
                self._arm(now_ms, seq)
        return fields == [b"Q"]

    def _arm(self, now_ms: int, seq: int) -> None:
        rested = now_ms - self._changed_ms > self.config.settle_ms
        if seq < 0 or not rested or self.cause == WELDED or self.contact.is_closed():
            return
        self.is_closed = True
        self.seq = seq % SEQ_RANGE
        self.closings += 1
        self.longest_gap_ms = 0
        self._pulse_ms = self._changed_ms = now_ms

    def _pulse(self, now_ms: int, seq: int) -> None:
        if seq < 0 or not 1 <= (seq - self.seq) % SEQ_RANGE <= self.config.window:
            return
        self.longest_gap_ms = max(self.longest_gap_ms, now_ms - self._pulse_ms)
        self.seq = seq
        self._pulse_ms = now_ms

    def _look(self, now_ms: int) -> None:
        """Compare the contact with what it should be, once it has had the time to follow."""
        if now_ms - self._changed_ms <= self.config.settle_ms:
            return
        sense = self.contact.is_closed()
        if self.is_closed and not sense:
            self.open(now_ms, NO_CONTACT)
        elif sense and not self.is_closed:
            self.cause = WELDED
