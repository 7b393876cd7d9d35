from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.models.manifest import Times
from olympus.models.profile import Timing as Measurement
from olympus.models.profile import write_profile
from olympus.models.registry import Registry
from olympus.runtime.errors import ConfigError, LaunchError
from olympus.runtime.launch.build import make_plan
from olympus.runtime.launch.launcher import Options
from olympus.runtime.launch.run import check_launch, run_launch
from olympus.runtime.launch.timing import timing
from olympus.runtime.qos import Tier

PROFILES = """
board: toy
models:
  eye: {n: 2000, p50_ms: 4, p99_ms: 5, worst_ms: 6}
  ear: {n: 2000, p50_ms: 1, p99_ms: 1, worst_ms: 2}
  talk: {n: 50, p50_ms: 8, p99_ms: 9, worst_ms: 10}
"""
NODES = """
profiles: [toy.yaml]
hosts: {{brain: {{nodes: [look, hear, speak], resources: {{cpu: {resource}}}}}}}
nodes:
  look: {{uses: a, jobs: [{{model: eye, rate_hz: 20, deadline_ms: 30, tier: critical}}]}}
  hear: {{uses: a, jobs: [{{model: ear, rate_hz: 10, tier: high}}]}}
  speak: {{uses: a, jobs: [{{model: talk, rate_hz: 0.5, tier: low, steps: 40}}]}}
"""
Write = Callable[..., Path]


def launch_file(write: Write, resource: str = "{}", more: str = "") -> Path:
    write(PROFILES, "toy.yaml")
    return write(NODES.format(resource=resource) + more)


def test_each_job_gets_its_worst_response(write: Write) -> None:
    found = timing(make_plan(launch_file(write)), "toy")
    by_node = {row.node: row.verdict for row in found.rows}
    assert not found.problems
    assert by_node["look"].response_ns == 16_000_000  # one step of `talk` is under way
    assert by_node["hear"].task.tier is Tier.HIGH
    assert dict(found.loads) == pytest.approx({"brain/cpu": 0.12 + 0.02 + 0.2})
    assert any("only 50 runs" in note for note in found.notes)


def test_a_slower_board_is_a_guess_that_says_so(write: Write) -> None:
    found = timing(make_plan(launch_file(write)), "toy", scale=3.0)
    assert {row.profile.board for row in found.rows} == {"toy x 3"}
    assert "look: eye" in found.problems[0]
    assert found.impossible


def test_a_model_that_was_not_measured_on_the_board_is_named_with_the_way_out(write: Write) -> None:
    found = timing(make_plan(launch_file(write)), "pi5")
    assert len(found.problems) == 3
    assert "eye was not measured on 'pi5', only on: toy" in found.problems[0]
    assert "olympus models bench" in found.problems[0]


def test_shipped_models_bring_their_own_profiles(write: Write) -> None:
    node = "{uses: a, jobs: [{model: person-obstacle, rate_hz: 15}]}"
    found = timing(make_plan(write(f"nodes: {{look: {node}}}\n")), "x86-64")
    assert not found.problems
    assert found.memory_mb > 1
    assert found.rows[0].resource == "look/cpu"


def test_a_model_that_is_not_there_is_told_with_a_hint(write: Write) -> None:
    node = "{uses: a, jobs: [{model: person-obstacl, rate_hz: 15}]}"
    found = timing(make_plan(write(f"nodes: {{look: {node}}}\n")), "x86-64")
    (problem,) = found.problems
    assert "look: model 'person-obstacl' is not known" in problem
    assert "did you mean 'person-obstacle'" in problem


def test_what_bench_writes_is_read_by_the_analysis(write: Write) -> None:
    step = Times(n=900, p50_ms=0.5, p99_ms=1, worst_ms=2)
    out = write("board: toy\nmodels: {}\n", "toy.yaml")
    timings = {
        "eye": Measurement("1.0.0", 2000, 4, 5, 6, memory_mb=30),
        "ear": Measurement("1.0.0", 2000, 1, 1, 2, memory_mb=2),
        "talk": Measurement("1.0.0", 60, 8, 9, 10, step=step, tokens_per_s=900, memory_mb=200),
    }
    write_profile(out, "toy", timings)
    found = timing(make_plan(write(NODES.format(resource="{}"))), "toy")
    assert not found.problems
    by_node = {row.node: row.verdict for row in found.rows}
    assert by_node["look"].response_ns == 8_000_000  # behind one step, not behind a whole text
    assert by_node["speak"].task.cost_ns == 80_000_000
    assert found.memory_mb == 232


