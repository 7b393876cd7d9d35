"""From files and a command line to a plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.runtime.bus.afar import AfarRule
from olympus.runtime.config import Session
from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.build import make_plan
from olympus.runtime.launch.hosts import HostRecipes
from olympus.runtime.launch.params import Params, effective_params
from olympus.runtime.launch.process import Fds

Write = Callable[..., Path]

PATROL = """\
arguments:
  speed: {default: 0.4, range: [0.0, 1.0], description: How fast it drives.}
  mode: {default: day, choices: [day, night]}
  record: true
namespace: rover
nodes:
  world: {uses: olympus.sim.world_node, host: sim}
  camera:
    uses: olympus.nodes.camera
    host: sensors
    params: {source: "sim://front"}
    depends_on: [world]
  navigator:
    uses: olympus.nodes.navigator
    depends_on: [camera]
    params:
      speed_mps: ${speed}
      note: "at ${speed} m/s, ${mode}"
  recorder: {uses: olympus.nodes.recorder, enabled: record}
"""


def params(file: Path, *words: str, **late: str) -> dict[str, dict[str, object]]:
    found = effective_params(make_plan(file, words), {"broker.url": late.get("url", "")})
    return {node: dict(values) for node, values in found.items()}


def test_an_argument_keeps_its_type_when_it_is_the_whole_value(write: Write) -> None:
    found = params(write(PATROL), "speed:=0.7")["navigator"]
    assert found == {"speed_mps": 0.7, "note": "at 0.7 m/s, day"}


def test_a_whole_number_is_fine_for_an_argument_that_is_a_number(write: Write) -> None:
    speed = params(write(PATROL), "speed:=1")["navigator"]["speed_mps"]
    assert (type(speed), speed) == (float, 1.0)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("sped:=1", "unknown argument 'sped'; did you mean 'speed'?"),
        ("speed=1", r"did you mean 'speed:=1'\?"),
        ("speed:=3", "speed:=3.0 must be a number from 0 to 1"),
        ("speed:=fast", "speed:=fast is a text, but must be a number like its default 0.4"),
        ("mode:=dusk", "mode:=dusk is not allowed; choose one of: day, night"),
        ("camra.source:=x", "did you mean 'camera.source'?"),
        ("record:=1", "must be true or false"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_refused_with_the_way_out(
    write: Write, word: str, told: str
) -> None:
    with pytest.raises(LaunchError, match=told):
        make_plan(write(PATROL), [word])


def test_any_param_of_any_node_can_be_set_on_the_command_line(write: Write) -> None:
    found = params(write(PATROL), "camera.source:=clip.mp4", "navigator.gain:=2")
    assert found["camera"]["source"] == "clip.mp4"
    assert found["navigator"]["gain"] == 2


def test_a_dotted_param_reaches_into_a_mapping(write: Write) -> None:
    text = "nodes: {iot: {uses: x, params: {map: {t: {unit: K, low: 1}}}}}\n"
    found = params(write(text), "iot.map.t.unit:=C")
    assert found["iot"] == {"map": {"t": {"unit": "C", "low": 1}}}


def test_a_typed_relative_path_starts_from_the_current_directory(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = params(write(PATROL), "camera.source:=../media/x.mp4")
    assert found["camera"]["source"] == str(tmp_path / "media/x.mp4")


def test_a_written_relative_path_starts_from_the_launch_file(write: Write, tmp_path: Path) -> None:
    text = "nodes: {camera: {uses: x, params: {source: ../media/x.mp4}}}\n"
    found = params(write(text, "launch/robot.yaml"))
    assert found["camera"]["source"] == str(tmp_path / "media/x.mp4")


def test_command_line_beats_params_file_beats_launch_file(write: Write) -> None:
    write("navigator: {a: file, b: file, c: file}\n", "tuned.yaml")
    text = (
        "params_file: tuned.yaml\n"
        "nodes: {navigator: {uses: x, params: {a: launch, b: launch, d: launch}}}\n"
    )
    found = params(write(text), "navigator.a:=typed")
    assert found["navigator"] == {"a": "typed", "b": "file", "c": "file", "d": "launch"}


def test_a_typed_params_file_lies_over_the_written_one(write: Write) -> None:
    write("navigator: {a: 1, b: 1}\n", "one.yaml")
    two = write("navigator: {a: 2}\n", "two.yaml")
    text = "params_file: one.yaml\nnodes: {navigator: {uses: x}}\n"
    found = params(write(text), f"params_file:={two}")
    assert found["navigator"] == {"a": 2, "b": 1}


def test_a_params_file_that_names_an_unknown_node_is_refused_with_its_line(write: Write) -> None:
    write("# tuned\nnavigater: {a: 1}\n", "tuned.yaml")
    plan = make_plan(write("params_file: tuned.yaml\nnodes: {navigator: {uses: x}}\n"))
    with pytest.raises(LaunchError, match=r"tuned.yaml:2: no node .* did you mean 'navigator'"):
        effective_params(plan, {})


def test_an_unknown_key_names_its_line_and_the_key_that_was_meant(write: Write) -> None:
    file = write("nodes:\n  camera:\n    uses: x\n    depend_on: [a]\n")
    told = (
        r"robot.yaml:4: nodes.camera.depend_on: unknown key 'depend_on'; did you mean 'depends_on'"
    )
    with pytest.raises(LaunchError, match=told):
        make_plan(file)


def test_a_value_out_of_range_names_its_line_and_the_value(write: Write) -> None:
    file = write("hosts:\n  control:\n    nice: 44\nnodes: {}\n")
    with pytest.raises(LaunchError, match=r"robot.yaml:3: hosts.control.nice: .*19.* 44"):
        make_plan(file)


def test_a_node_switched_off_takes_its_dependency_edges_with_it(write: Write) -> None:
    text = PATROL + "  viewer: {uses: olympus.nodes.viewer, depends_on: [recorder]}\n"
    plan = make_plan(write(text), ["record:=false"])
    assert "recorder" not in plan.nodes
    assert plan.nodes["viewer"].depends_on == ()
    with pytest.raises(LaunchError, match="switched off"):
        make_plan(write(text), ["record:=false", "recorder.path:=x"])


def test_hosts_come_in_dependency_order_and_default_to_the_nodes_own_name(write: Write) -> None:
    text = """\
