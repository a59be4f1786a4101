"""A real BERT encoder, six layers of 384, gives what torch computes from the same file.

The model: "MiniLM", Wang et al., 2020, as fine-tuned for sentences; post-norm, exact GELU, mean pooling.
"""

import json

import jax
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from jnn.data import data_root, read_safetensors
from jnn.interop.torch import load_state_dict
from jnn.models import encoder, encoder_from_hf, encoder_spec, mean_pool

D, LAYERS, HEADS, EPSILON = 384, 6, 12, 1e-12


def torch_encoder(weights, tokens, lengths):
    """The same from torch's functions and the file's own names."""
    p = {name: torch.tensor(array) for name, array in weights.items()}
    b, t = tokens.shape
    dense = lambda x, name: F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])
    norm = lambda x, name: F.layer_norm(x, (D,), p[f"{name}.LayerNorm.weight"], p[f"{name}.LayerNorm.bias"], EPSILON)
    heads = lambda x: x.reshape(b, t, HEADS, -1).transpose(1, 2)
    real = torch.arange(t)[None] < torch.tensor(lengths)[:, None]
    x = F.embedding(torch.tensor(tokens).long(), p["embeddings.word_embeddings.weight"])
    x = x + p["embeddings.position_embeddings.weight"][:t] + p["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        q, k, v = (heads(dense(x, f"{layer}.attention.self.{name}")) for name in ("query", "key", "value"))
        h = F.scaled_dot_product_attention(q, k, v, real[:, None, None]).transpose(1, 2).reshape(b, t, D)
        x = norm(x + dense(h, f"{layer}.attention.output.dense"), f"{layer}.attention.output")
        h = dense(F.gelu(dense(x, f"{layer}.intermediate.dense")), f"{layer}.output.dense")
        x = norm(x + h, f"{layer}.output")
    return (x * real[..., None]).sum(1) / real.sum(1, keepdim=True)


@pytest.fixture(scope="module")
def published():
    """What its config.json says, and the arrays of its file."""
    folder = data_root() / "weights" / "minilm"
    for name in ("model.safetensors", "config.json"):
        if not (folder / name).is_file():
            pytest.skip(f"weights/minilm/{name} is not in {data_root()}; set JNN_DATA to where it is.")
    arrays = read_safetensors(folder / "model.safetensors")
    fields = json.loads((folder / "config.json").read_text())
    return fields, {name.removeprefix("bert."): array for name, array in arrays.items()}


def test_the_real_encoder_gives_torchs_outputs(published):
    fields, weights = published
    config, names = encoder_from_hf(fields)
    params = load_state_dict(encoder_spec(config), weights, names, ignore=["pooler.*", "*position_ids"])

    @jax.jit
    def embedded(params, tokens, lengths):
        return mean_pool(encoder(params, tokens, config, key=None, lengths=lengths), lengths=lengths)

    rng = np.random.default_rng(0)
    tokens, lengths = rng.integers(0, config.vocab, (3, 20)).astype(np.int32), np.array([20, 7, 1], np.int32)
    ours = embedded(params, tokens, lengths)
    np.testing.assert_allclose(ours, torch_encoder(weights, tokens, lengths), atol=1e-4)
    # and padding is never looked at
    other = np.where(np.arange(20) < lengths[:, None], tokens, 0)
    np.testing.assert_allclose(embedded(params, other, lengths), ours, atol=1e-6)
