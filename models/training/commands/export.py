"""Writes a trained planner as GGUF: float32 first, then llama.cpp's own quantization."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import torch

from olympus.models.training.commands.bpe import ANSWER, BEGIN, END, PAD, SPECIAL, Tokenizer
from olympus.models.training.commands.net import Shape


def export(
    weights: dict[str, torch.Tensor], shape: Shape, tokenizer: Tokenizer, path: Path
) -> None:
    """Write weights and tokenizer into one file that llama.cpp loads.

    Args:
        weights: By the names of `net.Net`, which are GGUF's own.
        shape: Sizes of the network.
        tokenizer: Its vocabulary has `shape.vocabulary` tokens.
        path: The file, float32.
    """
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_tokenizer(writer, tokenizer)
    for name, weight in weights.items():
        writer.add_tensor(_gguf_name(name), weight.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokenizer.vocabulary)
    writer.add_token_types([control if t in SPECIAL else normal for t in tokenizer.vocabulary])
    writer.add_token_merges([f"{a} {b}" for a, b in tokenizer.merges])
    writer.add_bos_token_id(SPECIAL.index(BEGIN))
    writer.add_eos_token_id(SPECIAL.index(END))
    writer.add_pad_token_id(SPECIAL.index(PAD))
    writer.add_sep_token_id(SPECIAL.index(ANSWER))
    writer.add_add_bos_token(False)


def _gguf_name(name: str) -> str:
    """`blk.0.attn_q.weight` and the others are the same in both."""
    return name