hosts:
  control: {nodes: [drive], nice: -5}
  sensors: {cpu_affinity: [0]}
nodes:
  drive: {uses: x, depends_on: [camera]}
  camera: {uses: x, host: sensors}
  viewer: {uses: x}
"""
    plan = make_plan(write(text))
    assert list(plan.hosts) == ["sensors", "control", "viewer"]
    assert plan.hosts["control"].depends_on == ("sensors",)
    assert plan.hosts["control"].settings.nice == -5


def test_a_circle_of_nodes_is_printed(write: Write) -> None:
    text = "nodes:\n" + "".join(
        f"  {a}: {{uses: x, depends_on: [{b}]}}\n" for a, b in zip("abcd", "bcaa", strict=True)
    )
    with pytest.raises(LaunchError, match="a -> b -> c -> a"):
        make_plan(write(text))


def test_a_circle_of_hosts_is_printed_even_when_the_nodes_have_none(write: Write) -> None:
    text = """\
nodes:
  a: {uses: x, host: one}
  b: {uses: x, host: two, depends_on: [a]}
  c: {uses: x, host: one, depends_on: [b]}
"""
    with pytest.raises(LaunchError, match=r"hosts wait for each other: one -> two -> one"):
        make_plan(write(text))


def test_names_that_do_not_exist_are_refused(write: Write) -> None:
    with pytest.raises(LaunchError, match="depends_on names 'b'"):
        make_plan(write("nodes: {a: {uses: x, depends_on: [b]}}\n"))
    with pytest.raises(LaunchError, match=r"safety.watch names host 'contrl'; did you mean"):
        make_plan(write("safety: {watch: {contrl: 0.3}}\nnodes: {a: {uses: x, host: control}}\n"))
    with pytest.raises(LaunchError, match=r"robot.yaml:1: \$\{sped\} .* did you mean 'speed'"):
        make_plan(write('nodes: {a: {uses: x, params: {v: "${sped}"}}}\narguments: {speed: 1}\n'))


def test_includes_pass_arguments_and_put_nodes_under_a_namespace(write: Write) -> None:
    write(PATROL, "parts/patrol.yaml")
    text = """\
arguments: {pace: 0.2}
include:
  - {file: parts/patrol.yaml, namespace: left, arguments: {speed: "${pace}"}}
  - {file: parts/patrol.yaml, namespace: right}
nodes:
  right/camera: {params: {source: "sim://rear"}}
  overview: {uses: x, depends_on: [left/camera]}
