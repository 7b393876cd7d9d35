from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from olympus.models import llama_native
from olympus.models.answers import AnswerCache, key_of
from olympus.models.breaker import Admission, Breaker, Tolerance
from olympus.models.budgets import ACCOUNTS, SPANS, Budget, BudgetError, Cost, Ledger
from olympus.models.llama import LlamaModel
from olympus.models.registry import Registry
from olympus.models.remote import Endpoint
from olympus.models.router import Router, RouterRules
from olympus.models.swap import load
from olympus.runtime.errors import ConfigError, ModelError

needs_llama = pytest.mark.skipif(bool(llama_native.missing()), reason=llama_native.missing())
PICTURE = {"image": np.zeros((1, 120, 160, 3), np.uint8)}
S = 1_000_000_000


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns

    def forward(self, seconds: float) -> None:
        self.ns += round(seconds * S)


def rules(candidates: list[str], **more: Any) -> RouterRules:
    task = {name: more.pop(name) for name in ("failures", "slow_ms", "rest_s") if name in more}
    return RouterRules.model_validate(
        {"tasks": {"detect": {"candidates": candidates, **task}}, **more}
    )


def broken(tmp_path: Path, name: str = "broken") -> str:
    """Copy the detector and change a byte of it."""
    source = Registry().find("person-obstacle")
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    data = bytearray(source.read())
    data[100] ^= 1
    (folder / source.manifest.model_file.path).write_bytes(data)
    (folder / "manifest.yaml").write_text((source.folder / "manifest.yaml").read_text())
    return str(folder)


def mend(folder: str) -> None:
    source = Registry().find("person-obstacle")
    (Path(folder) / source.manifest.model_file.path).write_bytes(source.read())


def test_the_first_candidate_serves() -> None:
    routed = Router(rules(["person-obstacle"])).call("detect", PICTURE, caller="test")
    assert routed.model == "person-obstacle"
    assert routed.value["logits"].shape == (1, 15, 20, 3)
    assert not routed.is_cached
    assert routed.passed_over == {}


def test_a_failing_model_is_passed_over_left_alone_and_comes_back(tmp_path: Path) -> None:
    watch, bad = Watch(), broken(tmp_path)
    router = Router(rules([bad, "person-obstacle"], failures=2, rest_s=10), now_ns=watch)
    for _ in range(2):
        routed = router.call("detect", PICTURE, caller="test")
        assert routed.model == "person-obstacle"
        assert "sha256" in routed.passed_over[bad]
    assert router.state("detect")[bad] == "open"
    assert "circuit is open" in router.call("detect", PICTURE, caller="test").passed_over[bad]
    watch.forward(11)
    assert router.state("detect")[bad] == "half-open"
    assert "sha256" in router.call("detect", PICTURE, caller="test").passed_over[bad]  # a probe
    assert router.state("detect")[bad] == "open"
    watch.forward(11)
    mend(bad)
    assert router.call("detect", PICTURE, caller="test").model == bad
    assert router.state("detect")[bad] == "closed"


@needs_llama
@pytest.mark.parametrize(
    ("model", "wrong", "right"),
    [
        ("person-obstacle", {"image": np.zeros((1, 12, 16, 3), np.uint8)}, PICTURE),
        ("person-obstacle", {"picture": PICTURE["image"]}, PICTURE),
        ("planner", {"prompt": "go", "max_token": 3}, {"prompt": "go", "max_tokens": 3}),
    ],
)
def test_who_asks_wrongly_opens_no_circuit(
    model: str, wrong: dict[str, Any], right: dict[str, Any]
) -> None:
    router = Router(rules([model], failures=1))
    for _ in range(3):
        with pytest.raises(ModelError, match=rf"no model serves it: {model}: model {model}: "):
            router.call("detect", wrong, caller="clumsy")
    assert router.state("detect") == {model: "closed"}
    assert router.call("detect", right, caller="other").model == model
    router.close()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_who_asks_about_no_number_opens_no_circuit(
    make_model: Callable[..., Path], bad: float
) -> None:
    model = str(make_model())
    router = Router(rules([model], failures=1))
    x = np.ones((2, 4), np.float32)
    wrong = x.copy()
    wrong[1, 3] = bad
    for _ in range(2):
        with pytest.raises(ModelError, match="input x holds NaN or infinity"):
            router.call("detect", {"x": wrong}, caller="clumsy")
    assert router.call("detect", {"x": x}, caller="other").model == model


