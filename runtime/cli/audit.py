"""`olympus audit`: what the guardian and people did, and the proof that nobody changed it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from olympus.runtime.cli.connect import AsJson
from olympus.runtime.clock import NS_PER_S, SystemClock, wall_offset_ns
from olympus.runtime.errors import ConfigError, DamageError, StoreError, did_you_mean
from olympus.runtime.messages import AuditAnchor
from olympus.runtime.security.chain import Anchor, Reader, Verdict, verify
from olympus.runtime.security.keys import make_key
from olympus.runtime.store import StreamStore
from olympus.runtime.store.audit import FILE
from olympus.runtime.store.environment import DATA
from olympus.runtime.store.places import keys, stores
from olympus.runtime.store.rekey import rekey

app = typer.Typer(help="The audit log: verify, show, anchor; its key.", no_args_is_help=True)
Place = Annotated[
    str | None,
    typer.Argument(help="The log, its folder, or the session's name; the only one by default."),
]
RECORDED = "audit/anchor"
"""Topic whose recording holds anchors."""


@app.command(name="verify")
def verify_(
    log: Place = None,
    key: Annotated[str, typer.Option(help="Public key that must have signed it.")] = "",
    anchor: Annotated[
        list[Path] | None, typer.Option(help="File that `olympus audit anchor` wrote; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every record of a log, its end too as far as anchors tell; needs no network.

    Exits with 1, and names the place, when anything was changed.

    Raises:
        ConfigError: There is no such log, or an anchor can't be read.
        Exit: It is not as it was written.
    """
    file = _found(log)
    anchors = [one for path in anchor or () for one in _anchors(path)]
    recorded, older = _recorded(file)
    with file.open("rb") as lines:
        verdict = verify(lines, public=key, anchors=[*anchors, *recorded])
    if as_json:
        told = asdict(verdict) | {"file": str(file), "is_whole": verdict.is_whole}
        typer.echo(json.dumps(told | {"anchors": len(anchors) + len(recorded), "older": older}))
    else:
        for line in _told(file, verdict, (len(anchors), len(recorded), older), bool(key)):
            typer.echo(line)
    if not verdict.is_whole:
        raise typer.Exit(1)