"""
    plan = make_plan(write(text), ["pace:=0.3", "right/navigator.speed_mps:=0.9"])
    found = effective_params(plan, {})
    assert found["left/navigator"]["speed_mps"] == 0.3
    assert found["right/navigator"]["speed_mps"] == 0.9
    assert found["right/camera"]["source"] == "sim://rear"
    assert plan.nodes["left/camera"].depends_on == ("left/world",)
    assert plan.nodes["left/camera"].namespace == "left"
    assert plan.nodes["left/camera"].host == "left.sensors"


def test_an_include_without_a_namespace_can_be_refined_and_keeps_its_own(write: Write) -> None:
    write(PATROL, "patrol.yaml")
    text = "include: [patrol.yaml]\nnodes:\n  recorder: {enabled: false}\n"
    plan = make_plan(write(text))
    assert "recorder" not in plan.nodes
    assert plan.nodes["camera"].namespace == "rover"


def test_a_refined_node_stays_on_or_off_by_the_condition_of_its_own_file(write: Write) -> None:
    inner = "nodes: {a: {uses: x, enabled: extra, params: {n: 1}}}\n"
    write("arguments: {extra: {default: true}}\n" + inner, "inner.yaml")
    outer = write("include: [inner.yaml]\nnodes: {a: {params: {n: 2}}}\n")
    assert effective_params(make_plan(outer), {})["a"] == {"n": 2}
    assert "a" not in make_plan(outer, ["extra:=false"]).nodes


def test_files_that_include_each_other_are_printed(write: Write, tmp_path: Path) -> None:
    write("include: [b.yaml]\n", "a.yaml")
    write("include: [{file: a.yaml}]\n", "b.yaml")
    with pytest.raises(LaunchError, match=r"a.yaml -> .*b.yaml -> .*a.yaml"):
        make_plan(tmp_path / "a.yaml")


def test_the_environment_and_defaults_are_put_in(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBOT", "r2")
    text = 'nodes: {a: {uses: x, params: {n: "${env:ROBOT}", m: "${env:NO_SUCH,none}"}}}\n'
    assert params(write(text))["a"] == {"n": "r2", "m": "none"}
    with pytest.raises(LaunchError, match="environment has no 'NO_SUCH'"):
        make_plan(write('nodes: {a: {uses: x, params: {n: "${env:NO_SUCH}"}}}\n'))


def test_a_broker_is_planned_when_somebody_uses_its_url(write: Write) -> None:
    assert make_plan(write("nodes: {a: {uses: x}}\n")).broker is None
    file = write('nodes: {a: {uses: x, params: {url: "${broker.url}"}}}\n')
    broker = make_plan(file).broker
    assert broker is not None
    assert broker.is_ours
    assert params(file, url="mqtt://127.0.0.1:9")["a"]["url"] == "mqtt://127.0.0.1:9"


def test_a_doubled_dollar_is_a_plain_one(write: Write) -> None:
    text = 'nodes: {a: {uses: x, params: {n: "$${broker.url}"}}}\n'
    assert params(write(text))["a"] == {"n": "${broker.url}"}


def test_a_required_argument_is_asked_for(write: Write) -> None:
    text = "arguments: {site: {description: where it drives}}\nnodes: {}\n"
    with pytest.raises(LaunchError, match=r"'site' \(where it drives\) has no default"):
        make_plan(write(text))


def test_use_sim_time_needs_no_declaration(write: Write) -> None:
    assert make_plan(write(PATROL), ["use_sim_time:=true"]).use_sim_time
    assert not make_plan(write(PATROL)).use_sim_time


def test_a_typed_argument_reaches_the_included_file_that_declares_it(write: Write) -> None:
    write(PATROL, "patrol.yaml")
    plan = make_plan(write("include: [patrol.yaml]\n"), ["speed:=0.9"])
    assert effective_params(plan, {})["navigator"]["speed_mps"] == 0.9
    with pytest.raises(LaunchError, match="did you mean 'speed'"):
        make_plan(write("include: [patrol.yaml]\n"), ["sped:=0.9"])
    with pytest.raises(LaunchError, match="unknown argument 'sped'; did you mean"):
        make_plan(write("include: [{file: patrol.yaml, arguments: {sped: 1}}]\n"))


def test_an_arguments_default_may_use_an_earlier_one(write: Write) -> None:
    text = """\
