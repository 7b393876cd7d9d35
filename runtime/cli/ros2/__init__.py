"""`olympus ros2`: look into a ROS 2 graph, and speak in it, without ROS."""

from __future__ import annotations

import typer

from olympus.runtime.cli.ros2 import action, bag, interface, node, router, service, topic
from olympus.runtime.cli.ros2.joined import choose

app = typer.Typer(no_args_is_help=True)
app.callback(help=(choose.__doc__ or "").partition("\n")[0])(choose)
for _name, _group in (
    ("topic", topic.app),
    ("node", node.app),
    ("service", service.app),
    ("action", action.app),
    ("interface", interface.app),
    ("bag", bag.app),
):
    app.add_typer(_group, name=_name)
app.command()(router.router)
