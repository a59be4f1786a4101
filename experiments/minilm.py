"""MiniLM, a trained encoder of sentences, from its published files: `weights/minilm/` below the data directory.

pretrained(data_dir) -> (config, spec, params)
word_pieces(texts, most, data_dir) -> (ids, lengths)
sentence_vectors(texts, data_dir) -> (n, 384)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from experiments.chunks import in_chunks
from jnn import models
from jnn.data import find, read_safetensors
from jnn.interop.torch import load_state_dict
from jnn.optional import optional

BATCH, PIECES = 64, 32  # of sentences that are encoded together, and the most of each


def _file(data_dir: str | None, name: str) -> Path:
    return find(data_dir, f"weights/minilm/{name}", how="put MiniLM's there")


def pretrained(data_dir: str | None = None) -> tuple[Any, Any, Any]:
    """MiniLM: its config, its spec and its parameters."""
    sizes, names = models.bert_from_hf(json.loads(_file(data_dir, "config.json").read_text()))
    spec, ignored = models.encoder_spec(sizes), ("pooler.*", "*position_ids")
    weights = read_safetensors(_file(data_dir, "model.safetensors"))
    return sizes, spec, load_state_dict(spec, weights, names, ignore=ignored)


def word_pieces(
    texts: Sequence[str], most: int, data_dir: str | None = None, *, cut: Literal["left", "right"] = "right"
) -> tuple[np.ndarray, np.ndarray]:
    """Word pieces (n, most) of texts, int32, as MiniLM was trained to read them, and how many each has.

    Of a longer text it cuts off what is left or right.
    """
    tokenizer = optional("tokenizers", "text").Tokenizer.from_file(str(_file(data_dir, "tokenizer.json")))
    tokenizer.enable_truncation(most, direction=cut)
    tokenizer.enable_padding(length=most)
    found = tokenizer.encode_batch(list(texts))
    lengths = [sum(one.attention_mask) for one in found]
    return np.array([one.ids for one in found], np.int32), np.array(lengths, np.int32)


def sentence_vectors(texts: Sequence[str], data_dir: str | None = None) -> np.ndarray:
    """Sentences as vectors of length 1 (n, 384), by MiniLM as it was published: the means of their pieces' vectors."""
    sizes, _, params = pretrained(data_dir)
    ids, lengths = word_pieces(texts, PIECES, data_dir)

    @jax.jit
    def encoded(ids: jax.Array, lengths: jax.Array) -> jax.Array:
        hidden = models.encoder(params, ids, sizes, key=None, lengths=lengths, remat=None)
        return models.mean_pool(hidden, lengths=lengths, unit=True)

    return in_chunks(lambda batch: encoded(batch["x"], batch["length"]), {"x": ids, "length": lengths}, BATCH)
