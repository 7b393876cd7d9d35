"""What every node that takes commands does alike, whether it drives itself or has others drive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from olympus.nodes.mission import Mission
from olympus.runtime.agents import understand
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Ack, Command, Header, MissionState, Percept
from olympus.runtime.node import Node
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.lease import LeaseReader


class Permit:
    """Whether a node's robot may move, and how the node has it stopped."""

    def __init__(self, node: Node) -> None:
        """Find the guardian of the node's session; without a session everything is permitted."""
        self._node = node
        directory = node.session.safety_dir if node.session is not None else None
        self._lease = LeaseReader(directory) if directory is not None else None
        self._guardian = SafetyClient(directory) if directory is not None else None

    def look(self) -> bool:
        """Tell whether motion is permitted now."""
        node, lease = self._node, self._lease
        if lease is None or node.session is None:
            return True
        now_ns = node.clock.now_ns() - node.session.clock_offset_ns
        return node.observe("lease", lambda: lease.check(now_ns).valid)

    async def stop(self, shout: Percept) -> None:
        """Have the guardian stop everything, because somebody was heard to shout it."""
        node, guardian = self._node, self._guardian
        if guardian is None:
            return
        cause = f"heard 'stop' ({shout.confidence:.0%} sure)"

        def stop() -> list[str]:
            outcome = guardian.stop(cause, node.name)
            return [str(outcome.text), str(outcome.result)]

        text, outcome = await node.act("stop", stop)
        node.log.warning(f"{cause}: {text}", outcome=outcome)

    def close(self) -> None:
        """Let go of the lease; again is harmless."""
        if self._lease is not None:
            self._lease.close()


def as_said(command: Command) -> Command:
    """Return a command that came by a call, to be published for whoever takes note of commands."""
    return replace(command, header=Header())


def obeyed(command: Command, take_on: Callable[[Command], str]) -> Ack:
    """Have a command taken on, and answer; a sentence that was only typed is understood here.

    Args:
        command: What was said.
        take_on: Begins to carry it out and returns the answer; raises ConfigError or ValueError
            for what it can't do.
    """
    try:
        if not command.verb:
            command = understand(command.text)
        return Ack(ok=True, text=take_on(command))
    except (ConfigError, ValueError) as error:
        return Ack(ok=False, text=str(error))


def state_of(mission: Mission | None, state: str, reason: str, done: int) -> MissionState:
    """Return how a mission goes, to be published.

    Args:
        mission: What is under way; None for nothing.
        state: One word: driving, idle, stopped, failed, blind.
        reason: A sentence.
        done: How many missions were carried out so far.
    """
    goal = mission.goal if mission is not None else None
    return MissionState(
        mission=mission.text if mission is not None else "",
        state=state,
        reason=reason,
        goal=f"{goal[0]:g}, {goal[1]:g}" if goal is not None else "",
        goal_x_m=goal[0] if goal is not None else 0.0,
        goal_y_m=goal[1] if goal is not None else 0.0,
        laps=mission.laps if mission is not None else 0,
        done=done,
    )


def is_news(told: MissionState, before: MissionState | None, *, reason_length: int) -> bool:
    """Tell whether a state says something else than the one told before.

    Args:
        told: The state.
        before: The one before; None if there was none.
        reason_length: So many characters of the reason count; figures that follow do not.
    """

    def facts(one: MissionState) -> tuple[object, ...]:
        return (
            one.mission, one.state, one.goal, one.laps, one.reason[:reason_length], one.done,
        )  # fmt: skip

    return before is None or facts(told) != facts(before)