def test_memory_that_is_not_known_and_models_without_a_job_are_told(write: Write) -> None:
    kept = {"look": ["eye", "person-obstacle"], "hear": ["ear"], "speak": []}
    found = timing(make_plan(launch_file(write)), "toy", kept=kept)
    assert set(found.memory) == {("brain", "person-obstacle")}
    told = "\n".join(found.notes)
    assert "eye: its memory was not measured" in told
    assert "look keeps person-obstacle, but no job of host brain says how often" in told
    assert "look keeps eye" not in told


def test_a_profile_counts_for_a_model_that_is_named_by_its_folder(write: Write) -> None:
    found = Registry().find("person-obstacle").folder
    write(
        "board: toy\nmodels: {person-obstacle: {n: 200, p50_ms: 1, p99_ms: 2, worst_ms: 3}}",
        "toy.yaml",
    )
    node = f"{{uses: a, jobs: [{{model: {found}, rate_hz: 15}}]}}"
    fit = timing(make_plan(write(f"profiles: [toy.yaml]\nnodes: {{look: {node}}}\n")), "toy")
    assert not fit.problems
    assert fit.rows[0].profile.worst_ns == 3_000_000


def test_a_model_that_is_named_by_its_name_and_by_its_folder_is_one(write: Write) -> None:
    found = Registry().find("person-obstacle")
    look = f"{{uses: a, jobs: [{{model: {found.folder}, rate_hz: 15}}]}}"
    again = "{uses: a, jobs: [{model: person-obstacle, rate_hz: 1}]}"
    text = f"hosts: {{brain: {{nodes: [look, again]}}}}\nnodes: {{look: {look}, again: {again}}}\n"
    kept = {"look": [str(found.folder / "manifest.yaml")], "again": ["person-obstacle"]}
    fit = timing(make_plan(write(text)), "x86-64", kept=kept)
    assert len(fit.rows) == 2
    assert list(fit.memory.values()) == [found.manifest.memory_mb]
    assert not [note for note in fit.notes if "no job of host" in note]


def test_two_versions_of_a_model_in_a_host_are_two(write: Write, tmp_path: Path) -> None:
    found = Registry().find("person-obstacle")
    shutil.copytree(found.folder, tmp_path / "person-obstacle")
    node = "{uses: a, jobs: [{model: person-obstacle, rate_hz: 15}]}"
    kept = {"look": [str(tmp_path / "person-obstacle"), str(found.folder)]}
    fit = timing(make_plan(write(f"nodes: {{look: {node}}}\n")), "x86-64", kept=kept)
    assert list(fit.memory.values()) == [found.manifest.memory_mb] * 2


def test_a_resource_that_its_host_has_not_is_refused_with_a_hint(write: Write) -> None:
    write(PROFILES, "toy.yaml")
    job = "{model: eye, rate_hz: 1, resource: cup}"
    file = write(f"profiles: [toy.yaml]\nnodes: {{look: {{uses: a, jobs: [{job}]}}}}\n")
    with pytest.raises(ConfigError, match="did you mean 'cpu'"):
        timing(make_plan(file), "toy")


def test_guarantees_that_contradict_each_other_are_refused_by_line(write: Write) -> None:
    with pytest.raises(LaunchError, match="no less than the guarantee"):
        make_plan(launch_file(write, "{lanes: {low: {guarantee: 0.5, limit: 0.2}}}"))


def test_two_resources_on_one_core_are_noted(write: Write) -> None:
    write(PROFILES, "toy.yaml")
    text = """
profiles: [toy.yaml]
hosts: {a: {resources: {cpu: {cores: [1]}}}, b: {resources: {cpu: {cores: [1]}}}}
nodes: {x: {uses: a, host: a, jobs: [{model: eye, rate_hz: 1}]}, y: {uses: a, host: b}}
"""
    found = timing(make_plan(write(text)), "toy")
    assert any("core 1 is shared by a/cpu, b/cpu" in note for note in found.notes)


