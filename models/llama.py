"""Runs GGUF language models with llama.cpp: one thread, bounded steps, silent."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from olympus.models import llama_native
from olympus.models.blame import BusyError
from olympus.models.generation import Generation, as_array
from olympus.models.llama_place import Place
from olympus.models.llama_request import Answering, Embedding, read_row, read_text, read_wish
from olympus.models.llama_sizes import refuse_impossible, sizes_of
from olympus.models.manifest import Manifest
from olympus.models.registry import Registry, StoredModel
from olympus.models.sealed import SealedFile
from olympus.models.wish import Completion, Wish
from olympus.runtime.errors import ModelError, did_you_mean

LONGEST_TEMPLATE: Final = 1 << 20


class LlamaModel:
    """A loaded language model. Calls from several threads take turns at each step."""

    def __init__(self, manifest: Manifest, handle: Any, *, threads: int = 1) -> None:
        """Take a loaded model; use `load` instead."""
        self.manifest, self.native = manifest, llama_native.library()
        self.name = manifest.name
        self._handle, self._threads = handle, threads
        self.vocab = self.native.llama_model_get_vocab(handle)
        places, self.batch, context = sizes_of(manifest)
        trained = int(self.native.llama_model_n_ctx_train(handle))
        self.context_tokens = min(context, trained)
        self.places: Sequence[Place] = [Place(i, self) for i in range(places)]
        self._lock = threading.RLock()
        self._embedder: Any = None
        self.context = self._new_context(len(self.places))
        self.abort_flag = llama_native.AbortFlag(self.native, self.context)
        self._batch = self.native.llama_batch_init(self.batch, 0, 1)

    @classmethod
    def load(cls, stored: StoredModel, *, threads: int = 1) -> Self:
        """Load a model and let it read one token.

        Args:
            stored: From `Registry.find`; its `options` may set `context_tokens`, `micro_batch` and
                `places`.
            threads: For one model; more than one is slower for small models on a busy machine.

        Raises:
            ModelError: The file is changed, damaged or no GGUF file, or llama.cpp is not here.
        """
        manifest = stored.manifest
        if manifest.format != "gguf":
            raise ModelError(f"model {manifest.name}: format is {manifest.format}, not gguf")
        sizes_of(manifest)  # what is wrong with them is told before the file is read
        native = llama_native.library()
        with SealedFile(stored) as sealed, llama_native.quiet_stderr():
            refuse_impossible(manifest.name, sealed.path)
            settings = native.llama_model_default_params()
            settings.n_gpu_layers = 0
            handle = native.llama_model_load_from_file(sealed.path.encode(), settings)
        if not handle:
            raise ModelError(
                f"model {manifest.name}: file {manifest.model_file.path} can't be loaded by "
                "llama.cpp; is it a whole GGUF file of an architecture that it knows?"
            )
        model = cls(manifest, handle, threads=threads)
        model.complete("a", Wish(max_tokens=1))
        return model

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Turn text into tokens; never none, for an empty text is the model's first token."""
        tokens = llama_native.tokenize(self.native, self.vocab, text, special=special)
        return tokens or [int(self.native.llama_vocab_bos(self.vocab))]

    def generate(self, prompt: str, wish: Wish | None = None) -> Generation:
        """Begin a text; the scheduler or the caller steps it.

        Raises:
            ModelError: The wish or its grammar is wrong, or the prompt is too long.
        """
        wish = wish or Wish()
        wish.check(self.name)
        tokens = self.tokenize(prompt, special=wish.special)
        if len(tokens) >= self.context_tokens:
            raise ModelError(
                f"model {self.name}: the prompt has {len(tokens)} tokens, but only "
                f"{self.context_tokens - 1} fit; shorten it or raise options.context_tokens"
            )
        with self._lock:
            return Generation(self, tokens, wish)

    def complete(self, prompt: str, wish: Wish | None = None) -> Completion:
        """Generate a whole text."""
        return self.generate(prompt, wish).run()

    def stream(self, prompt: str, wish: Wish | None = None) -> Iterator[str]:
        """Generate a text and give it as it comes."""
        generation = self.generate(prompt, wish)
        try:
            more = True
            while more:
                more = generation.step()
                if (text := generation.news()) is not None:
                    yield text
        finally:
            generation.close()

    def chat(self, messages: Sequence[Mapping[str, str]], wish: Wish | None = None) -> Completion:
        """Answer a conversation.

        Args:
            messages: `{"role": "system" | "user" | "assistant", "content": ...}`, oldest first.
            wish: How to answer.

        Raises:
            ModelError: The model has no chat template that llama.cpp knows.
        """
        return self.complete(self.chat_prompt(messages), replace(wish or Wish(), special=True))

    def chat_prompt(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Write a conversation as the model was taught to read it.

        Raises:
            ModelError: A message is not one, or the model has no template that llama.cpp knows.
        """
        native = self.native
        template = native.llama_model_chat_template(self._handle, None)
        if not template:
            raise ModelError(
                f"model {self.name}: its file holds no chat template; use completion instead"
            )
        rows = (native.llama_chat_message * len(messages))()
        kept = [read_row(self.name, message) for message in messages]
        for row, (role, content) in zip(rows, kept, strict=True):
            row.role, row.content = role, content
        room = 256 + 2 * sum(len(role) + len(content) + 32 for role, content in kept)
        buffer = ctypes.create_string_buffer(min(room, LONGEST_TEMPLATE))
        size = native.llama_chat_apply_template(
            template, rows, len(messages), True, buffer, len(buffer)
        )
        if not 0 <= size <= len(buffer):
            raise ModelError(f"model {self.name}: llama.cpp doesn't know its chat template")
        return buffer.raw[:size].decode(errors="replace")

    def embed(self, text: str) -> NDArray[np.float32]:
        """Give a text's meaning as a direction.

        Args:
            text: At most as long as the context.

        Returns:
            (width,) float32 of length 1: the mean over the last layer.

        Raises:
            ModelError: The text is too long, or the model can't.
        """
        tokens, native = self._embeddable(text), self.native
        with self._lock:
            if self._embedder is None:
                self._embedder = self._new_context(1, is_embedding=True)
            native.llama_memory_clear(native.llama_get_memory(self._embedder), True)
            room = as_array(tokens, native)
            code = native.llama_decode(
                self._embedder, native.llama_batch_get_one(room, len(tokens))
            )
            pointer = native.llama_get_embeddings_seq(self._embedder, 0)
            if code != 0 or not pointer:
                raise ModelError(f"model {self.name}: embedding failed (llama_decode gave {code})")
            width = native.llama_model_n_embd(self._handle)
            vector = np.ctypeslib.as_array(pointer, (width,)).astype(np.float32)
        return _unit(self.name, vector)

    def _embeddable(self, text: str) -> list[int]:
        tokens = self.tokenize(text)
        if not 0 < len(tokens) <= self.context_tokens:
            raise ModelError(
                f"model {self.name}: the text has {len(tokens)} tokens; "
                f"1 to {self.context_tokens} can be embedded"
            )
        return tokens

    def begin(self, request: Mapping[str, Any]) -> Answering | Embedding:
        """Begin what a request in plain JSON values asks for.

        Args:
            request: `prompt` or `messages`, and any field of `Wish`; or `embed` alone, a text whose
                meaning is asked for.

        Raises:
            ModelError: A field is unknown or wrong.
        """
        if request.keys() == {"embed"}:
            text = read_text(self.name, request, "embed")
            return Embedding(self.embed, text, len(self._embeddable(text)))
        known = {one.name for one in fields(Wish)}
        extra = sorted(request.keys() - known - {"prompt", "messages"})
        if extra:
            raise ModelError(f"model {self.name}: {did_you_mean(extra[0], known | {'prompt'})}")
        if ("prompt" in request) == ("messages" in request):
            raise ModelError(f"model {self.name}: give either prompt or messages")
        wish = read_wish(
            self.name, {name: request[name] for name in sorted(known & request.keys())}
        )
        if "prompt" in request:
            return Answering(self.generate(read_text(self.name, request, "prompt"), wish))
        return Answering(
            self.generate(self.chat_prompt(request["messages"]), replace(wish, special=True))
        )

    @property
    def is_idle(self) -> bool:
        """Whether no text is under way."""
        return not any(place.is_taken for place in self.places)

    def close(self) -> None:
        """Free its memory; nothing may be under way."""
        with self._lock:
            if self._handle is None:
                return
            self.native.llama_batch_free(self._batch)
            self.native.llama_free(self.context)
            if self._embedder is not None:
                self.native.llama_free(self._embedder)
            self.native.llama_model_free(self._handle)
            self._handle = None

    def take_place(self, tokens: Sequence[int]) -> Place:
        """Give a generation the free place that holds most of its prompt already.

        Raises:
            BusyError: All are taken.
        """
        with self._lock:
            free = [place for place in self.places if not place.is_taken]
            if not free:
                raise BusyError(
                    f"model {self.name}: {len(self.places)} generations are under way already; let "
                    "one end or raise options.places"
                )
            best = max(free, key=lambda p: (p.reusable(tokens, self.batch), -len(p.tokens)))
            best.is_taken = True
            return best

    def decode(self, place: int, start: int, tokens: Sequence[int], *, is_last: bool) -> None:
        """Let llama.cpp compute; see `Place.decode`.

        Raises:
            ModelError: Aborted, or llama.cpp can't.
        """
        batch = self._batch
        with self._lock:
            batch.n_tokens = len(tokens)
            for i, token in enumerate(tokens):
                batch.token[i], batch.pos[i] = token, start + i
                batch.n_seq_id[i] = 1
                batch.seq_id[i][0] = place
                batch.logits[i] = is_last and i == len(tokens) - 1
            code = self.native.llama_decode(self.context, batch)
        if code == 2:
            raise ModelError(f"model {self.name}: the generation was aborted")
        if code != 0:
            raise ModelError(f"model {self.name}: llama.cpp could not go on (llama_decode: {code})")

    def _new_context(self, places: int, *, is_embedding: bool = False) -> Any:
        native = self.native
        settings = native.llama_context_default_params()
        settings.n_ctx = self.context_tokens * places
        settings.n_batch = settings.n_ubatch = self.context_tokens if is_embedding else self.batch
        settings.n_seq_max = places
        settings.n_threads = settings.n_threads_batch = self._threads
        settings.kv_unified = False  # else what others wait for changes how sums are rounded
        settings.no_perf = True
        settings.embeddings = is_embedding
        if is_embedding:
            settings.pooling_type = 1  # mean
        with llama_native.quiet_stderr():
            context = native.llama_init_from_model(self._handle, settings)
        if not context:
            raise ModelError(
                f"model {self.name}: no memory for {places} x {self.context_tokens} tokens; lower "
                "options.context_tokens or options.places"
            )
        return context


def open_language_model(
    name_or_path: str, *, registry: Registry | None = None, threads: int = 1
) -> LlamaModel:
    """Find and load a language model in one step.

    Raises:
        ModelError: It is not known, or can't be loaded.
    """
    return LlamaModel.load((registry or Registry()).find(name_or_path), threads=threads)


def _unit(model: str, vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    if not math.isfinite(length) or length == 0:
        raise ModelError(f"model {model}: the embedding holds NaN, infinity or nothing")
    return vector / np.float32(length)
