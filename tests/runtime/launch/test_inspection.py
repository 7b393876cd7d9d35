"""Who looks at the node classes: forked from the nursery where there is one, else executed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.forking import NURSERY
from olympus.runtime.launch.looking import MODULE
from olympus.runtime.launch.testing import Launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

NODE = """
import os, sys
from pathlib import Path
from olympus.runtime.node import Node

class Probe(Node):
    pass

def layout():
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next(line.partition("-")[0] for line in lines if line.endswith("[vdso]"))

print("printed while it is imported")
words = " ".join(Path("/proc/self/cmdline").read_text().split("\\0"))
here = Path(__file__).parent
end = sys.stdin.read() == ""
with (here / "imports").open("a") as file:
    file.write(f"{layout()} {os.getsid(0) == os.getpid()} {end} {words}\\n")
"""
ROBOT = """
name: robot
hosts: {one: {}, two: {}}
nodes:
  first: {uses: probe_node, host: one}
  second: {uses: probe_node, host: two}
"""


class Site:
    """A folder with a robot whose node tells who imported it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "probe_node.py").write_text(NODE)
        (folder / "robot.yaml").write_text(ROBOT)
        self.robot = Launched(folder / "robot.yaml", root=folder)

    def first_import(self) -> list[str]:
        """Return layout, whether it leads a session, whether its input has ended, its words."""
        return (self.folder / "imports").read_text().splitlines()[0].split(maxsplit=3)


@pytest.fixture
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        made = Site(Path(folder))
        yield made
        made.robot.stop()
        assert made.robot.left_behind == []


def nursery_layout(robot: Launched) -> str:
    lines = Path(f"/proc/{robot.pids()[NURSERY]}/maps").read_text().splitlines()
    return next(line.partition("-")[0] for line in lines if line.endswith("[vdso]"))


def test_who_looks_at_the_classes_is_forked_from_the_nursery(site: Site) -> None:
    with site.robot:
        site.robot.until_active()
        layout, leads, is_at_end, words = site.first_import()
        assert layout == nursery_layout(site.robot)
        assert leads == is_at_end == "True"
        assert f"-m {MODULE} {site.folder}" in words


def test_without_a_nursery_a_new_interpreter_looks_at_the_classes(site: Site) -> None:
    (site.folder / "robot.yaml").write_text(ROBOT.replace("{}", "{forked: false}"))
    with site.robot:
        site.robot.until_active()
        assert NURSERY not in site.robot.pids()
        _, leads, is_at_end, words = site.first_import()
        assert leads == is_at_end == "True"
        assert f"-m {MODULE} {site.folder}" in words


@pytest.mark.parametrize("hosts", ["{}", "{forked: false}"])
def test_a_module_that_ends_the_process_is_told_with_its_last_words(site: Site, hosts: str) -> None:
    (site.folder / "robot.yaml").write_text(ROBOT.replace("{}", hosts))
    (site.folder / "probe_node.py").write_text(
        "import os, sys\nprint('the shelf breaks', file=sys.stderr, flush=True)\nos._exit(3)\n"
    )
    with site.robot, pytest.raises(LaunchError, match="the launcher ended"):
        site.robot.until_active()
    assert "looking at the node classes failed" in site.robot.output
    assert "the shelf breaks" in site.robot.output