def test_a_launch_whose_critical_jobs_can_be_late_does_not_start(write: Write) -> None:
    file = launch_file(write, "{lanes: {low: {limit: 0.9}}}", "board: toy\n")
    run_timing = timing(make_plan(file), "toy")
    assert not run_timing.impossible  # a LOW job that can be late is no reason
    assert run_timing.problems
    slow = launch_file(write, more="board: toy\n")
    (slow.parent / "toy.yaml").write_text(PROFILES.replace("worst_ms: 6", "worst_ms: 60"))
    with pytest.raises(LaunchError, match=r"CRITICAL jobs can be late.*--overcommit"):
        run_launch(slow)
    with pytest.raises(LaunchError, match=r"looking at|uses"):  # it goes on to the next obstacle
        run_launch(slow, options=Options(overcommits=True))


@pytest.mark.parametrize(("lost", "whose"), [("eye", "look"), ("talk", "speak")])
def test_a_launch_whose_critical_jobs_nobody_measured_does_not_start(
    write: Write, lost: str, whose: str
) -> None:
    file = launch_file(write, more="board: toy\n")
    (file.parent / "toy.yaml").write_text(PROFILES.replace(f"  {lost}:", "  other:"))
    found = timing(make_plan(file), "toy")
    assert not found.impossible  # what is known of them is well
    (why,) = found.unjudged
    assert why.startswith(f"{whose}: ")
    with pytest.raises(LaunchError, match=rf"nobody knows.*{whose}: .*{lost}.*--overcommit"):
        run_launch(file)


def test_what_was_not_measured_is_no_reason_where_nothing_is_critical(write: Write) -> None:
    text = NODES.replace("tier: critical", "tier: high").format(resource="{}")
    write(PROFILES.replace("  eye:", "  other:"), "toy.yaml")
    found = timing(make_plan(write(text + "board: toy\n")), "toy")
    assert found.problems
    assert not found.unjudged


def test_resources_without_cores_are_told_where_several_have_jobs(write: Write) -> None:
    write(PROFILES, "toy.yaml")
    job = "jobs: [{model: eye, rate_hz: 1}]"
    text = f"""
profiles: [toy.yaml]
hosts: {{a: {{resources: {{cpu: {{cores: [1]}}}}}}, b: {{}}}}
nodes: {{x: {{uses: a, host: a, {job}}}, y: {{uses: a, host: b, {job}}}}}
"""
    found = timing(make_plan(write(text)), "toy")
    assert [note for note in found.notes if note.startswith("without `cores`: b/cpu;")]
    alone = text.replace(f", y: {{uses: a, host: b, {job}}}", "")
    assert not any("without" in note for note in timing(make_plan(write(alone)), "toy").notes)


def test_several_workers_without_cores_are_told_too(write: Write) -> None:
    write(PROFILES, "toy.yaml")
    text = """
profiles: [toy.yaml]
hosts: {a: {resources: {cpu: {workers: 8}}}}
nodes: {x: {uses: a, host: a, jobs: [{model: eye, rate_hz: 1}]}}
"""
    found = timing(make_plan(write(text)), "toy")
    assert [note for note in found.notes if note.startswith("without `cores`: a/cpu;")]


def test_workers_that_share_a_core_are_no_promise(write: Write) -> None:
    write(PROFILES, "toy.yaml")
    text = """
profiles: [toy.yaml]
hosts: {a: {resources: {cpu: {workers: 8, cores: [1]}}}}
nodes: {x: {uses: a, host: a, jobs: [{model: eye, rate_hz: 1, tier: critical}]}}
"""
    (why,) = timing(make_plan(write(text)), "toy").impossible
    assert "8 workers share one core" in why


def test_a_language_model_whose_steps_nobody_counted_is_not_taken_for_one_step(
    write: Write,
) -> None:
    """One of its steps takes 2 ms, a text a second."""
    write("board: toy\nmodels: {}\n", "toy.yaml")
    job = "jobs: [{model: planner, rate_hz: 5, tier: critical MORE}]"
    text = f"nodes: {{talk: {{uses: a, {job}}}}}\n"
    found = timing(make_plan(write(text.replace(" MORE", ""))), "x86-64")
    (problem,) = found.problems
    assert "talk: planner answers in many steps; give its job `steps: N`" in problem
    assert found.unjudged == (problem,)
    assert not found.rows
    counted = timing(make_plan(write(text.replace(" MORE", ", steps: 20"))), "x86-64")
    assert counted.rows[0].verdict.task.cost_ns == 20 * counted.rows[0].profile.worst_ns


