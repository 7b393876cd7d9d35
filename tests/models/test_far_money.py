"""What far models cost is counted, whoever waits for the answer and whatever it is worth."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.far_endpoint import PRICE, FarEndpoint, completion, serving

from olympus.models.budgets import Cost
from olympus.models.line import LONGEST_ANSWER
from olympus.models.purse import Purse
from olympus.models.remote import UNSAID_TOKENS, RemoteModel, RemoteRules
from olympus.models.router import Routed, Router, RouterRules
from olympus.runtime.errors import ConfigError, ModelError

HELLO = {"prompt": "hello", "max_tokens": 5}
LONG = {"prompt": "hello"}
"""Nobody says how long the answer may be."""
S = 1_000_000_000
DAY = 86400 * S


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000 * S

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def far() -> Iterator[FarEndpoint]:
    with serving() as endpoint:
        yield endpoint


def rules(remote: dict[str, Any], candidates: tuple[str, ...] = ("remote:far",)) -> RouterRules:
    task = {"candidates": list(candidates), "failures": 1}
    return RouterRules.model_validate({"tasks": {"say": task}, "remote": remote})


class Asking(threading.Thread):
    """Asks on a thread of its own."""

    def __init__(self, router: Router, request: dict[str, Any], caller: str = "x") -> None:
        super().__init__()
        self._work = (router, request, caller)
        self.routed: Routed | None = None
        self.start()

    def run(self) -> None:
        router, request, caller = self._work
        self.routed = router.call("say", request, caller=caller)


def entries(file: Path) -> list[list[float]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("more", "lacking"),
    [
        ({"allow": False, "daily_budget": 0.0}, "allow: true"),
        ({"allow": False}, "allow: true"),
        ({"daily_budget": 0.0}, "a daily_budget above 0"),
    ],
)
def test_a_remote_model_is_off_unless_allowed_and_budgeted(
    far: FarEndpoint, more: dict[str, Any], lacking: str
) -> None:
    with pytest.raises(ConfigError, match=f"remote model 'far' is off: {lacking} is missing"):
        Router(rules(far.remote(**more)))
    assert far.asked == []


def test_a_remote_model_serves_until_the_day_s_money_is_spent(
    far: FarEndpoint, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("secret\n")
    remote = far.remote()
    remote["endpoints"]["far"]["key_file"] = str(tmp_path / "key")
    watch = Watch()
    router = Router(rules(remote), now_ns=watch)
    for _ in range(2):
        assert router.call("say", HELLO, caller="test").value == {"text": "a far answer"}
    assert router.spent("test") == Cost(tokens=2000, ms=router.spent("test").ms, money=1.0)
    with pytest.raises(ModelError, match="1 of 1 money are spent; there is more in 86400 s"):
        router.call("say", HELLO, caller="test")
    assert router.state("say") == {"remote:far": "closed"}  # it is not the model's fault
    assert len(far.asked) == 2
    assert far.asked[0]["path"] == "/v1/chat/completions"
    assert far.asked[0]["key"] == "Bearer secret"
    assert far.asked[0]["messages"] == [{"role": "user", "content": "hello"}]
    assert far.asked[0]["max_tokens"] == 5
    watch.ns += DAY
    router.call("say", HELLO, caller="test")


def test_a_restart_does_not_renew_the_day_s_money(far: FarEndpoint, tmp_path: Path) -> None:
    watch, purse = Watch(), Purse(tmp_path / "new" / "far.money")
    wanted = rules(far.remote())
    for _ in range(2):  # each half of the day's money, each in a process of its own
        Router(wanted, now_ns=watch, purse=purse).call("say", HELLO, caller="x")
        watch.ns += 3600 * S
    with pytest.raises(ModelError, match=r"1 of 1 money are spent; there is more in 79200 s"):
        Router(wanted, now_ns=watch, purse=purse).call("say", HELLO, caller="x")
    watch.ns += DAY
    Router(wanted, now_ns=watch, purse=purse).call("say", HELLO, caller="x")
    assert [when_ns for when_ns, *_ in entries(tmp_path / "new" / "far.money")] == [watch.ns] * 2


def test_a_far_call_that_nobody_waits_for_any_more_is_paid_for(
    far: FarEndpoint, tmp_path: Path
) -> None:
    purse = Purse(tmp_path / "far.money")
    router = Router(rules(far.remote()), purse=purse)
    for asked in (1, 2):
        far.free.clear()
        routing = router.routing("say", HELLO, caller="x")
        call = threading.Thread(target=next(routing).step)
        call.start()
        far.wait_for(asked)
        routing.close()
        far.free.set()
        call.join()
        spent = router.spent("x")
        assert (spent.money, spent.tokens, spent.ms > 0) == (asked / 2, asked * 1000, True)
    for one in (router, Router(rules(far.remote()), purse=purse)):
        with pytest.raises(ModelError, match="1 of 1 money are spent"):
            one.call("say", HELLO, caller="x")


def test_a_far_call_that_never_began_costs_nothing(far: FarEndpoint, tmp_path: Path) -> None:
    router = Router(rules(far.remote()), purse=Purse(tmp_path / "far.money"))
    routing = router.routing("say", HELLO, caller="x")
    next(routing)
    routing.close()
    assert router.spent("x") == Cost()
    assert not (tmp_path / "far.money").exists()


def test_money_for_calls_under_way_is_held_back(far: FarEndpoint) -> None:
    router = Router(rules(far.remote()))
    far.free.clear()
    first = Asking(router, LONG)
    far.wait_for(1)
    for caller in ("x", "y"):
        with pytest.raises(ModelError, match=r"0 of 1 money are spent and 2\.\d+ held for calls"):
            router.call("say", LONG, caller=caller)
    assert router.state("say") == {"remote:far": "closed"}
    assert UNSAID_TOKENS * PRICE / 1e6 > 2
    far.free.set()
    first.join()
    assert first.routed is not None
    router.call("say", LONG, caller="x")  # what was held is free, but for what it did cost
    assert router.spent("x").money == 1
    assert len(far.asked) == 2


def test_no_question_has_more_tokens_than_are_held_back_for_it(far: FarEndpoint) -> None:
    model = RemoteModel("far", RemoteRules.model_validate(far.remote()))
    for text in ("0" * 1000, "q9Zx" * 250, "\u4f60" * 1000, "\U0001f916" * 1000):
        read = model.most({"prompt": text, "max_tokens": 1}).tokens
        assert read > len(text.encode())  # a tokenizer may give each byte one


def test_calls_of_a_known_length_go_side_by_side(far: FarEndpoint) -> None:
    far.raw = completion(usage={"total_tokens": 20})
    router = Router(rules(far.remote()))
    far.free.clear()
    calls = [Asking(router, HELLO) for _ in range(8)]
    far.wait_for(8)
    far.free.set()
    for call in calls:
        call.join()
    assert router.spent("x").money == pytest.approx(8 * 20 * PRICE / 1e6)


def test_a_caller_s_own_money_is_held_back_too(far: FarEndpoint) -> None:
    wanted = rules(far.remote(daily_budget=100.0)).model_dump() | {"budgets": {"x": {"money": 1}}}
    router = Router(RouterRules.model_validate(wanted))
    far.free.clear()
    first = Asking(router, LONG)
    far.wait_for(1)
    with pytest.raises(ModelError, match=r"caller x: 0 of 1 money are spent and 2\.\d+ held"):
        router.call("say", LONG, caller="x")
    far.free.set()
    router.call("say", LONG, caller="y")
    first.join()


def test_nobody_can_spend_in_the_name_of_all(far: FarEndpoint) -> None:
    router = Router(rules(far.remote()))
    for _ in range(2):
        router.call("say", HELLO, caller="@remote")
    assert len(far.asked) == 2


@pytest.mark.parametrize(
    ("raw", "tokens"),
    [
        (b'{"choices": [], "usage": {"total_tokens": 1000}}', 1000),
        (b'{"usage": {"prompt_tokens": 600, "completion_tokens": 400}}', 1000),
        (completion(None), 1000),
        (completion(None, {"total_tokens": 1e3}), 1000),
        (completion([{"type": "text"}]), 1000),
        (b'{"choices": [null], "usage": {"total_tokens": 1000}}', 1000),
        (b"<html>come back later</html>", None),
        (completion()[:-5], None),
        (b"[" * 100_000, None),
        (b"[]", None),
        (b"", None),
    ],
)
def test_an_answer_without_a_completion_is_paid_for(
    far: FarEndpoint, raw: bytes, tokens: int | None, tmp_path: Path
) -> None:
    far.raw = raw
    router = Router(rules(far.remote()), purse=Purse(tmp_path / "far.money"))
    with pytest.raises(ModelError, match="its answer is no completion"):
        router.call("say", HELLO, caller="x")
    assert router.state("say") == {"remote:far": "open"}
    spent = router.spent("x")
    if tokens is None:  # nobody says how many, so it counts as the most that it may have been
        assert len(json.dumps(HELLO)) < spent.tokens < 150
    else:
        assert spent.tokens == tokens
    assert spent.money == pytest.approx(spent.tokens * PRICE / 1e6)
    assert entries(tmp_path / "far.money")[-1][1] == spent.money


@pytest.mark.parametrize(
    "usage",
    [
        {},
        [],
        "much",
        {"total_tokens": "many"},
        {"total_tokens": -1000},
        {"total_tokens": True},
        {"total_tokens": float("inf")},
        {"total_tokens": float("nan")},
        {"total_tokens": 10**400},
    ],
)
def test_a_bill_that_makes_no_sense_is_guessed(far: FarEndpoint, usage: object) -> None:
    far.raw = completion(usage=usage)
    router = Router(rules(far.remote()))
    assert router.call("say", HELLO, caller="x").value == {"text": "a far answer"}
    assert 5 < router.spent("x").tokens < 50
    assert router.spent("x").money == pytest.approx(router.spent("x").tokens * PRICE / 1e6)


@pytest.mark.parametrize("stop", ["END", ["END"]])
def test_where_a_text_stops_may_be_one_text_or_several(far: FarEndpoint, stop: object) -> None:
    Router(rules(far.remote())).call("say", HELLO | {"stop": stop}, caller="x")
    assert far.asked[0]["stop"] == ["END"]


def test_a_call_that_is_cut_off_counts_as_the_most_that_it_may_have_cost(far: FarEndpoint) -> None:
    far.status = 0
    router = Router(rules(far.remote(daily_budget=10.0)))
    with pytest.raises(ModelError, match="no answer"):
        router.call("say", LONG, caller="x")
    assert UNSAID_TOKENS < router.spent("x").tokens < UNSAID_TOKENS + 150


def test_a_call_that_is_refused_costs_nothing(far: FarEndpoint, tmp_path: Path) -> None:
    far.status = 429
    router = Router(rules(far.remote()), purse=Purse(tmp_path / "far.money"))
    with pytest.raises(ModelError, match="answered 429"):
        router.call("say", HELLO, caller="x")
    assert router.spent("x") == Cost(ms=router.spent("x").ms)
    assert entries(tmp_path / "far.money")[-1][1] == 0


def test_a_remote_model_that_is_not_there_is_passed_over_and_costs_nothing(
    far: FarEndpoint,
) -> None:
    remote = far.remote()
    gone = {"url": "http://127.0.0.1:9/v1", "model": "m", "per_million_tokens": PRICE}
    remote["endpoints"]["gone"] = gone
    router = Router(rules(remote, ("remote:gone", "remote:far")))
    routed = router.call("say", HELLO, caller="test")
    assert routed.model == "remote:far"
    assert "no answer" in routed.passed_over["remote:gone"]
    assert router.spent("test").money == 0.5


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"image": np.zeros((1, 2, 2, 3), np.uint8)}, "it reads no 'image'"),
        ({"embed": "a text"}, "it reads no 'embed'"),
        ({"prompt": "hello", "max_token": 5}, "did you mean 'max_tokens'"),
        ({"prompt": "hello", "max_tokens": "many"}, "can't be read"),
        ({"prompt": "hello", "max_tokens": 10**400}, "max_tokens is above"),
        ({"prompt": "hello", "max_tokens": float("inf")}, "can't be read"),
        ({"prompt": "hello", "max_tokens": -5}, "max_tokens=-5 is refused"),
        ({"prompt": "hello", "grammar": "root ::= x"}, "can't be held to"),
        ({"prompt": "hello", "schema": {"type": "object"}}, "can't be held to"),
        ({}, "give either prompt or messages"),
        ({"prompt": None}, "prompt is None; write text"),
        ({"prompt": ["hello"]}, "write text"),
        ({"prompt": "hello", "messages": [{"role": "user", "content": "x"}]}, "give either"),
        ({"messages": []}, "give either prompt or messages"),
        ({"messages": 7}, "a message needs"),
        ({"messages": [{"role": "user"}]}, "a message needs"),
        ({"messages": [{"role": "user", "content": {1, 2}}]}, "a message needs"),
    ],
)
def test_a_question_that_a_far_model_can_not_read_is_not_paid_for(
    far: FarEndpoint, request_: dict[str, Any], why: str
) -> None:
    router = Router(rules(far.remote()))
    with pytest.raises(ModelError, match=why):
        router.call("say", request_, caller="x")
    assert far.asked == []
    assert router.state("say") == {"remote:far": "closed"}


@pytest.mark.parametrize("key", [b"se\ncret", b"secr\xc3\xa9t", b"secr\xffet"])
def test_a_key_file_that_holds_more_than_a_key_is_refused_and_not_told(
    far: FarEndpoint, tmp_path: Path, key: bytes
) -> None:
    (tmp_path / "key").write_bytes(key)
    remote = far.remote()
    remote["endpoints"]["far"]["key_file"] = str(tmp_path / "key")
    with pytest.raises(ModelError, match="key_file") as told:
        Router(rules(remote)).call("say", HELLO, caller="x")
    assert "cret" not in str(told.value)
    assert far.asked == []


def test_money_that_can_not_be_counted_is_not_spent_and_the_model_is_not_blamed(
    far: FarEndpoint, tmp_path: Path
) -> None:
    router = Router(rules(far.remote()), purse=Purse(tmp_path / "new" / "far.money"))
    (tmp_path / "new").write_text("in the way")
    with pytest.raises(ModelError, match=r"far\.money: can't be written"):
        router.call("say", HELLO, caller="x")
    assert far.asked == []
    assert router.state("say") == {"remote:far": "closed"}
    (tmp_path / "new").unlink()
    router.call("say", HELLO, caller="x")


def test_a_purse_that_can_not_be_read_stops_far_models_only_and_is_read_once_mended(
    far: FarEndpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (file := tmp_path / "far.money").write_text("nonsense\n")
    watch = Watch()
    router = Router(rules(far.remote()), now_ns=watch, purse=Purse(file))
    (told,) = caplog.messages
    assert "no far model is called" in told and str(file) in told
    for _ in range(2):
        with pytest.raises(ModelError, match=r"far\.money: line 1 is no payment; .*mend it or"):
            router.call("say", HELLO, caller="x")
    assert far.asked == []
    assert router.state("say") == {"remote:far": "closed"}
    file.write_text(f"[{watch.ns}, 0.5]\n")
    router.call("say", HELLO, caller="x")
    with pytest.raises(ModelError, match="1 of 1 money are spent"):
        router.call("say", HELLO, caller="x")


def test_an_answer_longer_than_any_should_be_is_paid_for_by_its_length(far: FarEndpoint) -> None:
    far.raw = completion("x" * (2 * LONGEST_ANSWER))
    router = Router(rules(far.remote(daily_budget=1000.0)))
    with pytest.raises(ModelError, match="its answer is no completion"):
        router.call("say", HELLO, caller="x")
    assert router.spent("x").tokens == LONGEST_ANSWER // 3


def test_a_paid_answer_is_given_though_the_payment_can_not_be_written_down(
    far: FarEndpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, aside = tmp_path / "far.money", tmp_path / "aside"

    def put_in_the_way() -> None:
        file.rename(aside)
        file.mkdir()

    far.meanwhile = put_in_the_way
    router = Router(rules(far.remote()), purse=Purse(file))
    with caplog.at_level(logging.ERROR):
        assert router.call("say", HELLO, caller="x").value == {"text": "a far answer"}
    (told,) = caplog.messages
    assert "a payment of 0.5 could not be written down (1 so far)" in told and str(file) in told
    with pytest.raises(ModelError, match=r"far\.money: can't be written"):
        router.call("say", HELLO, caller="x")
    assert len(far.asked) == 1
    assert router.state("say") == {"remote:far": "closed"}

    far.meanwhile = lambda: None
    file.rmdir()
    aside.rename(file)
    router.call("say", HELLO, caller="x")
    assert len(far.asked) == 2
    assert [money for _, money in Purse(file).spent_since(0)] == [0.5, 0.5]


def test_an_answer_without_end_is_cut_off(far: FarEndpoint) -> None:
    far.drips = True
    remote = far.remote()
    remote["endpoints"]["far"]["timeout_s"] = 0.5
    router = Router(rules(remote))
    with pytest.raises(ModelError, match=r"no answer: it took longer than 0\.5 s"):
        router.call("say", HELLO, caller="x")
    assert 50 < router.spent("x").tokens < 150


def test_what_is_under_way_at_the_end_is_cut_off_and_counts_as_the_most(far: FarEndpoint) -> None:
    router = Router(rules(far.remote()))
    far.free.clear()
    attempt = next(routing := router.routing("say", HELLO, caller="x"))
    ends: list[str] = []

    def call() -> None:
        with pytest.raises(ModelError, match="nobody waits for it any more") as told:
            attempt.step()
        ends.append(str(told.value))

    thread = threading.Thread(target=call)
    thread.start()
    far.wait_for(1)
    routing.close()
    router.close()
    thread.join(10)
    assert len(ends) == 1
    assert 50 < router.spent("x").tokens < 150


@pytest.mark.parametrize(("status", "state"), [(500, "open"), (200, "closed")])
def test_what_a_far_model_did_when_nobody_waited_any_more_is_held_against_it(
    far: FarEndpoint, status: int, state: str
) -> None:
    far.status = status
    router = Router(rules(far.remote()))
    far.free.clear()
    attempt = next(routing := router.routing("say", HELLO, caller="x"))

    def call() -> None:
        if status == 500:
            with pytest.raises(ModelError, match="answered 500"):
                attempt.step()
        else:
            attempt.step()

    thread = threading.Thread(target=call)
    thread.start()
    far.wait_for(1)
    routing.close()
    assert router.state("say") == {"remote:far": "closed"}
    far.free.set()
    thread.join()
    assert router.state("say") == {"remote:far": state}


class WatchedPurse(Purse):
    """Notes which threads use it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.threads: list[int] = []

    def begin(self, when_ns: int, most: float) -> int:
        self.threads.append(threading.get_ident())
        return super().begin(when_ns, most)

    def end(self, call: int, when_ns: int, money: float) -> None:
        self.threads.append(threading.get_ident())
        super().end(call, when_ns, money)


