"""`olympus replay`: run the nodes of a recording again and compare, bit for bit."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from olympus.runtime.cli.bagged import as_store, is_bag
from olympus.runtime.cli.connect import AsJson
from olympus.runtime.cli.projector import Projector
from olympus.runtime.cli.replayed import as_dict, likely_causes, report, show_changes
from olympus.runtime.cli.stores import Key, found
from olympus.runtime.errors import ConfigError
from olympus.runtime.launch.report import harmless
from olympus.runtime.replay.engine import Engine
from olympus.runtime.replay.recording import Recording
from olympus.runtime.replay.whatif import what_if
from olympus.runtime.telemetry.logs import ROOT, fields_of, logger_of, text_of

HEEDED = {
    "--viewer": ("--from", "--speed", "--loop"),
    "--diff": ("--inject", "--json"),
}
"""What else may be asked for with them, besides the run and the key; without them all may."""
_TIMES = "olympus_times"
PLAYBACK = "olympus.nodes.viewer.playback"
"""The page over a recording; another wing, so only called by its name."""


Store = Annotated[
    str | None,
    typer.Argument(
        help="Folder of the store, or the session's name; the only one by default. With "
        "--viewer also a ROS 2 bag or an MCAP file."
    ),
]
Run = Annotated[int | None, typer.Option(help="Number of a run; the last one by default.")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Stop at the first difference, with exit code 1.")
]
Inject = Annotated[
    list[str] | None,
    typer.Option(
        help="A node that does not run: its recorded messages stand for it; also with --diff."
    ),
]
Diff = Annotated[
    Path | None,
    typer.Option(help="File {node: {param: value}}: run with these, and tell what changes."),
]
Viewer = Annotated[
    bool, typer.Option("--viewer", help="Show what was recorded on the viewer's page.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Of that page; 0 for any free one.")]
Show = Annotated[
    list[str] | None, typer.Option(help="Print messages of such topics as they are published anew.")
]
Step = Annotated[
    bool, typer.Option("--step", help="Wait for Enter after each message that is shown.")
]
Speed = Annotated[
    float, typer.Option(min=0, help="Times as fast as it was; 0 = as fast as it can.")
]
From = Annotated[float, typer.Option("--from", min=0, help="Show nothing before so many seconds.")]
Until = Annotated[float, typer.Option("--until", min=0, help="Stop after so many.")]
Loop = Annotated[bool, typer.Option("--loop", help="Begin again at the end.")]


def replay(  # noqa: PLR0913  a command line has as many options as it needs
    recording: Store = None,
    verify: Verify = False,
    inject: Inject = None,
    run: Run = None,
    show: Show = None,
    speed: Speed = 0.0,
    from_s: From = 0.0,
    until_s: Until = 0.0,
    loop: Loop = False,
    step: Step = False,
    diff: Diff = None,
    viewer: Viewer = False,
    port: Port = 8700,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Run the nodes of a recording again, in one process, and compare what they publish.

    Cameras, microphones, IoT devices, the robot's base and operators come from the recording;
    every other node and its models run anew, in the order of their journals.

    Raises:
        ConfigError: It is a bag, and not only to be shown; or two things are asked for at once.
        Exit: Something differs, or was not compared.
    """
    _only_one({"--viewer": viewer, "--diff": diff is not None, "--verify": verify})
    given = {
        **{"--inject": bool(inject), "--show": bool(show), "--step": step, "--json": as_json},
        **{"--speed": speed > 0, "--from": from_s > 0, "--until": until_s > 0, "--loop": loop},
    }
    _heeded("--viewer" if viewer else "--diff" if diff is not None else "", given)
    with _folder_of(recording, is_shown=viewer) as folder:
        opening = partial(Recording, folder, key=key, run=run)
        if viewer:
            _on_the_page(opening, port=port, from_s=from_s, speed=speed or 1.0, loops=loop)
        elif diff is not None:
            with opening() as opened, nodes_are_heard():
                show_changes(what_if(opened, read_params(diff), inject or ()), as_json=as_json)
        else:
            again = partial(
                _once, opening, inject=inject or (), until_s=until_s, stops=verify, as_json=as_json
            )
            while again(Projector(show or (), speed, from_s, step)) and loop:
                pass


