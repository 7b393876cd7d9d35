"""Where the robot was: a file that outlives a process, for the one that takes its place."""

from __future__ import annotations

import math
import os
import struct
import zlib
from pathlib import Path

from olympus.nodes.odometry import Pose

_BODY = struct.Struct("<q3d")
_CHECK = struct.Struct("<I")


class PoseMemory:
    """One pose in a small file; what is half written or of another session does not count."""

    def __init__(self, path: Path, session: int) -> None:
        """Name the file; it is made by the first `write`.

        Args:
            path: In a folder that exists.
            session: A number of the running session, such as its clock offset.
        """
        self._path, self._session = path, session
        self._file: int | None = None

    def read(self) -> Pose | None:
        """Return the pose of this session that was written last, or None."""
        try:
            found = self._path.read_bytes()
        except OSError:
            return None
        if len(found) != _BODY.size + _CHECK.size:
            return None
        body, check = found[: _BODY.size], found[_BODY.size :]
        session, *numbers = _BODY.unpack(body)
        is_whole = _CHECK.unpack(check)[0] == zlib.crc32(body)
        is_usable = session == self._session and all(math.isfinite(n) for n in numbers)
        return Pose(*numbers) if is_whole and is_usable else None

    def write(self, pose: Pose) -> None:
        """Remember a pose; some microseconds, and never an error: it is a convenience."""
        body = _BODY.pack(self._session, pose.x_m, pose.y_m, pose.yaw_rad)
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._file, body + _CHECK.pack(zlib.crc32(body)), 0)
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the file, which stays; again is harmless."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