def test_the_thread_that_calls_does_all_that_waits_for_the_disk(
    far: FarEndpoint, tmp_path: Path
) -> None:
    purse = WatchedPurse(tmp_path / "far.money")
    router = Router(rules(far.remote()), purse=purse)
    routing = router.routing("say", HELLO, caller="x")
    attempt = next(routing)
    call = threading.Thread(target=attempt.step)
    call.start()
    call.join()
    with pytest.raises(StopIteration):
        routing.send(attempt.result())
    assert purse.threads == [call.ident, call.ident]


KILLED = """
import sys, time
from pathlib import Path
from olympus.models.purse import Purse
from olympus.models.router import Router, RouterRules
rules = RouterRules.model_validate_json(sys.argv[1])
Router(rules, purse=Purse(Path(sys.argv[2])), now_ns=time.time_ns).call(
    "say", {"prompt": "hello", "max_tokens": 900}, caller="x"
)
"""


def test_processes_that_are_killed_in_the_midst_of_their_calls_do_not_outspend_the_day(
    far: FarEndpoint, tmp_path: Path
) -> None:
    far.free.clear()
    wanted = rules(far.remote()).model_dump_json()
    words = [sys.executable, "-c", KILLED, wanted, str(tmp_path / "far.money")]
    for calls in (1, 2, 3):
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        far.wait_for(calls)
        process.kill()
        process.wait(20)
    done = subprocess.run(words, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode != 0
    assert "of 1 money are spent" in done.stderr
    assert len(far.asked) == 3  # each may have cost nearly half
