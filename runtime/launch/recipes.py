"""How each process of a plan is started: guardian, broker, hosts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from olympus.runtime.config import Session
from olympus.runtime.launch.plan import LaunchPlan
from olympus.runtime.launch.process import Command, Fds
from olympus.runtime.launch.schema import Broker, Host, Respawn
from olympus.runtime.launch.substitute import finish
from olympus.runtime.launch.supervisor import Recipe
from olympus.runtime.safety import spawn
from olympus.runtime.safety.backstop import specs
from olympus.runtime.safety.guardian import CHECK
from olympus.runtime.safety.service import FOR_PID, PERIOD_US, SOCKET
from olympus.runtime.safety.settings import Settings

GUARDIAN = "guardian"
BROKER = "broker"
_BROKER_MODULE = "olympus.drivers.broker"
_BACK_AT_ONCE = Respawn(policy="always", delay_s=0.1, max_delay_s=2.0, max_restarts=20)


def guardian(plan: LaunchPlan, session: Session, wishes: Mapping[str, str]) -> Recipe:
    """Return how the guardian is started.

    It comes back stopped when it was killed, so motion never goes on by itself.

    Args:
        plan: Says what it watches.
        session: Whose safety directory it keeps.
        wishes: Who wants to hear that its loop turns, as `Notifier.hear_guardian` has it.
    """
    settings = guardian_settings(plan, session.safety_dir, _session_values(session))
    settings = replace(
        settings,
        die_with_parent=True,
        parent_pid=os.getpid(),
        clock_offset_ns=session.clock_offset_ns,
    )
    config = private_file(session.run_dir / "guardian.json", settings.to_json())
    ours = (SOCKET, PERIOD_US, FOR_PID)  # what systemd said to the launcher is not for the guardian
    environment = {name: value for name, value in spawn.environment().items() if name not in ours}
    command = Command(spawn.command(config), environment | dict(wishes))
    return Recipe(
        name=GUARDIAN,
        kind="guardian",
        command=lambda _fds, _restarts: command,
        settings=Host(respawn=_BACK_AT_ONCE, ready_timeout_s=15),
    )


def is_urgent(told: Mapping[str, JsonValue]) -> bool:
    """Tell from a guardian's ready line whether it was granted its real-time priority."""
    wishes = told.get("realtime")
    return isinstance(wishes, dict) and str(wishes.get("sched_fifo")).startswith("granted")


def guardian_settings(
    plan: LaunchPlan, safety_dir: Path, late: Mapping[str, JsonValue]
) -> Settings:
    """Return what a launch file tells the guardian.

    Args:
        plan: The launch.
        safety_dir: The safety directory.
        late: Values that only a running session knows.

    Raises:
        ConfigError: Two backstops have one name.
    """
    safety = plan.safety
    backstops = finish([one.model_dump(exclude_none=True) for one in safety.backstops], late)
    return Settings(
        dir=safety_dir,
        watch=dict(safety.watch),
        gates=dict(safety.gates),
        conditions=tuple(safety.conditions),
        backstops=specs(backstops),
        estop=safety.estop.settings if safety.estop is not None else None,
        beside=plan.file.parent,
        lease_ms=safety.lease_ms,
        period_ms=safety.period_ms,
        sched_fifo=safety.priority or None,
        lock_memory=safety.lock_memory,
        keys_file=plan.file.parent / safety.keys_file if safety.keys_file else None,
    )


def backstop_problem(plan: LaunchPlan, late: Mapping[str, JsonValue]) -> str:
    """Let a guardian load the backstops and use none, to find what it would refuse.

    Args:
        plan: The launch.
        late: Likely values of what only a running session knows.

    Returns:
        Why it would not start; empty when it would.
    """
    if not plan.safety.backstops:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        settings = guardian_settings(plan, Path(folder) / "safety", late)
        config = private_file(Path(folder) / "guardian.json", settings.to_json())
        command = spawn.command(config)
        command.insert(-1, CHECK)
        run = subprocess.run(
            command,
            env=spawn.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    return run.stderr.strip().removeprefix("guardian: ") if run.returncode else ""


def broker(settings: Broker, session: Session, port_before: dict[str, JsonValue]) -> Recipe:
    """Return how the embedded broker is started.

    Args:
        settings: Address, user, certificate.
        session: Whose run folder keeps its password file.
        port_before: What its ready line said, so that it comes back on the same port; filled later.
    """
    options = ["--bind", settings.host or "127.0.0.1"]
    if settings.user and (file := password_file(settings, session)):
        options += ["--user", settings.user, "--password-file", str(file)]
    if settings.cert_file and settings.key_file:
        options += ["--cert", settings.cert_file, "--key", settings.key_file]

    def command(fds: Fds, _restarts: int) -> Command:
        port = port_before.get("port", settings.port or 0)
        ties = ["--parent", str(os.getpid()), "--lifeline-fd", str(fds.lifeline)]
        words = [sys.executable, "-m", _BROKER_MODULE, "--port", str(port), *options, *ties]
        return Command(words)

    return Recipe(
        name=BROKER,
        kind="broker",
        command=command,
        settings=Host(respawn=_BACK_AT_ONCE),
    )


def password_file(settings: Broker, session: Session) -> Path | None:
    """Write the broker's password where only this user reads it; None when it has none."""
    if settings.password is None:
        return None
    return private_file(session.run_dir / "broker.password", settings.password)


def late_values(
    plan: LaunchPlan, session: Session, announced: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Return the values that only a running session knows.

    Args:
        plan: The launch.
        session: The session.
        announced: The embedded broker's ready line; empty when there is none.
    """
    late = _session_values(session)
    if plan.broker is not None:
        password = password_file(plan.broker, session)
        late["broker.url"] = announced.get("url") if plan.broker.is_ours else plan.broker.url
        late["broker.user"] = plan.broker.user or ""
        late["broker.password_file"] = str(password) if password else None
    return late


def _session_values(session: Session) -> dict[str, JsonValue]:
    return {
        "session.name": session.name,
        "session.run_dir": str(session.run_dir),
        "session.endpoint": session.endpoint,
    }


def private_file(file: Path, text: str) -> Path:
    """Write a file that only this user can read, whole or not at all; return its path."""
    draft = file.with_name(file.name + ".tmp")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    return draft.replace(file)


def private_leftovers(session: Session) -> list[Path]:
    """Return the files of a session that may hold secrets; they go when it ends."""
    return [session.run_dir / "broker.password", *(session.run_dir / "hosts").glob("*.json")]
