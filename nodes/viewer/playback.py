"""The viewer's page over a recording: the robot as it was, with a bar to go to any time of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pydantic import Field
from starlette.routing import BaseRoute

from olympus.nodes.viewer.audience import Audience
from olympus.nodes.viewer.player import Player
from olympus.nodes.viewer.server import listening, serve
from olympus.nodes.viewer.streams import Json
from olympus.nodes.viewer.web import Desk, StrictBody, Web
from olympus.runtime.errors import ConfigError
from olympus.runtime.replay.recording import Recording
from olympus.runtime.telemetry import StructuredLog

PUSH_S = 1 / 12
CLIENTS = 16
REFUSAL = "this is a recording: there is no robot to act on"


class Wish(StrictBody):
    """What somebody at the bar wants; what is left out stays as it is."""

    place: float | None = Field(None, ge=0, le=1e7, description="From the beginning, s.")
    is_playing: bool | None = None
    loops: bool | None = Field(None, description="Whether it begins again at the end.")
    speed: float | None = Field(None, ge=0.05, le=64)


class RecordedRobot(Desk):
    """A robot that was: it can be looked at, and refuses everything else."""

    def __init__(self, player: Player) -> None:
        """Stand for what a player shows."""
        self._player = player

    async def stop(self, cause: str) -> dict[str, Json]:
        """Refuse.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(REFUSAL)

    async def reset(self, latch: int | None) -> dict[str, Json]:
        """Refuse.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(REFUSAL)

    async def say(self, text: str) -> dict[str, Json]:
        """Refuse.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(REFUSAL)

    async def params_of(self, node: str) -> dict[str, Json]:
        """Refuse.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(REFUSAL)

    async def set_param(self, node: str, name: str, value: str) -> dict[str, Json]:
        """Refuse.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(REFUSAL)

    async def newest(self, topic: str) -> dict[str, Json]:
        """Return the newest message of a topic at the time that is shown.

        Raises:
            OlympusError: It was not recorded, or can't be read.
        """
        return self._player.newest(topic)

    async def plot(self, topic: str, field: str, *, on: bool) -> dict[str, Json]:
        """Refuse.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(REFUSAL)

    def metrics(self) -> str:
        """Return nothing: nobody is to take what was for what is."""
        return ""

    def now_ms(self) -> float:
        """Return the robot time that is shown, ms."""
        return self._player.now_ms()


class PlaybackWeb(Web):
    """The page, and the bar's wishes."""

    def __init__(self, player: Player, audience: Audience) -> None:
        """Serve what a player shows."""
        super().__init__(RecordedRobot(player), player.board, audience)
        self._player = player

    def routes(self) -> list[BaseRoute]:
        """Return the addresses that are served."""
        return [self._command("/api/playback", Wish, self.wish), *super().routes()]

    async def wish(self, wish: Wish) -> dict[str, Json]:
        """Go where and as fast as somebody wants."""
        if wish.place is not None:
            await self._player.go(wish.place)
        self._player.play(is_playing=wish.is_playing, speed=wish.speed, loops=wish.loops)
        self._audience.offer_state()
        return {"ok": True, "text": ""}


async def keep_playing(player: Player, audience: Audience) -> None:
    """Let a player's time go by, for ever."""
    before = time.monotonic()  # varies: somebody watches
    while True:
        await asyncio.sleep(PUSH_S)
        now = time.monotonic()  # varies: somebody watches
        player.advance(now - before)
        before = now
        audience.offer_state()


def play(
    recording: Recording,
    *,
    port: int,
    from_s: float = 0.0,
    speed: float = 1.0,
    loops: bool = False,
    on_ready: Callable[[str], None],
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        recording: What is shown.
        port: At 127.0.0.1; 0 for any free one.
        from_s: Where it begins, s.
        speed: Times as fast as it was.
        loops: Whether it begins again at the end.
        on_ready: Told the page's address.

    Raises:
        ConfigError: The port can't be had.
    """
    asyncio.run(_play(recording, port, (from_s, speed, loops), on_ready))


async def _play(
    recording: Recording,
    port: int,
    how: tuple[float, float, bool],
    on_ready: Callable[[str], None],
) -> None:
    from_s, speed, loops = how
    audience = Audience(CLIENTS, is_patient=True)
    player = Player(recording, audience, loops=loops)
    player.seek(from_s)
    player.play(is_playing=True, speed=speed)
    with listening("127.0.0.1", port) as at:
        on_ready(f"http://127.0.0.1:{at.getsockname()[1]}/")
        app = PlaybackWeb(player, audience).app()
        playing = asyncio.create_task(keep_playing(player, audience))
        try:
            await serve(app, at, StructuredLog("replay"))
        finally:
            playing.cancel()
