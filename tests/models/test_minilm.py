"""A real BERT encoder, six layers of 384, written with jnn's blocks, gives what torch computes from the same file.

The model: "MiniLM", Wang et al., 2020, as fine-tuned for sentences; post-norm, exact GELU, mean pooling.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import jnn
from jnn.data import data_root, read_safetensors
from jnn.layers import (
    attention,
    attention_spec,
    embed,
    embed_spec,
    layer_norm,
    layer_norm_spec,
    learned_positions,
    learned_positions_spec,
    length_mask,
    linear,
    linear_spec,
)

D, HEADS, HIDDEN, LAYERS, VOCAB, CONTEXT, EPSILON = 384, 12, 1536, 6, 30522, 512, 1e-12


def encoder_spec():
    block = {
        "attention": attention_spec(D, HEADS),
        "norm1": layer_norm_spec(D),
        "up": linear_spec(D, HIDDEN),
        "down": linear_spec(HIDDEN, D, axes=("hidden", "embed")),
        "norm2": layer_norm_spec(D),
    }
    return {
        "embed": embed_spec(VOCAB, D),
        "position": learned_positions_spec(CONTEXT, D),
        "segment": embed_spec(2, D, axes=("segment", "embed")),
        "norm": layer_norm_spec(D),
        "blocks": jnn.stack(block, LAYERS),
    }


def encoder(p, tokens, lengths):
    """Tokens (b, t) to a vector for each of b sentences."""
    norm = lambda p, x: layer_norm(p, x, epsilon=EPSILON)
    t = tokens.shape[-1]
    offsets = learned_positions(p["position"], jnp.arange(t)) + p["segment"]["table"][:1]
    x = norm(p["norm"], embed(p["embed"], tokens) + offsets[None])

    def block(x, p):
        x = norm(p["norm1"], x + attention(p["attention"], x, mask=length_mask(lengths, t)))
        h = linear(p["down"], jax.nn.gelu(linear(p["up"], x), approximate=False))
        return norm(p["norm2"], x + h), None

    x, _ = jax.lax.scan(block, x, p["blocks"])
    real = length_mask(lengths, t)[:, 0, :, None]
    return jnp.sum(jnp.where(real, x, 0), 1) / lengths[:, None]


def arrays_for_jnn(weights):
    """The file's arrays under our paths; torch's rows are outputs, and ours split into heads."""
    of_layers = lambda name: np.stack([weights[f"encoder.layer.{i}.{name}"] for i in range(LAYERS)])
    head = D // HEADS
    out, norm2 = "attention.output", "output.LayerNorm"
    arrays = {
        "embed/table": weights["embeddings.word_embeddings.weight"],
        "position/table": weights["embeddings.position_embeddings.weight"],
        "segment/table": weights["embeddings.token_type_embeddings.weight"],
        "norm/scale": weights["embeddings.LayerNorm.weight"],
        "norm/bias": weights["embeddings.LayerNorm.bias"],
        "blocks/attention/o/w": of_layers(f"{out}.dense.weight").swapaxes(1, 2).reshape(LAYERS, HEADS, head, D),
        "blocks/attention/o/b": of_layers(f"{out}.dense.bias"),
        "blocks/norm1/scale": of_layers(f"{out}.LayerNorm.weight"),
        "blocks/norm1/bias": of_layers(f"{out}.LayerNorm.bias"),
        "blocks/norm2/scale": of_layers(f"{norm2}.weight"),
        "blocks/norm2/bias": of_layers(f"{norm2}.bias"),
    }
    for ours, theirs in {"q": "query", "k": "key", "v": "value"}.items():
        w, b = (of_layers(f"attention.self.{theirs}.{kind}") for kind in ("weight", "bias"))
        arrays[f"blocks/attention/{ours}/w"] = w.swapaxes(1, 2).reshape(LAYERS, D, HEADS, head)
        arrays[f"blocks/attention/{ours}/b"] = b.reshape(LAYERS, HEADS, head)
    for ours, theirs in {"up": "intermediate", "down": "output"}.items():
        arrays[f"blocks/{ours}/w"] = of_layers(f"{theirs}.dense.weight").swapaxes(1, 2)
        arrays[f"blocks/{ours}/b"] = of_layers(f"{theirs}.dense.bias")
    return arrays


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
def weights():
    path = data_root() / "weights" / "minilm" / "model.safetensors"
    if not path.is_file():
        pytest.skip(f"weights/minilm/model.safetensors is not in {data_root()}; set JNN_DATA to where it is.")
    return {name.removeprefix("bert."): array for name, array in read_safetensors(path).items()}


def test_the_real_encoder_gives_torchs_outputs(weights):
    params = jnn.load(encoder_spec(), arrays_for_jnn(weights))
    rng = np.random.default_rng(0)
    tokens, lengths = rng.integers(0, VOCAB, (3, 20)).astype(np.int32), np.array([20, 7, 1], np.int32)
    ours = jax.jit(encoder)(params, tokens, lengths)
    np.testing.assert_allclose(ours, torch_encoder(weights, tokens, lengths), atol=1e-4)
    # and padding is never looked at
    other = np.where(np.arange(20) < lengths[:, None], tokens, 0)
    np.testing.assert_allclose(jax.jit(encoder)(params, other, lengths), ours, atol=1e-6)