@needs_llama
def test_a_grammar_that_leaves_no_way_on_opens_no_circuit() -> None:
    router = Router(rules(["planner"], failures=1))
    dead = 'root ::= "go " name\nname ::= "\\x00"'
    for _ in range(2):
        with pytest.raises(ModelError, match=r"no model serves it: planner: .*no way on"):
            router.call("detect", {"prompt": "go", "grammar": dead}, caller="clumsy")
    assert router.call("detect", {"prompt": "go", "max_tokens": 1}, caller="other")
    router.close()


@needs_llama
def test_a_model_that_has_its_hands_full_is_passed_over_and_not_blamed() -> None:
    model = load(Registry().find("planner"))
    assert isinstance(model, LlamaModel)
    router = Router(rules(["planner"], failures=1), models=lambda _: model)
    texts = [
        next(router.routing("detect", {"prompt": "go"}, caller="x"))
        for _ in range(len(model.places))
    ]
    for text in texts:
        text.step()
    for _ in range(2):
        with pytest.raises(ModelError, match="generations are under way already"):
            router.call("detect", {"prompt": "go"}, caller="y")
    texts.pop().close()
    assert router.call("detect", {"prompt": "go", "max_tokens": 1}, caller="y")
    for text in texts:
        text.close()
    model.close()


def test_a_slow_model_is_left_alone_though_its_answer_is_given() -> None:
    router = Router(rules(["person-obstacle"], failures=1, slow_ms=1e-6))
    assert router.call("detect", PICTURE, caller="test").model == "person-obstacle"
    assert router.state("detect") == {"person-obstacle": "open"}
    with pytest.raises(
        ModelError, match="no model serves it: person-obstacle: its circuit is open"
    ):
        router.call("detect", PICTURE, caller="test")


def let_through(breaker: Breaker) -> Admission:
    admission = breaker.admit()
    assert admission is not None
    return admission


def test_half_open_only_one_call_probes() -> None:
    watch = Watch()
    breaker = Breaker(Tolerance(failures=1, rest_s=5), watch)
    let_through(breaker).failed()
    assert not breaker.admit()
    watch.forward(5)
    probe = let_through(breaker)
    assert not breaker.admit()
    probe.given_up()
    probe = let_through(breaker)
    probe.succeeded(1.0)
    assert breaker.admit() and breaker.admit()


@pytest.mark.parametrize("ending", ["succeeded", "failed", "given_up"])
def test_a_call_from_before_the_circuit_opened_lets_no_second_probe_through(ending: str) -> None:
    watch = Watch()
    breaker = Breaker(Tolerance(failures=1, rest_s=5), watch)
    older = let_through(breaker)
    let_through(breaker).failed()
    watch.forward(5)
    probe = let_through(breaker)
    {
        "succeeded": lambda: older.succeeded(1.0),
        "failed": older.failed,
        "given_up": older.given_up,
    }[ending]()
    assert breaker.state == "half-open"
    assert not breaker.admit()
    probe.succeeded(1.0)
    assert breaker.admit() and breaker.admit()


def test_a_probe_that_was_given_up_does_not_end_the_next_one_and_may_yet_close_the_circuit() -> (
    None
):
    watch = Watch()
    breaker = Breaker(Tolerance(failures=1, rest_s=5), watch)
    let_through(breaker).failed()
    watch.forward(5)
    first = let_through(breaker)
    first.given_up()
    second = let_through(breaker)
    first.given_up()
    assert not breaker.admit()
    first.succeeded(1.0)
    assert breaker.state == "closed"
    second.failed()  # of a circuit that is closed since
    assert breaker.state == "closed"


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'detect'"):
        Router(rules(["person-obstacle"])).call("detec", PICTURE, caller="test")