@pytest.mark.parametrize("version", ["0.0.9", ""])
def test_a_profile_of_another_version_counts_for_nothing(write: Write, version: str) -> None:
    entry = "{n: 200, p50_ms: 1, p99_ms: 2, worst_ms: 3, memory_mb: 999"
    more = f", version: {version}" if version else ""
    write(f"board: toy\nmodels: {{person-obstacle: {entry}{more}}}}}\n", "toy.yaml")
    node = "{uses: a, jobs: [{model: person-obstacle, rate_hz: 15, tier: critical}]}"
    found = timing(make_plan(write(f"profiles: [toy.yaml]\nnodes: {{look: {node}}}\n")), "toy")
    if not version:  # written by hand: nothing says that it is of another one
        assert not found.problems
        return
    (problem,) = found.problems
    here = Registry().find("person-obstacle").manifest.version
    assert f"its profile is of version 0.0.9, used here is {here}" in problem
    assert found.unjudged
    assert 999 not in found.memory.values()


@pytest.mark.parametrize("tier", ["critical", "high"])
def test_a_critical_job_on_a_core_that_others_compute_on_too_is_not_vouched_for(
    write: Write, tier: str
) -> None:
    write(PROFILES, "toy.yaml")
    text = f"""
profiles: [toy.yaml]
hosts: {{a: {{resources: {{cpu: {{cores: [1]}}}}}}, b: {{resources: {{cpu: {{cores: [0, 1]}}}}}}}}
nodes:
  x: {{uses: a, host: a, jobs: [{{model: eye, rate_hz: 1, tier: {tier}}}]}}
  y: {{uses: a, host: b, jobs: [{{model: talk, rate_hz: 1, tier: low}}]}}
"""
    found = timing(make_plan(write(text)), "toy")
    told = [one for one in found.problems if "core 1 is shared by a/cpu, b/cpu" in one]
    assert len(told) == (tier == "critical")
    assert list(found.unjudged) == told
    alone = text.replace(", jobs: [{model: talk, rate_hz: 1, tier: low}]", "")
    assert not timing(make_plan(write(alone)), "toy").problems


def test_a_launch_whose_critical_job_counts_where_nothing_computes_does_not_start(
    write: Write,
) -> None:
    """The check said so, and the launcher, which looks at the classes as well, started it."""
    job = "jobs: [{model: person-obstacle, rate_hz: 5, tier: critical}]"
    text = f"""
board: x86-64
hosts: {{eyes: {{nodes: [look], forked: false}}, models: {{nodes: [models], forked: false}}}}
nodes:
  look: {{uses: olympus.nodes.detector, params: {{model_host: models}}, {job}}}
  models: {{uses: olympus.nodes.model_host, params: {{models: [person-obstacle]}}}}
"""
    file = write(text)
    checked = check_launch(file)
    kept = {finding.id: finding.models for finding in checked.findings}
    (why,) = timing(checked.plan, "x86-64", kept=kept).unjudged
    assert "look: its job of person-obstacle counts on eyes/cpu, but models keeps that" in why
    with pytest.raises(LaunchError, match=r"nobody knows.*write the job there.*--overcommit"):
        run_launch(file, options=Options(duration_s=0.1))


def test_a_job_at_a_node_that_has_a_model_host_run_it_is_told(write: Write) -> None:
    """It counted where nothing computes, and was left out where it does."""
    write(PROFILES, "toy.yaml")
    text = """
profiles: [toy.yaml]
hosts: {a: {nodes: [look, hear]}, b: {nodes: [models]}}
nodes:
  look: {uses: a, jobs: [{model: eye, rate_hz: 1, tier: critical}]}
  hear: {uses: a, jobs: [{model: ear, rate_hz: 1}]}
  models: {uses: a}
"""
    plan = make_plan(write(text))
    found = timing(plan, "toy", kept={"look": [], "hear": ["ear"], "models": ["eye", "ear"]})
    (problem,) = found.problems
    assert "look: its job of eye counts on a/cpu, but models keeps that model in host b" in problem
    assert found.unjudged == (problem,)
    both = timing(plan, "toy", kept={"look": ["eye"], "hear": ["ear"], "models": ["eye", "ear"]})
    assert not both.problems