@app.command()
def show(
    log: Place = None,
    last: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the newest records; `verify` tells whether they can be believed.

    Raises:
        ConfigError: There is no such log.
    """
    lines = _found(log).read_bytes().splitlines()[-last:]
    for line in lines:
        typer.echo(line.decode(errors="replace") if as_json else _shown(line))


@app.command(name="anchor")
def anchor_(log: Place = None) -> None:
    """Print how far a log is; kept elsewhere, it proves later that its end was not cut off.

    Raises:
        ConfigError: There is no such log, or it is not whole.
    """
    with (file := _found(log)).open("rb") as lines:
        verdict = verify(lines)
    if not verdict.is_whole:
        raise ConfigError(f"{file}: {verdict.problem}")
    typer.echo(json.dumps(asdict(verdict.head) | {"public": verdict.public}))


@app.command()
def key(file: Annotated[Path, typer.Argument(help="A file that is not there yet.")]) -> None:
    """Make a private key that you alone can read, and print the public one."""
    typer.echo(make_key(file).public)


@app.command(name="rekey")
def rekey_(
    key_file: Annotated[
        Path | None, typer.Option(help="Private key; ~/.config/olympus/audit.key by default.")
    ] = None,
    logs: Annotated[
        list[Path] | None, typer.Argument(help="Logs elsewhere that the key signs too.")
    ] = None,
) -> None:
    """Put a new key in the place of the old one, which signs the new one's name in its logs.

    No robot may write to them meanwhile. `verify --key` still takes the key that a log began with,
    and follows.
    """
    own = sorted(stores().glob(f"*/{FILE}"))
    named = [_found(str(log)) for log in logs or ()]
    now_ns = SystemClock(wall_offset_ns()).now_ns()
    done = rekey(list(dict.fromkeys([*own, *named])), key_file or keys() / "audit.key", now_ns)
    for log in done.changed:
        typer.echo(f"{log}: goes on with the new key")
    for log in done.others:
        typer.echo(f"{log}: was signed with another key; left as it is")
    typer.echo(f"the new public key is {done.public}")


def _found(place: str | None) -> Path:
    known = {path.parent.name: path for path in sorted(stores().glob(f"*/{FILE}"))}
    if place is None:
        if len(known) != 1:
            raise ConfigError(
                f"there are several audit logs; name one of {', '.join(known)}"
                if known
                else f"there is no audit log in {stores()}; launch a robot that keeps one, such as "
                "launch/patrol.yaml, or name a file"
            )
        return next(iter(known.values()))
    path = Path(place)
    for file in (path, path / FILE):
        if file.is_file():
            return file
    if place not in known:
        raise ConfigError(f"no audit log {place!r}; {did_you_mean(place, known)}")
    return known[place]


def _anchors(path: Path) -> Iterator[Anchor]:
    try:
        for line in path.read_text().splitlines():
            told = json.loads(line)
            yield Anchor(int(told["number"]), str(told["hash"]))
    except OSError as error:
        raise ConfigError(f"{path}: the anchors can't be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path} holds no anchors: {error!r}; `olympus audit anchor` prints one"
        ) from error


def _recorded(file: Path) -> tuple[list[Anchor], int]:
    """Return the anchors that the recorder beside a log has kept, and how many are too old.

    Too old are those of a log that was set aside before this one was begun, which its first record
    tells under its signature; a log that was set aside itself has none.
    """
    found: list[tuple[int, Anchor]] = []
    if file.name != FILE or not (file.parent / DATA).is_file():
        return [], 0
    try:
        with StreamStore(file.parent, read_only=True) as store:
            for message in store.read(RECORDED):
                if isinstance(message, AuditAnchor):
                    found.append((message.header.stamp, Anchor(message.number, message.hash)))
    except (DamageError, StoreError) as error:
        typer.echo(f"the anchors in {file.parent} can't be read: {error}", err=True)
    begun_ns = _begun_after_another(file)
    anchors = [one for stamp_ns, one in found if stamp_ns >= begun_ns]
    return anchors, len(found) - len(anchors)


def _begun_after_another(file: Path) -> int:
    """Return when a log was begun in place of one that was set aside, robot time; else 0."""
    with file.open("rb") as lines:
        try:
            first = Reader().read(lines.readline())
        except DamageError:
            return 0  # the check says it
    return first.at_ns if "before" in first.body else 0


def _told(
    file: Path, verdict: Verdict, anchors: tuple[int, int, int], is_key_known: bool
) -> Iterator[str]:
    given, recorded, older = anchors
    yield f"{file}: {verdict.records} records are as they were written"
    if verdict.problem:
        yield f"NOT WHOLE: {verdict.problem}"
    yield f"signed by {verdict.public or 'nobody'}" + (
        "" if is_key_known else ", by its own word: `--key` with the key you know makes sure"
    )
    yield f"{given} anchors given, {recorded} found in the recording beside it" + (
        "" if given or recorded else ": whether its end was cut off can't be told"
    )
    if older:
        yield f"{older} more are of the log that was set aside when this one was begun"


def _shown(line: bytes) -> str:
    try:
        fields = json.loads(line)
        at = datetime.fromtimestamp(fields["at"] / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")
        body = {name: fields["body"][name] for name in _TOLD if fields["body"].get(name)}
        facts = "  ".join(f"{name}={value}" for name, value in body.items())
        return f"{fields['n']:>6}  {at}  {fields['kind']:12} {facts}"
    except (ValueError, TypeError, KeyError, OverflowError):
        return f"     ?  unreadable: {line[:80]!r}"


_TOLD = ("cause", "by", "text", "from", "session", "before", "public", "bytes")
"""What of a body is worth a place on a line."""
