"""A robot in plain rclpy, without a line of Olympus: `python _rclpy_robot.py DOMAIN WHAT…`."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from typing import Any

import numpy as np
import rclpy
import rclpy.action
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import SetBool

LATCHED = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def say(line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def talk(node: Any) -> None:
    """Say what there is on topics; repeat on /plain/echo what comes on /ours/chatter."""
    text, echo = (node.create_publisher(String, f"/plain/{n}", 10) for n in ("chatter", "echo"))
    latched = node.create_publisher(String, "/plain/latched", LATCHED)
    for number in range(8):
        latched.publish(String(data=str(number)))
    pixels = np.random.default_rng(7).integers(0, 256, (240, 320, 3), np.uint8)
    image = Image(height=240, width=320, encoding="rgb8", step=960)
    image.data.frombytes(pixels.tobytes())
    picture = node.create_publisher(Image, "/plain/image", 10)
    node.create_timer(0.02, lambda: text.publish(String(data="hello")))
    node.create_timer(0.2, lambda: picture.publish(image))
    node.create_subscription(String, "/ours/chatter", echo.publish, 100)


def serve(node: Any, action: str) -> None:
    """Serve a switch, an action, and a parameter."""

    def switch(request: Any, response: Any) -> Any:
        response.success, response.message = request.data, "from rclpy"
        return response

    node.declare_parameter("speed", 0.5)
    node.create_service(SetBool, "/plain/switch", switch)
    kind = importlib.import_module(f"{action}.action").Fibonacci
    stop = threading.Event()

    def execute(goal: Any) -> Any:
        goal.publish_feedback(kind.Feedback(sequence=[0, 1]))
        while goal.request.order == 1000 and not goal.is_cancel_requested:
            stop.wait(0.02)
        result = kind.Result(sequence=[0, 1, 1])
        (goal.canceled if goal.is_cancel_requested else goal.succeed)()
        return result

    rclpy.action.ActionServer(
        node,
        kind,
        "/plain/fibonacci",
        execute,
        cancel_callback=lambda _goal: rclpy.action.CancelResponse.ACCEPT,
    )


class LateToNote:
    """The sending end of an action's client; who sends is held up before he can note what he sent.

    rclpy notes a request after sending it, in Jazzy 7.1.6 without a lock (Kilted 9.1.2 has one):
    where the executor runs in another thread and the answer is quicker, that is ignored as
    unexpected, and who asked waits without end.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._handle, name)
        if not name.startswith("send_"):
            return found

        def send(request: Any) -> Any:
            number = found(request)
            threading.Event().wait(0.3)
            return number

        return send


async def ask(node: Any, action: str) -> None:
    """Ask Olympus' service /ours/switch and its action /ours/fibonacci, in the executor's thread.

    From any other thread rclpy may lose the action's answers; see `LateToNote`.
    """
    client = node.create_client(SetBool, "/ours/switch")
    assert client.wait_for_service(20)
    answer = await client.call_async(SetBool.Request(data=True))
    say({"success": answer.success, "message": answer.message})
    kind = importlib.import_module(f"{action}.action").Fibonacci
    asker, told = rclpy.action.ActionClient(node, kind, "/ours/fibonacci"), list[Any]()
    assert asker.wait_for_server(20)
    asker._client_handle = LateToNote(asker._client_handle)

    def on_feedback(message: Any) -> None:
        told.append(list(message.feedback.sequence))

    handle = await asker.send_goal_async(kind.Goal(order=3), feedback_callback=on_feedback)
    done = await handle.get_result_async()
    say({"status": done.status, "sequence": list(done.result.sequence), "told": told[:1]})
    handle = await asker.send_goal_async(kind.Goal(order=1000))
    off = await handle.cancel_goal_async()
    say({"canceling": len(off.goals_canceling)})
    say({"status": (await handle.get_result_async()).status})
    say("ready")


def params(node: Any, name: str) -> None:
    """Ask for the parameters of a node of Olympus as rclpy's own client does."""
    client = AsyncParameterClient(node, name)
    assert client.wait_for_services(20)

    def result(future: Any) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(20)
        return future.result()

    say(sorted(result(client.list_parameters()).result.names))
    say([v.double_value for v in result(client.get_parameters(["speed"])).values])
    wishes = [Parameter("speed", value=1.5), Parameter("gear", value=9)]
    say([one.successful for one in result(client.set_parameters(wishes)).results])
    say([d.description for d in result(client.describe_parameters(["speed"])).descriptors])


def look(node: Any, name: str) -> None:
    """Tell what the graph says of a node of Olympus: what `ros2 node info` and `topic` ask for."""
    namespace, _, title = name.rpartition("/")
    for _ in range(1000):
        if (title, namespace) in node.get_node_names_and_namespaces():
            break
        threading.Event().wait(0.02)
    else:
        raise SystemExit(f"{name} is not in the graph")

    def ours(pairs: Any) -> dict[str, list[str]]:
        return {topic: types for topic, types in pairs if topic.startswith("/rover/")}

    def answers() -> list[Any]:
        return [
            ours(node.get_publisher_names_and_types_by_node(title, namespace)),
            ours(node.get_subscriber_names_and_types_by_node(title, namespace)),
            ours(node.get_service_names_and_types_by_node(title, namespace)),
        ]

    for _ in range(1000):
        if all(answers()):
            break
        threading.Event().wait(0.02)
    say(answers())
    (end,) = node.get_publishers_info_by_topic("/rover/image")
    profile = end.qos_profile
    say([end.topic_type, profile.reliability.name, profile.durability.name])


def main(domain: str, what: str, *words: str) -> None:
    context = rclpy.Context()
    rclpy.init(args=[], context=context, domain_id=int(domain))
    node = rclpy.create_node("plain", namespace="/other", context=context)
    if what == ask.__name__:
        alone = SingleThreadedExecutor(context=context)
        alone.add_node(node)
        alone.create_task(ask, node, *words)
        alone.spin()
    executor = MultiThreadedExecutor(2, context=context)
    executor.add_node(node)
    threading.Thread(target=executor.spin, daemon=True).start()
    works = (talk, serve, params, look)
    work: dict[str, Any] = {one.__name__: one for one in works}
    work[what](node, *words)
    say("ready")
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
