from __future__ import annotations

import hashlib
import json
import math
import os
import random
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olympus.models import llama_native
from olympus.models.generation import Generation
from olympus.models.llama import LlamaModel, open_language_model
from olympus.models.llama_request import read_wish
from olympus.models.manifest import make_manifest
from olympus.models.registry import Registry, StoredModel
from olympus.models.sealed import SealedFile
from olympus.models.wish import Completion, Wish
from olympus.runtime.errors import ModelError
from olympus.runtime.scheduler.work import Abortable, Stepped, Telling

needs_llama = pytest.mark.skipif(bool(llama_native.missing()), reason=llama_native.missing())
PROMPTS = (
    "go to the P1",
    "patrol the P1 N1 times , then wait N2 seconds",
    "wait until you hear a S1",
)


@needs_llama
def test_a_process_that_loads_it_leaves_no_file_open() -> None:
    code = "from olympus.models import llama_native; llama_native.library()"
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""


@pytest.fixture(scope="module")
def model() -> Iterator[LlamaModel]:
    if reason := llama_native.missing():
        pytest.skip(reason)
    model = open_language_model("planner")
    yield model
    model.close()


def prompt(text: str) -> str:
    return f"<|begin|> {text}<|answer|>"


def wish(**fields: object) -> Wish:
    return Wish(**{"special": True, "max_tokens": 60, **fields})  # type: ignore[arg-type]


def test_it_answers_and_tells_what_it_cost(model: LlamaModel) -> None:
    answer = model.complete(prompt(PROMPTS[0]), wish(watch_odds=True))
    assert json.loads(answer.text)[0]["do"] == "go"
    assert answer.ending == "end"
    assert answer.prompt_tokens == len(model.tokenize(prompt(PROMPTS[0]), special=True))
    assert len(answer.odds) == len(answer.tokens) + 1  # the end has its odds too
    assert all(0 < odds <= 1 for odds in answer.odds)
    assert answer.compute_ms > 0


@pytest.mark.timeout(300)  # 400 texts: a busy machine needs more than a minute
def test_pre_empted_generations_give_the_tokens_of_undisturbed_ones(model: LlamaModel) -> None:
    rng = random.Random(7)
    words = ["go", "patrol", "the", "P1", "N1", "wait", "until", "you see a", "T1", "left", "S1"]
    prompts = [" ".join(rng.choices(words, k=rng.randint(2, 60))) for _ in range(200)]
    wishes = [wish(temperature=0.9, seed=seed, max_tokens=24) for seed in range(200)]
    alone = [
        model.complete(prompt(text), w).tokens for text, w in zip(prompts, wishes, strict=True)
    ]
    disturbed: dict[int, Completion] = {}
    waiting = list(enumerate(zip(prompts, wishes, strict=True)))
    rng.shuffle(waiting)
    running: dict[int, Generation] = {}
    while waiting or running:
        if waiting and len(running) < len(model.places):
            number, (text, w) = waiting.pop()
            running[number] = model.generate(prompt(text), w)
        number = rng.choice(sorted(running))
        if not running[number].step():
            disturbed[number] = running.pop(number).result()
    assert [disturbed[i].tokens for i in range(200)] == alone
    assert len(set(alone)) > 50


