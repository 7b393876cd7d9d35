"""`olympus stop`, `reset` and `status`: standard library only, so that a stop starts at once."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pwd
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from olympus.runtime.errors import ConfigError, OlympusError, SafetyError, did_you_mean
from olympus.runtime.safety.client import Outcome, SafetyClient
from olympus.runtime.safety.status import Status

EXAMPLES = {
    "stop": ("", "smoke in the hall", "--session patrol", "--kill"),
    "reset": ("", "--session patrol"),
    "status": ("", "--json"),
    "console": ("", "--session patrol"),
}
"""What is typed after a command, for its help; an empty one is the command alone."""
_MOTION = {True: "neutral and still", False: "neutral, but moving", None: "neutral"}


@dataclass(frozen=True, slots=True)
class Running:
    """A running session, read without the libraries that `config.Session` needs."""

    name: str
    safety_dir: Path


def run(arguments: list[str]) -> int:
    """Carry out one of the four commands.

    Args:
        arguments: The command and what follows it.

    Returns:
        0 when it is sure that what was asked for has happened, else the error's exit code.
    """
    options, unknown = parser().parse_known_args(arguments)
    if unknown and options.command != "stop":
        parser().error(f"unrecognized arguments: {' '.join(unknown)}")
    if unknown:  # no slip of the hand holds back a stop
        sys.stderr.write(
            f"olympus: {' '.join(unknown)} is no option of stop; stopping all the same\n"
        )
        options.cause += unknown
    try:
        acts = {"stop": stop, "reset": reset, "status": status, "console": console}
        return int(acts[options.command](options))
    except OlympusError as error:
        sys.stderr.write(f"olympus: {error}\n")
        return error.exit_code


def stop(options: argparse.Namespace) -> int:
    """Stop every running session, or the one that is named.

    Raises:
        ConfigError: There is no such session.
        SafetyError: A stop could not be asked for at all.
    """
    cause = " ".join(options.cause) or "olympus stop"
    sessions = _chosen(options.session, running())
    act = SafetyClient.kill if options.kill else SafetyClient.stop
    outcomes: dict[str, Outcome] = {}

    def end(one: Running) -> None:
        outcomes[one.name] = act(SafetyClient(one.safety_dir), cause, options.by)

    # At the same time: no robot goes on until another has come to rest.
    threads = [threading.Thread(target=end, args=(one,)) for one in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if lost := [one.name for one in sessions if one.name not in outcomes]:
        raise SafetyError(f"could not stop {', '.join(lost)}; cut the power")
    return _tell("stop", {one.name: outcomes[one.name] for one in sessions}, as_json=options.json)


def reset(options: argparse.Namespace) -> int:
    """Permit motion again in one session.

    Raises:
        ConfigError: There is no such session, or several run and none was named.
    """
    one = _only(_chosen(options.session, running()))
    return _tell(
        "reset", {one.name: SafetyClient(one.safety_dir).reset(options.by)}, as_json=options.json
    )


def status(options: argparse.Namespace) -> int:
    """Show how things stand in one session.

    Raises:
        ConfigError: There is no such session, or several run and none was named.
        SafetyError: Its guardian does not answer.
    """
    one = _only(_chosen(options.session, running()))
    seen = SafetyClient(one.safety_dir).status()
    if options.json:
        sys.stdout.write(json.dumps({"session": one.name, **dataclasses.asdict(seen)}) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(one.name, seen)) + "\n")
    return 0


def console(options: argparse.Namespace) -> int:
    """Show one session's state, and stop it at a key.

    Raises:
        ConfigError: There is no such session, several run and none was named, or no terminal.
    """
    from olympus.runtime.cli import console as place  # a stop does not wait for it

    one = _only(_chosen(options.session, running()))
    return place.run(SafetyClient(one.safety_dir), one.name, options)


def running() -> list[Running]:
    """Return the sessions whose launcher is alive, from every folder sessions may be in.

    A session that was started in a desktop login is found from a remote shell too, where
    XDG_RUNTIME_DIR may be missing.
    """
    user = os.getuid()
    roots = [f"/run/user/{user}/olympus", "/run/olympus"]
    if "XDG_RUNTIME_DIR" in os.environ:
        roots.insert(0, os.environ["XDG_RUNTIME_DIR"] + "/olympus")
    spare = (f"{where}/olympus-{user}" for where in ("/dev/shm", tempfile.gettempdir()))
    roots += [one for one in spare if _is_ours(Path(one))]
    found = {one.safety_dir: one for root in roots for one in _alive(Path(root))}
    return list(found.values())


def _is_ours(root: Path) -> bool:
    """Whether nobody else put a folder or a link there: where everybody may write, they could."""
    try:
        return {root.lstat().st_uid, root.stat().st_uid} == {os.getuid()}
    except OSError:
        return False


def _alive(root: Path) -> Iterator[Running]:
    try:
        files = sorted(root.glob("*/session.json"))
    except OSError:
        return
    for file in files:
        try:
            known = json.loads(file.read_text())
            if Path(f"/proc/{int(known['pid'])}").exists():
                yield Running(str(known["name"]), Path(known["run_dir"]).resolve() / "safety")
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being written or removed at this moment, or not ours to read


def _chosen(name: str | None, sessions: list[Running]) -> list[Running]:
    if not sessions:
        raise ConfigError("no session is running; start one with `olympus launch …`")
    chosen = [one for one in sessions if name in (None, one.name)]
    if not chosen:
        hint = did_you_mean(str(name), [one.name for one in sessions])
        raise ConfigError(f"no session {name!r} is running; {hint}")
    return chosen


def _only(sessions: list[Running]) -> Running:
    if len(sessions) > 1:
        names = ", ".join(one.name for one in sessions)
        raise ConfigError(f"several sessions run ({names}); name one with --session")
    return sessions[0]


def _tell(what: str, outcomes: dict[str, Outcome], *, as_json: bool) -> int:
    for name, outcome in outcomes.items():
        if as_json:
            told = {"session": name, "command": what, **dataclasses.asdict(outcome)}
            sys.stdout.write(json.dumps(told) + "\n")
        else:
            elapsed_ms = outcome.elapsed_s * 1000
            sys.stdout.write(
                f"{name}: {what} {outcome.result}: {outcome.text} ({elapsed_ms:.0f} ms)\n"
            )
    sure = all(outcome.is_confirmed for outcome in outcomes.values())
    return 0 if sure else SafetyError.exit_code


def _lines(name: str, seen: Status) -> Iterator[str]:
    yield f"{name}: {seen.state} for {seen.since_s:.1f} s, epoch {seen.epoch}"
    if seen.cause:
        yield f"  cause       {seen.cause} (by {seen.by})"
    for heart in seen.heartbeats:
        yield f"  heartbeat   {heart.name}: {_age(heart.age_s, heart.limit_s, heart.is_fresh)}"
    for gate in seen.gates:
        held = _MOTION.get(gate.is_still, "neutral") if gate.is_neutral else "driven"
        age = _age(gate.age_s, gate.limit_s, gate.is_fresh)
        yield f"  gate        {gate.name}: {held}, {gate.reason}, {age}"
    yield from _troubles(seen)
    yield from _surroundings(seen)
    for blocker in seen.blockers:
        yield f"  in the way  {blocker}"
    if not seen.is_permitted and not seen.blockers:
        yield "  nothing stands against `olympus reset`"


def _surroundings(seen: Status) -> Iterator[str]:
    for condition in seen.conditions:
        yield f"  condition   {condition.name}: {'ok' if condition.ok else condition.text}"
    for backstop in seen.backstops:
        yield f"  backstop    {backstop.name}: {backstop.problem or backstop.text or 'well'}"
    if seen.estop is not None:
        held = "PRESSED, CUT OR LOST" if seen.estop.is_pressed else "released"
        yield f"  stop input  {seen.estop.text}: {held}, a press is seen {seen.estop.seen}"


def _troubles(seen: Status) -> Iterator[str]:
    if seen.is_reset_stuck:
        yield "  ERROR       reset is stuck: look at the button, or at the program that presses"
    for trouble in seen.troubles:
        yield f"  trouble     {trouble}"


def _age(age_s: float | None, limit_s: float | None, is_fresh: bool) -> str:
    age = "never" if age_s is None else f"{age_s * 1000:.0f} ms ago"
    limit = "" if limit_s is None else f" of {limit_s * 1000:.0f} ms"
    return f"{age}{limit}{'' if is_fresh else ', STALE'}"


def parser() -> argparse.ArgumentParser:
    """Return what reads the words of the four commands."""
    made = argparse.ArgumentParser(prog="olympus")
    commands = made.add_subparsers(dest="command", required=True)
    texts = {
        "stop": "Stop every actuator now and read back that it did; needs nobody's approval.",
        "reset": "Permit motion again after a stop; it causes none.",
        "status": "Show the guardian's view: state, cause, heartbeats, gates.",
        "console": "Watch the state, with the stop under every key: space or Enter stops.",
    }
    for name, text in texts.items():
        typed = "\n".join(f"  olympus {name} {rest}".rstrip() for rest in EXAMPLES[name])
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"For example:\n{typed}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        default = "all running ones" if name == "stop" else "the only one"
        command.add_argument(
            "--session", metavar="NAME", help=f"which session (default: {default})"
        )
        command.add_argument("--json", action="store_true", help="one JSON object per session")
        if name != "status":
            command.add_argument("--by", default=_user(), help="who asks (default: %(default)s)")
        if name == "stop":
            command.add_argument("cause", nargs="*", help="why, for the record")
            command.add_argument(
                "--kill",
                action="store_true",
                help="only `olympus reset` at a terminal here, or the board, may lift it",
            )
    return made


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
