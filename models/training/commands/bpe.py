"""A byte-level BPE tokenizer as GPT-2 has it: learned here, written into the GGUF file.

Source: Sennrich, Haddow & Birch (2016), "Neural Machine Translation of Rare Words with Subword
Units"; byte alphabet and word pattern after Radford et al. (2019), "Language Models are Unsupervised
Multitask Learners", so that llama.cpp's `gpt2` tokenizer splits alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Final

BEGIN, ANSWER, END, PAD = "<|begin|>", "<|answer|>", "<|end|>", "<|pad|>"
SPECIAL: Final = (BEGIN, ANSWER, END, PAD)
_PATTERN = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+", re.UNICODE
)
OFTEN: Final = 6
"""Words met less often say nothing about what to merge."""
Pair = tuple[str, str]


def byte_letters() -> list[str]:
    """Give each byte a letter that can be printed."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(spare)) for byte in range(256)]


_LETTERS = byte_letters()


def words_of(text: str) -> list[tuple[str, ...]]:
    """Part a text into words, each a tuple of byte letters."""
    return [tuple(_LETTERS[byte] for byte in word.encode()) for word in _PATTERN.findall(text)]


class Tokenizer:
    """Turns text into token numbers: the special tokens first, then bytes, then merges."""

    def __init__(self, merges: Iterable[Pair]) -> None:
        """Take the merges in the order they were learned."""
        self.merges = list(merges)
        self.vocabulary = [*SPECIAL, *_LETTERS, *(a + b for a, b in self.merges)]
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._ids = {token: i for i, token in enumerate(self.vocabulary)}
        self._word = lru_cache(100_000)(self._encode_word)

    def encode(self, text: str) -> list[int]:
        """Give the numbers of a text without special tokens."""
        return [number for word in words_of(text) for number in self._word(word)]

    def _encode_word(self, word: tuple[str, ...]) -> tuple[int, ...]:
        parts = list(word)
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, 1 << 30) for pair in pairwise(parts)]
            best = min(ranks)
            if best == 1 << 30:
                break
            at = ranks.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return tuple(self._ids[part] for part in parts)


def learn(texts: Iterable[str], size: int) -> Tokenizer:
    """Learn merges until the vocabulary has a size; digits are never merged.

    Args:
        texts: What to learn from.
        size: Number of tokens, special ones and bytes included.
    """
    counts = Counter(word for text in texts for word in words_of(text))
    often = {word: n for word, n in counts.items() if n >= OFTEN}
    words = [(list(word), n) for word, n in often.items() if not any(c.isdigit() for c in word)]
    merges: list[Pair] = []
    while len(SPECIAL) + 256 + len(merges) < size:
        pairs: Counter[Pair] = Counter()
        for parts, n in words:
            for pair in pairwise(parts):
                pairs[pair] += n
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for parts, _ in words:
            _merge(parts, best)
    return Tokenizer(merges)


def _merge(parts: list[str], pair: Pair) -> None:
    at = 0
    while at < len(parts) - 1:
        if (parts[at], parts[at + 1]) == pair:
            parts[at : at + 2] = [pair[0] + pair[1]]
        at += 1
