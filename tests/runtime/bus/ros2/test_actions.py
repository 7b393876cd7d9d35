"""Actions: goal, feedback, result, calling off, over the same graph."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from olympus.runtime.bus.ros2.action_client import ActionClient
from olympus.runtime.bus.ros2.actions import MOST, ActionServer, Goal, Status
from olympus.runtime.errors import BusError, DeviceError

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Join, OtherProcess, Until

pytestmark = pytest.mark.e2e
ORDER = "int32 order\n---\nint32[] sequence\n---\nint32[] sequence"
NAVIGATE = "nav2_msgs/action/NavigateToPose"


@pytest.fixture
def fibonacci(way: dict[str, Any]) -> str:
    """Return the type of action that is tried: of what the installed ROS has, if it is used."""
    packages: tuple[str, ...] = ("example_interfaces", "test_msgs")
    if way["backend"] == "rclpy":
        packages = tuple(one for one in packages if importlib.util.find_spec(one))
        if not packages:
            pytest.skip("the installed ROS has neither example_interfaces nor test_msgs")
    return f"{packages[0]}/action/Fibonacci"


@pytest.fixture
async def client(join_any: Join, fibonacci: str) -> ActionClient:
    """Return a client of an action that another participant serves."""
    server, asker = join_any(), join_any()
    for one in (server, asker):
        one.codecs.catalogue.add(fibonacci, ORDER)
    server_node, asker_node = server.node("robot"), asker.node("planner")

    async def execute(goal: Goal) -> Any:
        if goal.value.order == 99:
            raise DeviceError("the abacus is broken")
        row = [0, 1]
        while len(row) < goal.value.order:
            row.append(row[-1] + row[-2])
            goal.tell(server.new(f"{fibonacci}_Feedback", sequence=row))
            await asyncio.sleep(60 if goal.value.order == 1000 else 0.01)
        return server.new(f"{fibonacci}_Result", sequence=row)

    ActionServer(
        server, server_node, "/fibonacci", fibonacci, execute, accept=lambda g: g.order > 0
    )
    return ActionClient(asker, asker_node, "/fibonacci", fibonacci)


def goal(client: ActionClient, order: int) -> Any:
    return client.new_goal(order=order)


async def test_a_goal_gives_feedback_and_a_result(client: ActionClient) -> None:
    told: list[Any] = []
    handle = await client.send(goal(client, 8), on_feedback=told.append, timeout_s=20)
    status, result = await handle.result(timeout_s=20)
    assert status is Status.SUCCEEDED
    assert result.sequence.tolist() == [0, 1, 1, 2, 3, 5, 8, 13]
    assert told
    assert told[0].sequence.tolist() == [0, 1, 1]
    again = await handle.result(timeout_s=20)
    assert again[0] is Status.SUCCEEDED, "a result is kept for who asks late"


async def test_a_goal_that_is_called_off_ends_as_cancelled(client: ActionClient) -> None:
    handle = await client.send(goal(client, 1000), timeout_s=20)
    waiting = asyncio.create_task(handle.result(timeout_s=30))
    await asyncio.sleep(0.05)
    assert await handle.cancel(timeout_s=20)
    status, _ = await waiting
    assert status is Status.CANCELED
    assert not await handle.cancel(timeout_s=20), "it has ended already"


async def test_a_goal_that_fails_is_aborted(client: ActionClient) -> None:
    handle = await client.send(goal(client, 99), timeout_s=20)
    assert (await handle.result(timeout_s=20))[0] is Status.ABORTED


async def test_a_goal_that_is_not_accepted_is_said_so(client: ActionClient) -> None:
    with pytest.raises(BusError, match="does not accept"):
        await client.send(goal(client, 0), timeout_s=20)


async def test_several_goals_run_side_by_side(client: ActionClient) -> None:
    handles = [await client.send(goal(client, n), timeout_s=20) for n in (3, 5, 7)]
    results = [await handle.result(timeout_s=20) for handle in handles]
    assert [len(result.sequence) for _, result in results] == [3, 5, 7]


async def test_an_unknown_goal_has_no_result(client: ActionClient) -> None:
    status, _ = await client.result_of(bytes(16), 20)
    assert status is Status.UNKNOWN
    assert not await client.cancel(b"x" * 16, 20)


async def test_a_server_that_dies_leaves_nobody_waiting(
    join: Join, other_process: OtherProcess
) -> None:
    one = join()
    client = ActionClient(one, one.node("planner"), "/navigate_to_pose", NAVIGATE)
    with other_process("jazzy", "act"):
        handle = await client.send(client.new_goal(), timeout_s=20)
        waiting = asyncio.create_task(handle.result())
        await asyncio.sleep(0.2)
        assert not waiting.done()
    with pytest.raises(BusError, match=r"is gone|no answer"):
        await asyncio.wait_for(waiting, 30)


async def test_a_server_in_another_process_tells_how_far_it_is_ends_and_is_called_off(
    join: Join, other_process: OtherProcess, until: Until
) -> None:
    one, told = join(), list[Any]()
    client = ActionClient(one, one.node("planner"), "/navigate_to_pose", NAVIGATE)
    with other_process("jazzy", "act"):
        ahead = client.new_goal()
        ahead.pose.pose.position.x = 2.0
        handle = await client.send(ahead, on_feedback=told.append, timeout_s=20)
        assert (await handle.result(timeout_s=20))[0] is Status.SUCCEEDED
        await until(lambda: told)
        assert told[0].distance_remaining == 0.5
        endless = await client.send(client.new_goal(), timeout_s=20)
        assert await endless.cancel(timeout_s=20)
        assert (await endless.result(timeout_s=20))[0] is Status.CANCELED


async def test_a_server_that_is_not_there_is_said_so(join: Join) -> None:
    one = join()
    client = ActionClient(one, one.node("a"), "/navigate_to_pose", NAVIGATE)
    with pytest.raises(BusError, match=f"no server for the action /navigate_to_pose .*{NAVIGATE}"):
        await client.send(client.new_goal(), timeout_s=0.5)


async def test_a_goal_id_that_is_in_use_is_refused_and_counted(client: ActionClient) -> None:
    handle = await client.send(goal(client, 1000), timeout_s=20, goal_id=b"i" * 16)
    with pytest.raises(BusError, match="does not accept"):
        await client.send(goal(client, 3), timeout_s=20, goal_id=b"i" * 16)
    assert await handle.cancel(timeout_s=20)
    assert (await handle.result(timeout_s=20))[0] is Status.CANCELED
    with pytest.raises(BusError, match="does not accept"):
        await client.send(goal(client, 3), timeout_s=20, goal_id=b"i" * 16)


async def test_a_server_carries_out_so_many_goals_at_once_and_no_more(
    client: ActionClient,
) -> None:
    sent = [client.send(goal(client, 1000), timeout_s=20) for _ in range(MOST)]
    handles = await asyncio.gather(*sent)
    with pytest.raises(BusError, match="does not accept"):
        await client.send(goal(client, 1000), timeout_s=20)
    assert await handles[0].cancel(timeout_s=20)
    assert (await handles[0].result(timeout_s=20))[0] is Status.CANCELED
    assert (await (await client.send(goal(client, 3), timeout_s=20)).result(timeout_s=20))[0] is (
        Status.SUCCEEDED
    )


async def test_a_goal_that_is_called_off_before_it_begins_ends_all_the_same(
    join: Join,
) -> None:
    one = join()
    server = ActionServer(one, one.node("robot"), "/go", NAVIGATE, lambda _: asyncio.sleep(60))
    ids = one.new("unique_identifier_msgs/msg/UUID", uuid=np.full(16, 7, np.uint8))
    sent = one.new(f"{NAVIGATE}_SendGoal_Request", goal_id=ids)
    info = one.new("action_msgs/msg/GoalInfo", goal_id=ids)
    assert (await server.on_goal(sent)).accepted  # nothing has run since: it has not begun
    off = await server.on_cancel(one.new("action_msgs/srv/CancelGoal_Request", goal_info=info))
    assert len(off.goals_canceling) == 1
    asked = one.new(f"{NAVIGATE}_GetResult_Request", goal_id=ids)
    ended = await asyncio.wait_for(server.on_result(asked), 20)
    assert ended.status == Status.CANCELED


async def test_who_gives_up_before_his_goal_is_accepted_has_it_called_off(
    join: Join, until: Until
) -> None:
    server, asker, begun, off = join(), join(), list[int](), list[int]()

    async def execute(_: Goal) -> None:
        begun.append(1)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            off.append(1)
            raise

    def accept(_: Any) -> bool:
        asking.cancel()
        return True

    ActionServer(server, server.node("robot"), "/go", NAVIGATE, execute, accept=accept)
    client = ActionClient(asker, asker.node("planner"), "/go", NAVIGATE)
    asking = asyncio.create_task(client.send(client.new_goal(), timeout_s=20))
    await asyncio.gather(asking, return_exceptions=True)
    assert asking.cancelled()
    await until(lambda: off)
    assert begun == [1]


async def test_an_execution_that_fails_unforeseen_is_aborted_and_counted(join: Join) -> None:
    one = join()

    async def execute(_: Goal) -> None:
        raise ZeroDivisionError

    ActionServer(one, one.node("robot"), "/go", NAVIGATE, execute)
    client = ActionClient(one, one.node("planner"), "/go", NAVIGATE)
    handle = await client.send(client.new_goal(), timeout_s=20)
    assert (await handle.result(timeout_s=20))[0] is Status.ABORTED
    assert one.tallies.refused["/go/_action/feedback"] == 1


async def test_nav2_can_be_asked_to_drive_to_a_pose(join: Join, until: Until) -> None:
    nav2, planner = join(), join()

    async def drive(asked: Goal) -> Any:
        feedback = nav2.new(f"{NAVIGATE}_Feedback", distance_remaining=1.5)
        feedback.current_pose.header.frame_id = asked.value.pose.header.frame_id
        asked.tell(feedback)
        return None

    ActionServer(nav2, nav2.node("bt_navigator"), "/navigate_to_pose", NAVIGATE, drive)
    client = ActionClient(planner, planner.node("planner"), "/navigate_to_pose", NAVIGATE)
    wish = client.new_goal()
    wish.pose.header.frame_id = "map"
    wish.pose.pose.position.x = 2.0
    told: list[Any] = []
    handle = await client.send(wish, on_feedback=told.append, timeout_s=20)
    status, result = await handle.result(timeout_s=20)
    assert (status, result.error_code) == (Status.SUCCEEDED, 0)
    await until(lambda: told)
    assert told[0].current_pose.header.frame_id == "map"