def test_a_step_reads_at_most_a_micro_batch_or_gives_one_token(model: LlamaModel) -> None:
    generation = model.generate(prompt("go to the P1 and " * 20), wish(max_tokens=3))
    assert isinstance(generation, Stepped)
    assert isinstance(generation, Telling)
    assert isinstance(generation, Abortable)
    steps = 1
    while generation.step():
        steps += 1
    answer = generation.result()
    read = -(-answer.prompt_tokens // model.batch) - answer.reused_tokens // model.batch
    assert steps <= read + 3
    assert answer.prompt_tokens > 2 * model.batch


def test_a_prompt_that_begins_alike_is_not_read_again(model: LlamaModel) -> None:
    start = "patrol the P1 and then go to the P2 " * 5
    first = model.complete(prompt(start + "now"), wish(max_tokens=8))
    again = model.complete(prompt(start + "later"), wish(max_tokens=8))
    assert again.reused_tokens >= model.batch
    assert again.reused_tokens % model.batch == 0
    assert first.prompt_tokens > model.batch


def test_seeds_decide_what_chance_gives(model: LlamaModel) -> None:
    wishes = [wish(temperature=5.0, top_p=1.0, seed=seed) for seed in (1, 1, 2, 3, 4, 5)]
    texts = [model.complete(prompt("go P1 or P2 or"), one).text for one in wishes]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_the_text_obeys_a_grammar(model: LlamaModel) -> None:
    answer = model.complete(prompt("go"), wish(grammar='root ::= ("yes" | "no") "!"'))
    assert answer.text in ("yes!", "no!")


def test_the_text_obeys_a_json_schema(model: LlamaModel) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
    answer = model.complete(prompt("go"), wish(schema=schema))
    assert json.loads(answer.text)["n"] in (1, 2)


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "number", "maximum": 0.4}, "maximum"),  # got 43e34
        ({"type": "integer", "multipleOf": 5}, "multipleOf"),
        ({"type": "array", "minItems": 3}, "minItems"),
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, "uniqueItems"),
        ({"type": "string", "format": "email"}, "format"),
        ({"type": "string", "pattern": "^a$", "maxLength": 1}, "maxLength"),
        ({"type": "object", "propertis": {"a": {"const": 1}}}, "propertis"),
        ({"type": "object", "required": ["a"]}, "required"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "requires 'b'"),
        ({"properties": {"v": {"type": "number", "minimum": 0}}}, "properties.v.minimum"),
        ({"anyOf": [{"const": 1}, {"type": "integer", "maximum": 3}]}, r"anyOf\[1\].maximum"),
        ({"type": "array", "items": {"type": "number", "minimum": 1}}, "items.minimum"),
        ({"$ref": "#/$defs/v", "$defs": {"v": {"type": "number", "minimum": 0}}}, r"v\.minimum"),
        ({"allOf": [{"$ref": "#/$defs/v"}], "$defs": {"v": {"enum": [1]}}}, "allOf"),
    ],
)
def test_a_schema_that_would_not_be_kept_is_refused_by_its_word(
    model: LlamaModel, schema: dict[str, Any], word: str
) -> None:
    """llama-cpp-python passes over what it does not know, and the answer was held to the rest."""
    with pytest.raises(ModelError, match=rf"model planner: the JSON schema's .*{word}"):
        model.complete(prompt("go"), wish(schema=schema))


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"title": "n", "type": "integer", "enum": [4, 5]}, lambda found: found in (4, 5)),
        (
            {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
            lambda found: len(found) == 2,
        ),
        ({"type": "string", "minLength": 2, "maxLength": 3}, lambda found: 2 <= len(found) <= 3),
        ({"type": "string", "pattern": "^[ab]{3}$"}, lambda found: set(found) <= {"a", "b"}),
        ({"$ref": "#/$defs/v", "$defs": {"v": {"const": 7}}}, lambda found: found == 7),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
            lambda found: found == {"a": 1, "b": 2},
        ),
    ],
)
def test_what_of_a_schema_can_be_kept_is_kept(
    model: LlamaModel, schema: dict[str, Any], fits: Callable[[Any], bool]
) -> None:
    for seed in range(3):
        answer = model.complete(prompt("go"), wish(schema=schema, temperature=1.0, seed=seed))
        assert fits(json.loads(answer.text)), answer.text


def test_a_bad_grammar_is_refused_without_a_word_on_standard_error(
    model: LlamaModel, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=r"planner: the grammar is no GBNF.*'root'"):
        model.complete(prompt("go"), wish(grammar="| nothing"))
    assert capfd.readouterr().err == ""


def test_a_grammar_without_a_way_on_is_an_error_and_not_the_end_of_the_process(
    model: LlamaModel,
) -> None:
    dead = 'root ::= "go " name\nname ::= "\\x00"'
    with pytest.raises(ModelError, match="leaves no way on"):
        model.complete(prompt("go"), wish(grammar=dead))
    assert model.complete(prompt(PROMPTS[0]), wish()).ending == "end"


def test_loading_says_nothing_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    if llama_native.missing():
        pytest.skip(llama_native.missing())
    open_language_model("planner").close()
    assert capfd.readouterr().err == ""


def test_budgets_end_it(model: LlamaModel) -> None:
    assert model.complete(prompt(PROMPTS[1]), wish(max_tokens=3)).ending == "tokens"
    assert model.complete(prompt(PROMPTS[1]), wish(max_ms=0.001)).ending == "time"