@pytest.mark.parametrize("what", ["tokens", "ms", "joules", "money"])
def test_a_budget_ends_and_comes_again(what: str) -> None:
    watch = Watch()
    ledger = Ledger({"a": Budget(**{what: 10.0, "window_s": 60.0}), "*": Budget()}, watch)
    ledger.check("a")
    ledger.note("a", Cost(**{what: 10.0}))
    watch.forward(20)
    with pytest.raises(ModelError, match=f"caller a: 10 of 10 {what} are spent.* in 40 s"):
        ledger.check("a")
    ledger.check("b")
    watch.forward(41)
    ledger.check("a")
    assert ledger.spent("a") == Cost()


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 10)), max_size=60))
def test_what_was_spent_in_the_window_is_never_told_too_low_and_hardly_ever_too_high(
    calls: list[tuple[float, float]],
) -> None:
    watch = Watch()
    ledger = Ledger({"*": Budget(window_s=60.0)}, watch)
    noted: list[tuple[int, float]] = []
    for pause_s, ms in calls:
        watch.forward(pause_s)
        ledger.note("a", Cost(ms=ms))
        noted.append((watch.ns, ms))
        least, most = (
            sum(ms for at, ms in noted if watch.ns - at < window_s * S)
            for window_s in (60.0, 60.0 * (1 + 1 / SPANS))
        )
        assert least - 1e-6 <= ledger.spent("a").ms <= most + 1e-6


def test_a_hundred_thousand_calls_are_counted_in_little_room() -> None:
    watch = Watch()
    ledger = Ledger({}, watch)
    for _ in range(100_000):
        watch.forward(1)
        ledger.note("a", Cost(tokens=1))
    assert len(ledger._accounts["a"].spans) <= 100_000 / 86400 * SPANS + 2
    assert 86400 <= ledger.spent("a").tokens <= 86400 * (1 + 1 / SPANS) + 1
    assert len(ledger._accounts["a"].spans) <= SPANS + 2


def test_callers_without_a_budget_of_their_own_are_kept_in_little_room() -> None:
    watch = Watch()
    ledger = Ledger({"a": Budget(ms=1.0), "*": Budget(ms=10.0)}, watch)
    for name in ("a", "idle", "busy"):
        ledger.note(name, Cost(ms=5))
    with ledger.held("waits", Cost(ms=7)):
        for i in range(10 * ACCOUNTS):
            watch.forward(0.001)
            ledger.note(f"made up {i}", Cost(ms=10))
            if not i % 100:
                ledger.note("busy", Cost(ms=1))
        assert len(ledger._accounts) <= ACCOUNTS + 2
        ledger.note("waits", Cost(ms=4))
        with pytest.raises(BudgetError, match="4 of 10 ms are spent and 7 held"):
            ledger.check("waits")
    with pytest.raises(BudgetError, match="caller a: 5 of 1 ms"):
        ledger.check("a")
    with pytest.raises(BudgetError, match="caller busy"):
        ledger.check("busy")
    with pytest.raises(BudgetError, match=f"caller made up {10 * ACCOUNTS - 1}"):
        ledger.check(f"made up {10 * ACCOUNTS - 1}")
    assert ledger.spent("idle") == Cost()


@pytest.mark.parametrize("nbytes", [0, 100, 4096, 10_000])
def test_a_memory_of_answers_that_was_cut_off_begins_anew(
    tmp_path: Path, make_model: Callable[..., Path], nbytes: int
) -> None:
    wanted, x = rules([str(make_model())], cache_ttl_s=60), {"x": np.ones((4000, 4), np.float32)}
    router = Router(wanted, cache=tmp_path / "cache")
    router.call("detect", x, caller="x")
    router.close()
    with (tmp_path / "cache" / "data.mdb").open("r+b") as file:
        file.truncate(nbytes)
    router = Router(wanted, cache=tmp_path / "cache")
    assert [router.call("detect", x, caller="x").is_cached for _ in range(2)] == [False, True]
    router.close()


