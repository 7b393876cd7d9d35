"""Plain rclpy, without a line of Olympus, for the ROS 2 benchmark: its own messages and executor.

rclpy_peer.py far|near
"""

from __future__ import annotations

import queue
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import rclpy
from _ros2_trips import (
    COUNTS,
    HEIGHT,
    IMAGE_TRIPS,
    STRING_TRIPS,
    TEXT,
    WIDTH,
    Answers,
    Taken,
    receiving_us,
    stream_for_ever,
    timed,
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Empty, String

DOMAIN = 86


def far(node: Any) -> None:
    """Answer each message with itself, and send a stream when asked to."""
    pong = node.create_publisher(String, "/pong", 10)
    image_pong = node.create_publisher(Image, "/image_pong", 10)
    stream = node.create_publisher(String, "/stream", 10)
    asked = threading.Event()
    node.create_subscription(String, "/ping", pong.publish, 10)
    node.create_subscription(Image, "/image_ping", image_pong.publish, 10)
    node.create_subscription(Empty, "/start", lambda _: asked.set(), 10)
    stream_for_ever(asked, partial(stream.publish, String(data=TEXT)))


def near(node: Any) -> None:
    """Measure one round."""
    image = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=WIDTH * 3)
    image.data.frombytes(bytes(HEIGHT * WIDTH * 3))  # the fast way of filling it
    taken = Taken()
    for size, kind, topic, value in (
        (STRING_TRIPS, String, "p", String(data=TEXT)),
        (IMAGE_TRIPS, Image, "image_p", image),
    ):
        answers: Answers = queue.SimpleQueue()
        publisher = node.create_publisher(kind, f"/{topic}ing", 10)
        node.create_subscription(kind, f"/{topic}ong", answers.put, 10)
        taken.trips[size] = timed(partial(publisher.publish, value), answers, COUNTS[size])
    came: list[None] = []
    node.create_subscription(String, "/stream", lambda _: came.append(None), 10)
    start = node.create_publisher(Empty, "/start", 10)
    while not start.get_subscription_count():
        threading.Event().wait(0.05)
    taken.receiving_us = receiving_us(partial(start.publish, Empty()), lambda: len(came))
    taken.tell()


def main() -> None:
    context = rclpy.Context()
    rclpy.init(args=[], context=context, domain_id=DOMAIN)
    node = rclpy.create_node(f"plain_{sys.argv[1]}", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    spinning = threading.Thread(target=spin, args=(executor,))
    spinning.start()
    {"far": far, "near": near}[sys.argv[1]](node)
    context.shutdown()
    spinning.join()


def spin(executor: SingleThreadedExecutor) -> None:
    with suppress(ExternalShutdownException):
        executor.spin()


if __name__ == "__main__":
    main()