def test_a_stop_text_ends_it_and_is_not_told(model: LlamaModel) -> None:
    whole = model.complete(prompt(PROMPTS[0]), wish()).text
    stop = whole[5:9]
    parts = list(model.stream(prompt(PROMPTS[0]), wish(stop=(stop,))))
    assert "".join(parts) == whole[: whole.index(stop)]
    assert len(parts) >= 1


def test_text_comes_as_it_is_written(model: LlamaModel) -> None:
    parts = list(model.stream(prompt(PROMPTS[0]), wish()))
    assert len(parts) > 3
    assert "".join(parts) == model.complete(prompt(PROMPTS[0]), wish()).text


def test_an_abort_ends_it_and_the_model_goes_on(model: LlamaModel) -> None:
    generation = model.generate(prompt(PROMPTS[1]), wish())
    generation.step()
    generation.abort()
    with pytest.raises(ModelError, match="aborted"):
        generation.step()
    generation.close()
    assert model.complete(prompt(PROMPTS[0]), wish()).ending == "end"


def test_an_abort_from_another_thread_ends_a_step(model: LlamaModel) -> None:
    for delay_ms in (0, 1, 3, 10):
        generation = model.generate(prompt("go " * 150), wish(max_tokens=1000))
        timer = threading.Timer(delay_ms / 1000, generation.abort)
        timer.start()
        with pytest.raises(ModelError, match="aborted"):
            while generation.step() or True:
                pass
        timer.join()
        generation.close()
    assert model.complete(prompt(PROMPTS[0]), wish()).ending == "end"


def test_more_generations_than_places_are_refused_and_a_closed_one_makes_room(
    model: LlamaModel,
) -> None:
    running = [model.generate(prompt(PROMPTS[1]), wish()) for _ in model.places]
    for generation in running:
        generation.step()
    late = model.generate(prompt("go"), wish())
    with pytest.raises(ModelError, match="under way already"):
        late.step()
    running[0].close()
    assert late.step() or late.result()
    for generation in (*running, late):
        generation.close()


def test_embeddings_are_directions_and_alike_for_the_like(model: LlamaModel) -> None:
    go, again, other = map(model.embed, ("go to the P1", "go to the P1", "wait N1 seconds"))
    assert go.shape == (256,)
    assert np.linalg.norm(go) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(go, again)
    assert float(go @ other) < 0.99


def test_a_request_in_plain_values_is_answered_in_plain_values(model: LlamaModel) -> None:
    answering = model.begin({"prompt": prompt(PROMPTS[0]), "special": True, "max_tokens": 40})
    while answering.step():
        pass
    assert json.loads(json.dumps(answering.result()))["ending"] == "end"


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"prompt": "a", "max_token": 3}, "did you mean 'max_tokens'"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens=0"),
        ({"prompt": "a", "max_tokens": "many"}, "can't be read"),
        ({"prompt": "a", "temperature": -1}, "temperature=-1"),
        ({}, "either prompt or messages"),
        ({"embed": "a", "prompt": "b"}, "did you mean"),
        ({"prompt": "word " * 500}, "only 191 fit"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "no chat template"),
        ({"prompt": "a", "grammar": "root ::= x", "schema": {}}, "not both"),
        ({"prompt": "a", "max_tokens": math.inf}, "max_tokens=inf; write a whole number"),
        ({"prompt": "a", "max_ms": 10**400}, "max_ms=1000.*; write a number"),
        ({"prompt": "a", "grammar": ["root"]}, "write GBNF as text"),
        ({"prompt": "a", "schema": [1]}, "write a JSON schema, which is an object"),
        ({"prompt": "a", "schema": {"properties": []}}, "can't be made into a grammar"),
        ({"prompt": "a", "schema": {"items": 5}}, "can't be made into a grammar"),
        ({"prompt": "a", "special": "no"}, "special='no'; write true or false"),
        ({"prompt": "a", "stop": ["b", ""]}, "none of them empty"),
        ({"prompt": "a", "stop": [5]}, "none of them empty"),
        ({"prompt": 5}, "prompt is 5; write text"),
        ({"embed": None}, "embed is None; write text"),
        ({"prompt": "a\ud800"}, "half a letter at 1"),
        ({"prompt": "a", "grammar": "root ::= " + "(" * 300 + ")" * 300}, "nested 300 deep"),
        ({"prompt": "a", "grammar": "root ::= " + "a " * 40_000}, "has 80009 letters"),
    ],
)
def test_a_wrong_request_is_refused_by_name(
    model: LlamaModel, request_: dict[str, object], text: str
) -> None:
    with pytest.raises(ModelError, match=text):
        model.begin(request_)