def test_models_serve_without_a_memory_that_can_not_be_opened(
    tmp_path: Path, make_model: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("in the way")
    wanted = rules([str(make_model())], cache_ttl_s=60)
    router = Router(wanted, cache=tmp_path / "cache")
    (told,) = caplog.messages
    assert "no answer is remembered" in told and str(tmp_path / "cache") in told
    for _ in range(2):
        x = {"x": np.ones((1, 4), np.float32)}
        assert not router.call("detect", x, caller="x").is_cached
    router.close()


def test_an_answer_too_big_to_be_remembered_is_given(
    tmp_path: Path, make_model: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    big = {"x": np.ones((2**22 + 1, 4), np.float32)}  # more than the whole memory of answers
    router = Router(rules([str(make_model())], cache_ttl_s=60), cache=tmp_path / "cache")
    for times in (1, 2):
        routed = router.call("detect", big, caller="x")
        assert not routed.is_cached
        assert routed.value["y"].shape == big["x"].shape
        assert f"({times} so far)" in caplog.messages[-1]
    small = {"x": np.ones((1, 4), np.float32)}
    assert not router.call("detect", small, caller="x").is_cached
    assert router.call("detect", small, caller="x").is_cached
    assert len(caplog.messages) == 2
    router.close()


def test_time_energy_and_callers_are_accounted_for() -> None:
    energy = iter(float(i) for i in range(0, 1000, 5))
    router = Router(
        rules(["person-obstacle"], budgets={"x": {"joules": 4}}), joules=lambda: next(energy)
    )
    router.call("detect", PICTURE, caller="x")
    assert router.spent("x").ms > 0
    assert router.spent("x").joules == 5
    with pytest.raises(ModelError, match="caller x: 5 of 4 joules"):
        router.call("detect", PICTURE, caller="x")
    router.call("detect", PICTURE, caller="y")


def test_the_same_question_is_answered_from_memory_until_it_is_old(tmp_path: Path) -> None:
    watch = Watch()
    router = Router(
        rules(["person-obstacle"], cache_ttl_s=60), cache=tmp_path / "cache", now_ns=watch
    )
    first = router.call("detect", PICTURE, caller="test")
    again = router.call("detect", PICTURE, caller="test")
    assert (first.is_cached, again.is_cached) == (False, True)
    for name, array in first.value.items():
        assert np.array_equal(again.value[name], array)
    other = {"image": np.ones((1, 120, 160, 3), np.uint8)}
    assert not router.call("detect", other, caller="test").is_cached
    watch.forward(61)
    assert not router.call("detect", PICTURE, caller="test").is_cached
    router.close()


@pytest.mark.parametrize(
    "damage", [b"", b"\xc1", b"\x81\xa9__array__\xa3<f4", b"\x81\xa9__array__\xa1x", b"\xc0\xc0"]
)
def test_an_answer_that_is_damaged_counts_as_not_there(tmp_path: Path, damage: bytes) -> None:
    watch = Watch()
    cache = AnswerCache(tmp_path / "cache", 60.0, watch)
    cache.put(b"k", {"y": np.ones(3, np.float32)})
    with cache._environment.begin(write=True) as writing:
        expires = (writing.get(b"k") or b"")[:8]
        writing.put(b"k", expires + damage)
    assert cache.get(b"k") is None
    cache.put(b"k", {"y": np.ones(3, np.float32)})
    assert cache.get(b"k")["y"].tolist() == [1, 1, 1]


def test_an_answer_from_the_future_counts_as_not_there(tmp_path: Path) -> None:
    watch = Watch()
    watch.forward(1000)
    cache = AnswerCache(tmp_path / "cache", 60.0, watch)
    cache.put(b"k", {"y": 1})
    assert cache.get(b"k") == {"y": 1}
    watch.forward(-1)  # the clock was set back while nothing ran
    assert cache.get(b"k") is None
    cache.close()


def test_a_full_memory_is_emptied(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, 60, Watch(), map_bytes=2**20)
    for i in range(40):
        cache.put(key_of("m", {"i": i}), {"big": b"x" * 100_000})
    assert cache.get(key_of("m", {"i": 39})) == {"big": b"x" * 100_000}
    cache.close()


def test_a_key_tells_models_inputs_shapes_and_dtypes_apart() -> None:
    zeros = np.zeros(4, np.float32)
    keys = [
        key_of("a", {"x": zeros}),
        key_of("b", {"x": zeros}),
        key_of("a", {"y": zeros}),
        key_of("a", {"x": zeros.reshape(2, 2)}),
        key_of("a", {"x": zeros.astype(np.int32)}),
        key_of("a", {"x": zeros, "y": 1}),
        key_of("a", {"x": 0}),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of("a", {"x": 1, "y": 2}) == key_of("a", {"y": 2, "x": 1})


AIR_GAPPED = """
import os, sys
connects = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        connects.append(event)
sys.addaudithook(watch)
import numpy as np
from olympus.models import llama_native
from olympus.models.router import Router, RouterRules
tasks = {"detect": {"candidates": ["person-obstacle"]}, "plan": {"candidates": ["planner"]}}
endpoint = {"url": "https://192.0.2.1/v1", "model": "m", "per_million_tokens": 1}
rules = {"tasks": tasks, "remote": {"endpoints": {"far": endpoint}}}
router = Router(RouterRules.model_validate(rules))
router.call("detect", {"image": np.zeros((1, 120, 160, 3), np.uint8)}, caller="x")
if not llama_native.missing():
    router.call("plan", {"prompt": "go", "max_tokens": 5}, caller="x")
paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
names = [os.readlink(path) for path in paths if os.path.lexists(path)]
print(connects, [name for name in names if name.startswith("socket:")])
"""


def test_nothing_leaves_the_machine_by_default() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AIR_GAPPED], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[] []"


@needs_llama
def test_a_language_model_is_routed_like_any_other() -> None:
    router = Router(RouterRules.model_validate({"tasks": {"plan": {"candidates": ["planner"]}}}))
    request = {"prompt": "<|begin|> go to the P1<|answer|>", "special": True, "max_tokens": 40}
    routed = router.call("plan", request, caller="test")
    assert json.loads(str(routed.value["text"]))[0]["do"] == "go"
    assert router.spent("test").tokens > 5
    router.close()


def test_rules_travel_as_json() -> None:
    made = RouterRules.model_validate({"tasks": {"plan": {"candidates": ["planner"]}}})
    assert RouterRules.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize("end", ["fails", "is given up"])
def test_what_comes_to_nothing_costs_its_caller_all_the_same(end: str) -> None:
    router = Router(rules(["person-obstacle"], budgets={"x": {"ms": 1e-6}}))
    routing = router.routing("detect", PICTURE, caller="x")
    next(routing).step()
    if end == "fails":
        with pytest.raises(ModelError, match="no model serves it: person-obstacle: cut short"):
            routing.throw(ModelError("cut short"))
    else:
        routing.close()
    with pytest.raises(ModelError, match=r"caller x: .* of 1e-06 ms are spent"):
        router.call("detect", PICTURE, caller="x")


def test_calls_that_wait_together_for_their_turn_do_not_all_spend_the_last_of_a_budget() -> None:
    router = Router(rules(["person-obstacle"], failures=1, budgets={"x": {"ms": 1e-6}}))
    first, second = (router.routing("detect", PICTURE, caller="x") for _ in range(2))
    attempts = [next(first), next(second)]
    attempts[0].step()
    with pytest.raises(StopIteration):
        first.send(attempts[0].result())
    with pytest.raises(BudgetError, match=r"caller x: .* of 1e-06 ms are spent") as told:
        attempts[1].step()
    with pytest.raises(ModelError, match="no model serves it: person-obstacle: caller x"):
        second.throw(told.value)
    assert router.state("detect") == {"person-obstacle": "closed"}


def test_what_is_still_computed_when_nobody_waits_any_more_costs_its_caller_too() -> None:
    begun, free = threading.Event(), threading.Event()
    readings = iter([1.0, 8.0])

    def joules() -> float:
        reading = next(readings)
        if reading > 1:  # the step is all but over
            begun.set()
            assert free.wait(20)
        return reading

    router = Router(rules(["person-obstacle"], budgets={"x": {"joules": 4}}), joules=joules)
    routing = router.routing("detect", PICTURE, caller="x")
    thread = threading.Thread(target=next(routing).step)
    thread.start()
    assert begun.wait(20)
    routing.close()
    free.set()
    thread.join()
    assert router.spent("x").joules == 7
    with pytest.raises(BudgetError, match="caller x: 7 of 4 joules are spent"):
        router.call("detect", PICTURE, caller="x")


@needs_llama
def test_the_tokens_of_a_text_that_is_given_up_are_counted() -> None:
    router = Router(RouterRules.model_validate({"tasks": {"plan": {"candidates": ["planner"]}}}))
    request = {"prompt": "<|begin|> go to the P1<|answer|>", "special": True, "max_tokens": 40}
    whole = router.call("plan", request, caller="whole").value
    routing = router.routing("plan", request, caller="part")
    attempt = next(routing)
    for _ in range(3):
        assert attempt.step()
    routing.close()
    attempt.close()
    spent = router.spent("part").tokens
    assert whole["prompt_tokens"] < spent <= whole["prompt_tokens"] + 3
    assert router.spent("whole").tokens == whole["prompt_tokens"] + whole["tokens"]
    router.close()


@needs_llama
def test_an_answer_that_was_cut_off_by_time_is_not_remembered(tmp_path: Path) -> None:
    plan = {"tasks": {"plan": {"candidates": ["planner"]}}, "cache_ttl_s": 60}
    router = Router(RouterRules.model_validate(plan), cache=tmp_path)
    request = {"prompt": "<|begin|> go to the P1<|answer|>", "special": True, "max_tokens": 40}
    hasty = request | {"max_ms": 1e-3}
    first, second = (router.call("plan", hasty, caller="test") for _ in range(2))
    assert (first.value["ending"], second.is_cached) == ("time", False)
    first, second = (router.call("plan", request, caller="test") for _ in range(2))
    assert (first.is_cached, second.is_cached) == (False, True)
    router.close()


@needs_llama
def test_a_text_s_meaning_is_a_task_like_any_other(tmp_path: Path) -> None:
    embed = {"tasks": {"embed": {"candidates": ["planner"]}}, "cache_ttl_s": 60}
    router = Router(RouterRules.model_validate(embed), cache=tmp_path)
    asked = [{"embed": text} for text in ("go to the lab", "go to the lab", "wait")]
    first, again, other = (router.call("embed", one, caller="test") for one in asked)
    assert np.linalg.norm(first.value["embedding"]) == pytest.approx(1, abs=1e-5)
    assert again.is_cached and again.value == first.value
    assert not other.is_cached and other.value["embedding"] != first.value["embedding"]
    assert (
        router.spent("test").tokens == first.value["prompt_tokens"] + other.value["prompt_tokens"]
    )
    with pytest.raises(ModelError, match="1 to 192 can be embedded"):
        router.call("embed", {"embed": "word " * 500}, caller="test")
    router.close()


@pytest.mark.parametrize(
    "more",
    [
        {"cache_ttl_s": 1e30},  # failed each answer
        {"budgets": {"*": {"tokens": 1, "window_s": 1e300}}},
        {"tasks": {"plan": {"candidates": ["planner"], "rest_s": 1e300}}},
    ],
)
def test_times_that_can_not_be_counted_are_refused(more: dict[str, Any]) -> None:
    rules = {"tasks": {"plan": {"candidates": ["planner"]}}} | more
    with pytest.raises(ValidationError, match="less than or equal"):
        RouterRules.model_validate(rules)


@pytest.mark.parametrize(
    "url",
    [
        "example.org/v1",
        "ftp://h/v1",
        "https:///v1",
        "https://h:99999/v1",
        "https://h:x",
        "http://[::",
    ],
)
def test_an_endpoint_without_an_address_is_refused(url: str) -> None:
    """A port that is none was found out when somebody asked, by the thread that makes the call."""
    with pytest.raises(ValidationError, match="is no address"):
        Endpoint.model_validate({"url": url, "model": "m", "per_million_tokens": 1.0})


def test_only_failures_in_a_row_open_a_circuit() -> None:
    breaker = Breaker(Tolerance(failures=2), Watch())
    for _ in range(3):
        let_through(breaker).failed()
        let_through(breaker).succeeded(1.0)
    let_through(breaker).failed()
    let_through(breaker).failed()
    assert breaker.admit() is None
