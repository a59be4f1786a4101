"""embed and unembed against torch and Flax, tokens out of range, and bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.layers import embed, embed_spec, unembed
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2, 7)), ids=range(20))
def test_embed_matches_torch(rng):
    vocab, d = rng.integers(1, 12, 2)
    shape = tuple(rng.integers(1, 5, rng.integers(0, 4)))
    tokens = rng.integers(0, vocab, shape).astype(np.int32)
    table = rng.normal(size=(vocab, d)).astype(np.float32)
    assert_matches_torch(
        lambda table: embed({"table": table}, jnp.asarray(tokens)),
        lambda table: torch.nn.functional.embedding(torch.tensor(tokens).long(), table),
        [table],
    )


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2, 7)), ids=range(20))
def test_unembed_matches_torch(rng):
    vocab, d = rng.integers(1, 12, 2)
    leading = tuple(rng.integers(1, 5, rng.integers(0, 4)))
    arrays = [rng.normal(size=s).astype(np.float32) for s in [(vocab, d), (*leading, d)]]
    assert_matches_torch(
        lambda table, x: unembed({"table": table}, x),
        lambda table, x: torch.nn.functional.linear(x, table),
        arrays,
    )


def test_matches_flax():
    module = flax.linen.Embed(7, 4)
    tokens = jnp.array([[1, 6, 0]])
    variables = module.init(jax.random.key(0), tokens)
    p = {"table": variables["params"]["embedding"]}
    x = jax.random.normal(jax.random.key(1), (2, 4))
    np.testing.assert_array_equal(embed(p, tokens), module.apply(variables, tokens))
    np.testing.assert_allclose(unembed(p, x), module.apply(variables, x, method="attend"), rtol=1e-6)


@pytest.mark.parametrize("token", [-1, 5])
def test_a_token_out_of_range_is_an_error_or_nan_and_never_clamped(token):
    p = init(embed_spec(5, 3), jax.random.key(0))
    tokens = jnp.array([2, token])
    with pytest.raises(ValueError, match=r"embed: expected tokens in 0..4 \(5 rows in its table\), found"):
        embed(p, tokens)
    rows = jax.jit(embed)(p, tokens)
    assert np.isfinite(rows[0]).all()
    assert np.isnan(rows[1]).all()


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (jnp.ones(3), TypeError, r"embed: expected integers, found float32\[3\]"),
        (jnp.ones((0,), jnp.int32), ValueError, r"embed: expected at least one example"),
    ],
)
def test_embed_bad_input_is_one_clear_error(tokens, error, message):
    with pytest.raises(error, match=message):
        embed(init(embed_spec(5, 2), jax.random.key(0)), tokens)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (jnp.ones((4, 3)), ValueError, r"unembed: its parameters expect input \[...,2\], found float32\[4,3\]"),
        (jnp.ones((4, 2), jnp.int32), TypeError, r"unembed: expected floating-point input, found int32\[4,2\]"),
        (jnp.ones((0, 2)), ValueError, r"unembed: expected at least one example"),
    ],
)
def test_unembed_bad_input_is_one_clear_error(x, error, message):
    with pytest.raises(error, match=message):
        unembed(init(embed_spec(5, 2), jax.random.key(0)), x)
