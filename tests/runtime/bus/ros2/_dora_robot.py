"""A robot on dora's ROS 2 bridge, which speaks rmw_zenoh's wire too, and without a line of ours.

python _dora_robot.py COMPATIBILITY ZENOH-CONFIGURATION
"""

from __future__ import annotations

import os
import sys
import time
import warnings

import pyarrow
from dora import Ros2Context, Ros2NodeOptions, Ros2QosPolicies, Ros2Transport


def main(compatibility: str, configuration: str) -> None:
    """Count on /dora, repeat on /echo what comes on /ours, and serve /switch."""
    warnings.simplefilter("ignore", UserWarning)  # it says of itself that it is unstable
    transport = Ros2Transport.zenoh(compatibility, configuration)
    context = Ros2Context(transport=transport, domain_id=0)  # its graph closes with it
    node = context.new_node("robot", "/dora", Ros2NodeOptions())
    qos = Ros2QosPolicies(reliable=True, keep_last=10)
    count, echo = (
        node.create_publisher(node.create_topic(name, "std_msgs/String", qos), qos)
        for name in ("/dora", "/echo")
    )
    ours = node.create_subscription(node.create_topic("/ours", "std_msgs/String", qos), qos)
    switch = node.create_service_server("/switch", "std_srvs/SetBool", qos)
    number = 0
    while os.getppid() != 1:
        number += 1
        count.publish(pyarrow.array([{"data": f"hello {number}"}]))
        while (heard := ours.next()) is not None:
            echo.publish(heard)
        if (asked := switch.take_request(timeout_s=0.02)) is not None:
            name, value = asked
            is_on = value[0].as_py()["data"]
            answer = {"success": is_on, "message": "from dora"}
            switch.send_response(name, pyarrow.array([answer]))
        time.sleep(0.01)


if __name__ == "__main__":
    main(*sys.argv[1:])
