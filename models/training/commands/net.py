"""The planner's network: a Llama of three layers, as llama.cpp computes it.

Source: Touvron et al. (2023), "LLaMA: Open and Efficient Foundation Language Models"; rotary
positions after Su et al. (2021), interleaved as GGUF files of the `llama` architecture have them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network."""

    vocabulary: int = 1024
    width: int = 256
    layers: int = 3
    heads: int = 8
    kv_heads: int = 4
    inner: int = 512
    context: int = 192
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.width // self.heads


class Block(nn.Module):
    """Attention and a gated layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv = shape.kv_heads * shape.head
        self.attn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.attn_q = nn.Linear(shape.width, shape.width, bias=False)
        self.attn_k = nn.Linear(shape.width, kv, bias=False)
        self.attn_v = nn.Linear(shape.width, kv, bias=False)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.ffn_gate = nn.Linear(shape.width, shape.inner, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.inner, bias=False)
        self.ffn_down = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Give (batch, time, width) for (batch, time, width)."""
        shape, (b, t, _) = self.shape, x.shape
        y = self.attn_norm(x)
        q = rotate(self.attn_q(y).view(b, t, shape.heads, shape.head).transpose(1, 2), turn)
        k = rotate(self.attn_k(y).view(b, t, shape.kv_heads, shape.head).transpose(1, 2), turn)
        v = self.attn_v(y).view(b, t, shape.kv_heads, shape.head).transpose(1, 2)
        groups = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(y.transpose(1, 2).reshape(b, t, shape.width))
        y = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(y)) * self.ffn_up(y))


class Net(nn.Module):
    """From tokens to the scores of the next one; embedding and output share their weights."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        rates = shape.rope_base ** (-torch.arange(0, shape.head, 2) / shape.head)
        angles = torch.outer(torch.arange(shape.context), rates)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                deep = name.endswith(("attn_output.weight", "ffn_down.weight"))
                std = 0.02 / (2 * shape.layers) ** 0.5 if deep else 0.02
                nn.init.normal_(weight, std=std if "embd" in name or deep else 0.04)

    def forward(self, tokens: Tensor) -> Tensor:
        """Give what is known behind each token: (batch, time, width)."""
        x = self.token_embd(tokens)
        time = tokens.shape[1]
        turn = (self.cos[:time], self.sin[:time])
        for block in self.blk:
            x = block(x, turn)
        return self.output_norm(x)

    def loss(self, tokens: Tensor, wanted: Tensor) -> Tensor:
        """Give the cross entropy where `wanted` is not -100."""
        known = self(tokens)
        where = wanted != -100
        scores = known[where] @ self.token_embd.weight.T
        return functional.cross_entropy(scores.float(), wanted[where])


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn pairs of neighbours by an angle that grows with their place."""
    cos, sin = turn
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)
