"""Llama by a GGUF file of llama.cpp's: what it is, and the names of its weights there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models.decoders._config import DecoderConfig

LLAMA = "llama."
KNOWN: Mapping[str, str] = {  # of its metadata: as `DecoderConfig` has them
    "block_count": "layers",
    "embedding_length": "embed",
    "feed_forward_length": "hidden",
    "attention.head_count": "heads",
    "attention.head_count_kv": "kv_heads",
    "attention.key_length": "head",
    "attention.layer_norm_rms_epsilon": "epsilon",
    "rope.freq_base": "rope_theta",
}
NEEDED = ("block_count", "embedding_length", "feed_forward_length", "attention.head_count")
ALSO = {
    "context_length",
    "vocab_size",
    "attention.value_length",
    "rope.dimension_count",
}  # said by shapes, or of no value


def llama_from_gguf(metadata: Mapping[str, Any], arrays: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Llama, from a GGUF file of llama.cpp's: what it is, and the names of its weights.

    See "GGUF", ggml, 2023. Rows of queries and keys lie there so that neighbours are turned together: the config says
    so, and nothing is put in another order. SmolLM2 and others are of its shape.

    Args:
      metadata, arrays: what `jnn.data.read_gguf` gives.

    Returns:
      A config for `decoder`, and {path: name} for `jnn.interop.torch.load_state_dict` of the arrays.

    Raises:
      TypeError: they are no mappings.
      ValueError: it is of another family, lacks a field, or has one that is not computed.

    >>> metadata = {"general.architecture": "llama", "llama.block_count": 2, "llama.embedding_length": 8}
    >>> metadata |= {"llama.feed_forward_length": 16, "llama.attention.head_count": 2}
    >>> import numpy as np
    >>> config, names = llama_from_gguf(metadata, {"token_embd.weight": np.zeros((11, 8))})
    >>> config.vocab, config.tied, config.rope_interleaved, names["blocks/down/*"]
    (11, True, True, 'blk.{i}.ffn_down.*')
    """
    if not isinstance(metadata, Mapping) or not isinstance(arrays, Mapping):
        raise TypeError("llama_from_gguf: expected metadata and arrays: llama_from_gguf(*read_gguf(path)).")
    fields = {name.removeprefix(LLAMA): value for name, value in metadata.items() if name.startswith(LLAMA)}
    kind = metadata.get("general.architecture")
    problems = [f"general.architecture={kind!r}"] if kind != "llama" else []
    problems += [f"{LLAMA}{name} is missing" for name in NEEDED if name not in fields]
    problems += [f"{LLAMA}{name}={fields[name]!r} is not known" for name in fields.keys() - KNOWN.keys() - ALSO]
    problems += ["token_embd.weight is missing"] if "token_embd.weight" not in arrays else []
    if problems:
        raise ValueError(f"llama_from_gguf: this file is not one of Llama's: {'; '.join(problems)}.")
    found = DecoderConfig(
        **{ours: fields[name] for name, ours in KNOWN.items() if name in fields},
        vocab=arrays["token_embd.weight"].shape[0],
        tied="output.weight" not in arrays,
        rope_interleaved=True,
    )
    if (turned := fields.get("rope.dimension_count", found.head_size)) != found.head_size:
        raise ValueError(f"llama_from_gguf: expected rope.dimension_count={found.head_size}, a head's, found {turned}.")
    return found, _names(found.tied)


def _names(tied: bool) -> dict[str, str]:
    layer = "blk.{i}"
    return {
        "embed/*": "token_embd.*",
        "blocks/attention/o/*": f"{layer}.attn_output.*",
        "blocks/attention/*/*": f"{layer}.attn_*.*",
        "blocks/norm1/*": f"{layer}.attn_norm.*",
        "blocks/norm2/*": f"{layer}.ffn_norm.*",
        **{f"blocks/{name}/*": f"{layer}.ffn_{name}.*" for name in ("gate", "up", "down")},
        "norm/*": "output_norm.*",
        **({} if tied else {"out/*": "output.*"}),
    }
