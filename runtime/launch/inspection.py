"""Has the classes of a launch's nodes looked at before anything starts, by a process of its own.

Importing every node costs seconds of memory and may crash; the launcher stays small and alive.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

from pydantic import JsonValue, ValidationError

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.findings import Finding
from olympus.runtime.launch.forking import Orders
from olympus.runtime.launch.looking import FINDINGS, MODULE, QUESTIONS, Question
from olympus.runtime.launch.params import Params, effective_params
from olympus.runtime.launch.plan import LaunchPlan
from olympus.runtime.launch.process import Command, Ears, Fds, start_child
from olympus.runtime.launch.schema import Host
from olympus.runtime.launch.substitute import LATE

TIMEOUT_S = 60.0
_LAST_LINES, _LAST_WORDS = 100, 400


def placeholders() -> dict[str, JsonValue]:
    """Return likely values of what only a running session knows, to check with before it runs."""
    return {**{name: f"/{name}" for name in LATE}, "broker.url": "mqtt://127.0.0.1:1883"}


async def checked_params(
    plan: LaunchPlan,
    late: Mapping[str, JsonValue],
    *,
    imports: bool,
    nursery: Orders,
    look: Callable[[list[Finding]], None] = lambda findings: None,
) -> dict[str, Params]:
    """Return all params of all nodes, defaults included, validated by their classes.

    Args:
        plan: The launch; params files are read anew.
        late: Values that only a running session knows.
        imports: Whether to look at the classes at all; without, only what is set comes back.
        nursery: Forks who looks, if it can.
        look: Is shown what the classes say, where none has a problem; may raise LaunchError.

    Raises:
        LaunchError: A class is missing or refuses a param; tells all of them. Or `look` refuses.
    """
    params = effective_params(plan, late)
    if not imports:
        return params
    findings = await inspected(plan, params, nursery)
    problems = [finding.problem for finding in findings if finding.problem]
    if problems:
        raise LaunchError("\n".join(problems))
    look(findings)
    # What was set stays as it was written: a dump hides secrets.
    return {finding.id: {**finding.params, **params[finding.id]} for finding in findings}


async def inspected(
    plan: LaunchPlan, params: Mapping[str, Params], nursery: Orders
) -> list[Finding]:
    """Look at the classes of all nodes, in another process.

    Args:
        plan: The launch.
        params: Values by node id.
        nursery: Forks that process, if it can.

    Raises:
        LaunchError: The other process crashed: one of the node modules can't be imported at all.
    """
    said: deque[str] = deque(maxlen=_LAST_LINES)
    ours, theirs = socket.socketpair()

    def command(fds: Fds) -> Command:
        words = [sys.executable, "-m", MODULE, str(plan.file.parent), str(fds.lifeline)]
        fork = partial(nursery.fork, words, fds, stdin=theirs)
        return Command(words, stdin=theirs, fork=fork)

    with ours, theirs:
        child, _ = await start_child(command, Host(), Ears(on_output=said.append, on_status=_deaf))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await _answered(ours, QUESTIONS.dump_json(_asked(plan, params)))
                await child.wait()
            return FINDINGS.validate_json(answer)
        except (TimeoutError, ValidationError) as error:
            last = "" if isinstance(error, TimeoutError) else "\n".join(said)[-_LAST_WORDS:]
            raise LaunchError(
                "looking at the node classes failed; a module may crash or hang when it is "
                f"imported (--no-import leaves this check out)\n{last}".rstrip()
            ) from error
        finally:
            if child.exit_code is None:
                child.kill()
                await child.wait()


async def _answered(channel: socket.socket, questions: bytes) -> bytes:
    """Ask; return all that comes back, nothing where whoever is asked has ended."""
    reader, writer = await asyncio.open_unix_connection(sock=channel)
    try:
        writer.write(questions)
        writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def _deaf(_line: str) -> None:
    """Hear nothing on the status pipe."""


def _asked(plan: LaunchPlan, params: Mapping[str, Params]) -> list[Question]:
    return [
        Question(
            id=node.id,
            uses=node.uses,
            where=node.where,
            namespace=node.namespace,
            params=params[node.id],
            remaps=node.remaps,
        )
        for node in plan.nodes.values()
    ]
