from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from olympus.models import llama_native
from olympus.models.llama import LlamaModel, open_language_model
from olympus.models.planner import planner as planner_module
from olympus.models.planner.clauses import clauses, told_apart
from olympus.models.planner.gbnf import grammar, unknown_names
from olympus.models.planner.plan import Plan, short
from olympus.models.planner.planner import Planner, Understood
from olympus.models.planner.turning import turning
from olympus.models.planner.words import SOUNDS, THINGS, Vocabulary, mask
from olympus.models.training.commands.evaluate import (
    CONDITIONS,
    SITE,
    examine,
    score,
    told,
    written,
)
from olympus.models.wish import Wish

ROOT = Path(__file__).resolve().parents[3]
needs_llama = pytest.mark.skipif(bool(llama_native.missing()), reason=llama_native.missing())


@pytest.fixture(scope="module")
def model() -> Iterator[LlamaModel]:
    if reason := llama_native.missing():
        pytest.skip(reason)
    model = open_language_model("planner")
    yield model
    model.close()


@pytest.fixture(scope="module")
def planner(model: LlamaModel) -> Planner:
    return Planner(model, SITE)


def named(plan: Plan) -> tuple[set[str], set[float]]:
    """Collect the names and the numbers of a plan."""
    names: set[str] = set()
    numbers: set[float] = set()
    for step in plan:
        names |= {step.place or ""}
        if step.until is not None:
            names |= {step.until.sees or "", step.until.hears or ""}
        figures = (step.x, step.y, step.rounds, step.degrees, step.seconds, step.minutes)
        numbers |= {float(value) for value in figures if value is not None}
    return names - {""}, numbers


@pytest.mark.parametrize(
    ("sentence", "plan"),
    [
        ("go to the lab", "go lab"),
        ("could you head over to the storage room", "go storage room"),
        ("patrol the corridor three times and then go home", "patrol corridor x3 ; go home"),
        ("drive to 2, -1.5 and wait there for 10 seconds", "go @2,-1.5 ; wait 10s"),
        ("patrol the lobby until you see somebody", "patrol lobby until sees person"),
        ("wait until you hear an alarm", "wait until hears alarm"),
        ("turn left by 45 degrees", "turn left 45"),
    ],
)
def test_plain_commands_are_understood(planner: Planner, sentence: str, plan: str) -> None:
    assert short(planner.understand(sentence).plan) == plan


@pytest.mark.parametrize(
    "sentence",
    [
        *("make me a coffee", "don't go to the lab", "", "?", "x" * 201, "go to the lab or home"),
        "never patrol the corridor",
    ],
)
def test_what_it_should_not_do_is_not_done_without_asking(planner: Planner, sentence: str) -> None:
    found = planner.understand(sentence)
    assert found.doubt
    assert found.text


@pytest.mark.parametrize(
    "sentence",
    [
        "dont go to the kitchen",
        "you cannot go to the kitchen",
        "you won't go to the kitchen",
        "nobody should go to the kitchen",
        "cancel going to the kitchen",
        "stop going to the kitchen",
        "please quit going to the kitchen",
        "forget about the kitchen, go home",
        "drop the kitchen and go home",
        "instead of going to the kitchen go home",
        "it would be a mistake to go to the kitchen",
        "it is dangerous to go to the kitchen",
        "wait until you stop hearing the siren",
        "wait minus ten seconds",
        "rarely visit the kitchen",
        "watch out",
        "where is the kitchen?",
        "where are you going",
    ],
)
def test_what_calls_a_place_off_does_not_send_it_there_without_asking(
    planner: Planner, sentence: str
) -> None:
    """Each of them was carried out: the model is sure of the place, and blind to the word."""
    found = planner.understand(sentence)
    assert not found.plan or found.doubt, found


@pytest.mark.parametrize(
    "sentence",
    [
        "on my command go home",
        "i was thinking of going to the lab",
        "you should have gone to the office",
        "suppose you go to the lab",
        "be ready to go to the kitchen",
        "go home if you are tired",
        "have you been to the kitchen",
        "is it possible to go to the kitchen",
        "almost go to the kitchen",
        "i forgot to go to the lab",
        "do you want to go home",
    ],
)
def test_what_names_a_command_and_gives_none_is_asked_about(
    planner: Planner, sentence: str
) -> None:
    """Each of them was carried out."""
    found = planner.understand(sentence)
    assert not found.plan or found.doubt, found


def test_what_gives_a_command_in_many_words_holds_no_word_that_turns_it_round() -> None:
    commands = [one.sentence for one in written(file=CONDITIONS) if one.plan]
    assert len(commands) == 74
    turned = {one: word for one in commands if (word := turning(mask(one, SITE).text))}
    assert list(turned) == ["in case you didn't hear me, go home"]  # 'in case' is


def test_of_commands_that_are_named_and_not_given_few_are_carried_out(model: LlamaModel) -> None:
    """4 of 72 are; before the rule that knows such words 28 were."""
    found = score(examine(model, written(file=CONDITIONS), None))
    assert found.n - found.commands == 72
    assert found.refused >= 0.9
    assert found.given >= 0.75