arguments: {site: lab, map: "./maps/${site}.png"}
nodes: {a: {uses: x, params: {map: "${map}"}}}
"""
    file = write(text)
    assert params(file, "site:=hall")["a"]["map"] == str(file.parent / "maps/hall.png")


def test_how_topics_go_to_other_machines_reaches_the_hosts(write: Write) -> None:
    text = PATROL + (
        "bus:\n  listen: [tcp/127.0.0.1:0]\n"
        "  topics: {rover/camera/image: {jpeg: 70, max_hz: 5, longest_px: 320}}\n"
    )
    plan = make_plan(write(text))
    rule = plan.bus.topics["rover/camera/image"].bare()
    assert rule == AfarRule(jpeg=70, max_hz=5, longest_px=320)


@pytest.mark.parametrize(
    ("bus", "problem"),
    [
        ("{listen: [tcp/a:1], topics: {r: {longest_px: 320}}}", "add jpeg"),
        ("{topics: {r: {max_hz: 5}}}", "add listen or connect"),
        ("{listen: [tcp/a:1], topics: {r: {max_hz: 0}}}", "greater than 0"),
        ("{listen: [tcp/a:1], topics: {r: {hz: 5}}}", "known: jpeg, longest_px, max_hz"),
        ("{listen: [tcp/a:1], topics: {'r//s': {max_hz: 5}}}", "topics"),
    ],
)
def test_a_wrong_way_to_other_machines_is_refused(write: Write, bus: str, problem: str) -> None:
    with pytest.raises(LaunchError, match=problem):
        make_plan(write(PATROL + f"bus: {bus}\n"))


def test_more_processes_than_a_machine_can_hold_are_refused(write: Write) -> None:
    nodes = [f"  n{number}: {{uses: olympus.nodes.camera}}" for number in range(251)]
    with pytest.raises(LaunchError, match=r"251 processes are too many.*'host: NAME'"):
        make_plan(write("\n".join(["nodes:", *nodes])))
    together = [line.replace("camera}", "camera, host: one}") for line in nodes]
    assert len(make_plan(write("\n".join(["nodes:", *together]))).nodes) == 251


WATCHED = """\
safety: {watch: {control: 0.3, perception: 0.8, launcher: 1.0}, priority: PRIORITY}
hosts:
  control: {nodes: [drive], SETTINGS}
  perception: {nodes: [detector]}
nodes:
  drive: {uses: olympus.nodes.drive}
  detector: {uses: olympus.nodes.detector}
  viewer: {uses: olympus.nodes.viewer}
"""


def urgencies(file: Path, *, is_granted: bool = True) -> dict[str, int | None]:
    session = Session(name="s", run_dir=Path("/run/s"), endpoint="e", clock_offset_ns=0, pid=1)
    plan = make_plan(file)
    params: dict[str, Params] = {name: {} for name in plan.nodes}
    recipes = HostRecipes(plan, session, params, is_guardian_urgent=is_granted)
    return {name: recipes.spec(host, Fds(1, 2), 0).urgency for name, host in plan.hosts.items()}


@pytest.mark.parametrize(
    ("priority", "settings", "is_granted", "control"),
    [
        (50, "", True, 10),
        (5, "", True, 4),  # never before the guardian
        (1, "", True, None),
        (0, "", True, None),
        (50, "realtime_priority: 0", True, None),
        (50, "realtime_priority: 30", True, 30),
        (50, "realtime_priority: 30", False, 0),  # the guardian was refused its own
        (50, "", False, 0),
        (50, "nice: 3", True, None),
    ],
)
def test_a_watched_hosts_loop_is_raised_below_the_guardian_unless_its_file_says_else(
    write: Write, priority: int, settings: str, is_granted: bool, control: int | None
) -> None:
    text = WATCHED.replace("PRIORITY", str(priority)).replace("SETTINGS", settings)
    found = urgencies(write(text), is_granted=is_granted)
    assert found == {"control": control, "perception": None, "viewer": None}


@pytest.mark.parametrize(("guardian", "host"), [(20, 20), (20, 21), (0, 1)])
def test_a_host_that_could_keep_the_guardian_from_looking_is_refused(
    write: Write, guardian: int, host: int
) -> None:
    text = WATCHED.replace("PRIORITY", str(guardian))
    with pytest.raises(LaunchError, match=r"not below the guardian's .* raise safety\.priority"):
        make_plan(write(text.replace("SETTINGS", f"realtime_priority: {host}")))
