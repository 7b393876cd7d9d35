"""Where a running session keeps its files, and how others find it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from olympus.runtime.clock import wall_offset_ns
from olympus.runtime.errors import ConfigError, did_you_mean

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}\Z")
_FILE = "session.json"
_HUB = "hub.sock"
_DEEPEST = "safety/guardian.sock"
"""The longest name of a socket in a session's folder: the guardian's."""
_MOST_PATH = 107
"""Bytes in the name of a socket. Source: unix(7)."""
_PARTS = ("safety", "logs", "hosts")
"""Folders of a session. None may be a link: they are emptied when a session begins."""


class Session(BaseModel):
    """One running launch: its folder, its bus endpoint, its clock."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Unique on this machine while it runs."""
    run_dir: Path
    """A folder of its own, mode 0700; its logs stay when the session is over."""
    endpoint: str
    """Zenoh endpoint of the session's hub, such as `unixsock-stream//run/…/hub.sock`."""
    clock_offset_ns: int
    """What turns CLOCK_MONOTONIC into robot time."""
    pid: int
    """Process that owns the session."""
    pid_started: int = 0
    """When that process started, clock ticks since boot: its number may be another's by now.
    0 = not known."""

    @property
    def safety_dir(self) -> Path:
        """Folder of the guardian's shared memory and socket."""
        return self.run_dir / "safety"

    @property
    def door(self) -> Path:
        """Socket where the hosts of this machine meet; see bus/ipc."""
        return self.run_dir / "ipc.sock"

    @property
    def log_dir(self) -> Path:
        """Folder of the hosts' log files."""
        return self.run_dir / "logs"

    @property
    def file(self) -> Path:
        """The file that `load` reads."""
        return self.run_dir / _FILE

    @property
    def is_alive(self) -> bool:
        """Whether the process that owns the session still runs."""
        started = process_started(self.pid)
        return started is not None and self.pid_started in (0, started)

    def save(self) -> None:
        """Write the session file, whole or not at all."""
        draft = self.file.with_suffix(".tmp")
        draft.write_text(self.model_dump_json(indent=2))
        draft.replace(self.file)

    @classmethod
    def load(cls, run_dir: Path) -> Session:
        """Read the session of a run folder.

        Raises:
            ConfigError: There is no readable session file.
        """
        try:
            return cls.model_validate_json((run_dir / _FILE).read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{run_dir} holds no session: {error}") from error


def process_started(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    has_ended = fields[0] in "ZX"  # nobody has taken notice of its end yet
    return None if has_ended else int(fields[19])


def run_root() -> Path:
    """Return the folder of all sessions of this user; made with mode 0700 if it is missing.

    It is in memory where the system offers that: the lease must not wait for a disk.

    Raises:
        ConfigError: The folder belongs to somebody else, or can't be made.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    memory = Path("/dev/shm")
    spare = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    root = Path(base) / "olympus" if base else spare / f"olympus-{os.getuid()}"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Where everybody may write, a link that somebody else left there could lead anywhere.
        owners = {root.lstat().st_uid, root.stat().st_uid}
        if owners == {os.getuid()}:
            root.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{root} can't be made: {error}; set XDG_RUNTIME_DIR") from error
    if owners != {os.getuid()}:
        raise ConfigError(f"{root} belongs to another user; remove it or set XDG_RUNTIME_DIR")
    return root


def new_session(name: str) -> Session:
    """Make the folder of a new session and name its hub.

    Args:
        name: Letters, digits, `_`, `.`, `-`; at most 41 characters.

    Returns:
        The session, saved.

    Raises:
        ConfigError: The name is not usable, a session of that name is running, or its folder can't
            be made, or lies too deep.
    """
    if not _NAME.match(name):
        raise ConfigError(f"session name {name!r}: use letters, digits, '_', '.', '-'; at most 41")
    with _alone_in(run_root()) as root:
        run_dir = root / name
        _check_length(run_dir)
        old = _running(run_dir)
        if old is not None:
            raise ConfigError(
                f"session {name!r} is running already (process {old.pid}); "
                "stop it, or start this one with --session ANOTHER_NAME"
            )
        try:
            for folder in (run_dir, *(run_dir / part for part in _PARTS)):
                _made(folder)
        except OSError as error:
            raise ConfigError(_no_folder(error)) from error
        session = Session(
            name=name,
            run_dir=run_dir,
            endpoint=f"unixsock-stream/{run_dir}/{_HUB}",
            clock_offset_ns=wall_offset_ns(),
            pid=os.getpid(),
            pid_started=process_started(os.getpid()) or 0,
        )
        try:
            session.save()
        except OSError as error:
            raise ConfigError(_no_folder(error)) from error
    return session


def _check_length(run_dir: Path) -> None:
    """Refuse a folder in which not every socket could have a name, before anything starts.

    Raises:
        ConfigError: It lies too deep.
    """
    length = len(os.fsencode(run_dir / _DEEPEST))
    if length > _MOST_PATH:
        raise ConfigError(
            f"a socket in {run_dir} would have a name of {length} bytes, where the system takes "
            f"{_MOST_PATH}; set XDG_RUNTIME_DIR to a shorter place, such as /run/user/"
            f"{os.getuid()}, or take a shorter --session NAME"
        )


def _made(folder: Path) -> None:
    """Make a folder of a session, or take one that an earlier session left.

    Raises:
        OSError: It can't be made, or there is a link or a file in its place.
    """
    folder.mkdir(mode=0o700, exist_ok=not folder.is_symlink())


def _no_folder(error: OSError) -> str:
    what = f"the session's folder can't be made: {error.filename}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{what}; make room there, or set XDG_RUNTIME_DIR to another place"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{what}, and no folder of its own; remove it, or take another --session NAME"
    return f"{what}; set XDG_RUNTIME_DIR to another place"


@contextlib.contextmanager
def _alone_in(root: Path) -> Iterator[Path]:
    """Keep other launchers waiting, so that two don't take the same name at the same time."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield root
    finally:
        os.close(descriptor)


def _running(run_dir: Path) -> Session | None:
    """Return the session of a folder if it runs; one that can't be read does not."""
    try:
        session = Session.load(run_dir)
    except ConfigError:
        return None
    return session if session.is_alive else None


def running_sessions() -> list[Session]:
    """Return this user's running sessions, in the order of their names.

    Raises:
        ConfigError: The folder of all sessions can't be used.
    """
    folders = sorted(file.parent for file in run_root().glob(f"*/{_FILE}"))
    return [session for folder in folders if (session := _running(folder)) is not None]


def find_session(name: str | None = None) -> Session:
    """Return a running session.

    Args:
        name: Which one; None for the only one there is.

    Raises:
        ConfigError: None runs, none of that name, or several and no name was given.
    """
    sessions = {session.name: session for session in running_sessions()}
    if name is not None and name in sessions:
        return sessions[name]
    if not sessions:
        raise ConfigError(
            "no session is running; start one with 'olympus launch launch/patrol.yaml'"
        )
    if name is not None:
        raise ConfigError(f"no session {name!r} is running; {did_you_mean(name, sessions)}")
    if len(sessions) > 1:
        raise ConfigError(f"several sessions run ({', '.join(sessions)}); name one with --session")
    return next(iter(sessions.values()))