@pytest.mark.parametrize(
    ("sentence", "plan"),
    [
        ("won't you go to the kitchen", "go kitchen"),
        ("no, go to the kitchen", "go kitchen"),
        ("do nothing for 7 seconds", "wait 7s"),
        ("cancel everything", "stop"),
        ("nobody is in the lab so go there", "go lab"),
        ("drop by the kitchen", "go kitchen"),
        ("how about going to the kitchen", "go kitchen"),
        ("look out until you see somebody", "wait until sees person"),
    ],
)
def test_a_word_that_calls_nothing_off_is_no_reason_to_ask(
    planner: Planner, sentence: str, plan: str
) -> None:
    found = planner.understand(sentence)
    assert (short(found.plan), found.doubt) == (plan, "")


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        ("go to the lab, then wait 5 s and after that go to the office", 3),
        ("go to the lab. wait 5 s", 2),
        ("go to the lab", 0),
        ("before you go to the lab, wait 5 s, then turn left", 0),
        ("patrol the lab and then stop when you see somebody", 0),
    ],
)
def test_clauses_are_parted_only_where_their_order_is_plain(sentence: str, parts: int) -> None:
    found = clauses(mask(sentence, SITE))
    assert len(found) == parts
    assert all("P2" not in part.text for part in found)  # each counts its slots anew


@pytest.mark.parametrize(
    ("sentence", "order"),
    [
        ("go to the lab but first wait 5 s", ("wait N1 s", "go to the P1")),
        ("patrol the lab, only before that you turn left", ("turn left", "patrol the P1")),
        ("before you go to the lab, please turn left", ("turn left", "go to the P1")),
    ],
)
def test_what_is_said_last_and_plainly_done_first_is_turned_round(
    sentence: str, order: tuple[str, str]
) -> None:
    assert tuple(part.text for part in clauses(mask(sentence, SITE))) == order


def test_a_place_that_comes_again_is_told_apart() -> None:
    (found,) = told_apart(mask("the lab, the office and the lab", SITE))
    assert found.text == "the P1 , the P2 and the P3"
    assert found.values["P1"] == found.values["P3"] == "lab"
    assert told_apart(mask("the lab and the office", SITE)) == []


def test_where_it_finds_no_plan_and_is_not_sure_it_asks_about_the_likeliest(
    planner: Planner,
) -> None:
    found = planner.understand("turn the other way")
    assert found.text.startswith("did you mean: turn around?")
    assert found.doubt
    assert not planner.understand("what is the weather like in rome").plan


def test_something_said_that_has_no_place_in_the_plan_is_asked_about(planner: Planner) -> None:
    found = planner.understand("go to the lab 77 77 kitchen")
    assert found.doubt


def test_where_the_likeliest_plan_leaves_something_out_a_likely_one_that_does_not_is_asked_about(
    planner: Planner,
) -> None:
    found = planner.understand("do 2 loops around the lab and two around the kitchen")
    assert (short(found.plan), found.leaves_out) == ("patrol lab x2 ; patrol kitchen x2", False)
    assert found.doubt
    assert (
        planner.understand("do 2 loops around the lab and two around the kitchen") == found
    )  # drawn, but always the same


LONG = (
    "go to the lab then the kitchen then the office then the lobby then the workshop, after that "
    "the corridor and then wait 5 seconds then turn 3 times and go to 4, 5 until you hear a siren"
)
"""With its clauses and other plans this took more than 600 steps, and launch files said 500."""


def test_a_sentence_takes_no_more_steps_than_a_launch_file_says(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps_of(sentence: str) -> tuple[int, Understood]:
        thinking, steps = planner.begin(sentence), 1
        while thinking.step():
            steps += 1
        return steps, thinking.result()

    monkeypatch.setattr(planner_module, "MOST_STEPS", 150)
    steps, found = steps_of(LONG)
    assert steps == 150
    assert found.doubt  # what is not thought to its end is asked about
    assert steps_of("go to the lab")[0] < 50
    patrol = yaml.safe_load((ROOT / "launch" / "patrol.yaml").read_text())
    (job,) = patrol["nodes"]["planner"]["jobs"]
    monkeypatch.undo()
    assert job["steps"] == planner_module.MOST_STEPS


def test_no_name_and_no_number_is_invented_whatever_the_model_writes(model: LlamaModel) -> None:
    rng = random.Random(3)
    words = ["go", "patrol", "wait", "turn", "to the", "lab", "zebra", "7", "two", "until", "hear"]
    words += ["you see", "somebody", "siren", "and", "<|end|>", "left"]
    site = Vocabulary({"lab": ()}, dict(THINGS), dict(SOUNDS))
    planner = Planner(model, site)
    for seed in range(150):
        sentence = " ".join(rng.choices(words, k=rng.randint(1, 12)))
        masked = mask(sentence, site)
        wild = Wish(
            special=True, max_tokens=80, grammar=grammar(masked), temperature=4.0, seed=seed
        )
        text = model.complete(f"<|begin|> {masked.text}<|answer|>", wild).text
        names, numbers = named(planner.judged(masked, text, 1.0).plan)
        known = set(masked.values.values()) | set(unknown_names(masked))
        assert names <= known, sentence
        assert numbers <= {float(v) for k, v in masked.values.items() if k[0] == "N"}, sentence


def test_the_shipped_planner_is_as_good_as_its_manifest_says(model: LlamaModel) -> None:
    manifest = model.manifest
    people = score(examine(model, written(1), None))
    assert people.exact == pytest.approx(manifest.accuracy_of("exact.people").value, abs=0.02)
    assert people.right >= manifest.accuracy_of("right.people").value - 0.03
    names = score(examine(model, told(100, 502, unseen=True), None))
    assert names.exact == pytest.approx(manifest.accuracy_of("exact.unseen-names").value, abs=0.09)