nothing_much = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = st.recursive(
    nothing_much,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("type", "properties", "items", "enum", "oneOf", "$ref", "minLength", "x")
            ),
            inner | st.sampled_from(("object", "array", "string", "integer")),
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([one.name for one in fields(Wish)]), anything, max_size=3))
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_request_is_answered_or_refused_with_a_model_error(
    model: LlamaModel, request_: dict[str, object]
) -> None:
    try:
        answering = model.begin({"prompt": "go", **request_})
    except ModelError:
        return
    try:
        answering.step()
    except ModelError:
        pass
    finally:
        answering.close()


def test_one_stop_text_needs_no_list() -> None:
    assert read_wish("planner", {"stop": "wait"}).stop == ("wait",)
    assert read_wish("planner", {"stop": ["wait"]}).stop == ("wait",)


@needs_llama
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("micro_batch", -3),
        ("micro_batch", 3),
        ("micro_batch", 10**9),
        ("micro_batch", 32.5),
        ("places", 0),
        ("places", 10**7),
        ("context_tokens", 0),
    ],
)
def test_sizes_that_would_end_the_process_are_refused_by_name(option: str, value: float) -> None:
    source = Registry().find("planner")
    options = source.manifest.options | {option: value}
    manifest = source.manifest.model_copy(update={"options": options})
    with pytest.raises(ModelError, match=rf"model planner: options\.{option} is .* whole number"):
        LlamaModel.load(StoredModel(manifest, source.folder))


EPSILON = "attention.layer_norm_rms_epsilon"


def damaged(folder: Path, change: str) -> StoredModel:
    """Copy the planner with one thing wrong, hash and size told as they are."""
    source = Registry().find("planner")
    data = bytearray(source.read())
    if change == "truncated":
        data = data[: len(data) // 2]
    elif change == "no gguf":
        data[:4] = b"NOPE"
    elif change in ("block_count", "context_length", EPSILON):
        place = data.index(key := f"llama.{change}".encode()) + len(key) + 4  # behind its type
        no_number = struct.pack("<f", math.nan)
        data[place : place + 4] = no_number if change == EPSILON else (2**31).to_bytes(4, "little")
    manifest = source.manifest.model_dump(exclude_unset=True)
    file = {"path": "m.gguf", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    if change == "other hash":
        data[1000] ^= 1
    (folder / "m.gguf").write_bytes(data)
    return StoredModel(make_manifest(manifest | {"files": [file]}, "test"), folder)


@needs_llama
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("truncated", "whole GGUF file"),
        ("no gguf", "whole GGUF file"),
        ("block_count", "its file says llama.block_count = 2147483648, which is not from 1 to 512"),
        ("context_length", "its file says llama.context_length = 2147483648"),
        (EPSILON, f"its file says llama.{EPSILON} = nan, which is no number to compute with"),
        ("other hash", "m.gguf has sha256"),
    ],
)
def test_a_damaged_file_is_refused_by_name(
    tmp_path: Path, change: str, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=f"model planner: .*{text}"):
        LlamaModel.load(damaged(tmp_path, change))
    assert capfd.readouterr().err == ""


def test_what_was_hashed_can_not_be_changed_any_more(tmp_path: Path) -> None:
    stored = damaged(tmp_path, "nothing")
    with SealedFile(stored) as sealed:
        (tmp_path / "m.gguf").write_bytes(b"other")
        assert Path(sealed.path).read_bytes()[:4] == b"GGUF"
        writer = os.open(sealed.path, os.O_RDWR)
        with pytest.raises(OSError, match="Operation not permitted"):
            os.write(writer, b"x")
        os.close(writer)


def test_an_old_processor_is_told_before_anything_crashes(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags\t\t: fpu sse4_2 avx f16c fma\n")
    assert llama_native.lacking_flags(cpuinfo, "x86_64") == ["avx2", "bmi2"]
    assert llama_native.lacking_flags(cpuinfo, "aarch64") == []
    assert llama_native.lacking_flags(tmp_path / "none", "x86_64") == []