def _only_one(asked: dict[str, bool]) -> None:
    """Refuse two ways of looking at a recording at once.

    Raises:
        ConfigError: Two are asked for.
    """
    if len(names := [name for name, is_asked in asked.items() if is_asked]) > 1:
        raise ConfigError(f"{' and '.join(names)} exclude each other; leave one out")


def _heeded(way: str, given: dict[str, bool]) -> None:
    """Refuse options that a way of looking at a recording does nothing with.

    Raises:
        ConfigError: There is one.
    """
    for name, is_given in given.items():
        if way and is_given and name not in HEEDED[way]:
            raise ConfigError(f"{name} does nothing with {way}; leave it out")


@contextmanager
def _folder_of(recording: str | None, *, is_shown: bool) -> Iterator[Path]:
    """Yield the folder of a store that somebody named, or of one made for a bag.

    Raises:
        ConfigError: It is a bag, and not only to be shown.
    """
    if recording is None or not is_bag(recording):
        yield found(recording)
    elif is_shown:
        with as_store(Path(recording)) as folder:
            yield folder
    else:
        raise ConfigError(
            f"{recording} is a bag: it has no journal by which nodes could run again; "
            "--viewer shows it, `olympus ros2 bag play --here` plays it to nodes that run"
        )


def _once(
    opening: Callable[..., Recording],
    projector: Projector,
    *,
    inject: Sequence[str],
    until_s: float,
    stops: bool,
    as_json: bool,
) -> bool:
    """Run the nodes from the beginning to the end, and say what came of it.

    Returns:
        True: all is equal.

    Raises:
        Exit: Something differs.
    """
    with opening() as recording, nodes_are_heard():
        engine = Engine(
            recording,
            inject=inject,
            until_s=until_s,
            keep_going=not stops,
            on_message=projector.on_message,
            on_event=projector.on_event,
        )
        began = time.monotonic()
        outcome = engine.run()
        took_s = time.monotonic() - began
    for line in projector.unmatched(outcome.tallies):
        typer.echo(line, err=True)
    causes = likely_causes(outcome)
    if as_json:
        typer.echo(json.dumps(as_dict(outcome, causes, took_s)))
    else:
        report(outcome, causes, took_s)
    if not outcome.is_equal:
        raise typer.Exit(1)
    return True


@contextmanager
def nodes_are_heard() -> Iterator[None]:
    """Show what nodes that run again warn of, with their names."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_NodeLine())
    handler.addFilter(_Seldom())
    logger = logging.getLogger(ROOT)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _NodeLine(logging.Formatter):
    """Makes one line of a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return it as a launcher shows it."""
        text = f"[{logger_of(record)}] {record.levelname.lower()}: {text_of(record)}"
        fields = fields_of(record).items()
        facts = " ".join(f"{name}={value}" for name, value in fields if name != "traceback")
        times = getattr(record, _TIMES, 1)
        often = f"  (no. {times})" if times > 1 else ""
        return harmless(f"{text}  {facts}".rstrip() + often)


class _Seldom(logging.Filter):
    """Lets through what a node says again and again for the 1st, 2nd, 4th, 8th, … time."""

    def __init__(self) -> None:
        super().__init__()
        self._times: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Count a record; tell whether it is shown."""
        key = record.name, text_of(record)
        self._times[key] += 1
        setattr(record, _TIMES, self._times[key])
        return self._times[key].bit_count() == 1


def _on_the_page(
    opening: Callable[..., Recording], *, port: int, from_s: float, speed: float, loops: bool
) -> None:
    with opening(needs_journal=False) as recording:
        playback = import_module(PLAYBACK)
        playback.play(
            recording, port=port, from_s=from_s, speed=speed, loops=loops, on_ready=_ready
        )


def read_params(file: Path) -> dict[str, dict[str, Any]]:
    """Read a file of params: values by node and name.

    Raises:
        ConfigError: It can't be read, or is no such file.
    """
    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} can't be read: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise ConfigError(f"{file}: write {{node: {{param: value}}}}, as navigator: {{keep_m: 2}}")
    return found


def _ready(url: str) -> None:
    typer.echo(f"the recording is at {url}; Ctrl-C ends it")
