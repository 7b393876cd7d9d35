"""The README's examples are run as they stand there."""

import importlib.util
import re
from pathlib import Path

from olympus.runtime.launch.run import check_launch
from olympus.runtime.messages import Percept, Twist
from olympus.runtime.node.testing import running

ROOT = Path(__file__).parent.parent


def block(kind: str) -> str:
    found = re.findall(rf"```{kind}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(found) == 1
    return str(found[0])


async def test_the_node_turns_away_from_a_person(tmp_path: Path) -> None:
    file = tmp_path / "shy.py"
    file.write_text(block("python"))
    spec = importlib.util.spec_from_file_location("shy", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    async with running(module.Shy) as bench:
        for bearing, expected in ((0.3, -0.5), (-0.3, 0.5)):
            await bench.send(
                "percepts",
                Percept(kind="object", label="person", confidence=0.9, bearing_rad=bearing),
            )
            twist = await bench.receive("cmd_vel")
            assert isinstance(twist, Twist)
            assert twist.angular_radps == expected


def test_the_node_is_at_most_twenty_lines() -> None:
    lines = [line for line in block("python").splitlines() if line.strip()]
    assert len(lines) <= 20


def test_its_launch_file_would_start(tmp_path: Path) -> None:
    (tmp_path / "shy.py").write_text(block("python"))
    (tmp_path / "shy.yaml").write_text(block("yaml"))
    (tmp_path / "launch").symlink_to(ROOT / "launch")
    checked = check_launch(tmp_path / "shy.yaml")
    assert checked.problems == ()
    assert not [note for note in checked.notes if "nobody here publishes" in note]
    assert "shy" in checked.plan.nodes
    assert checked.plan.nodes["shy"].namespace == "rover"
    assert "navigator" not in checked.plan.nodes
