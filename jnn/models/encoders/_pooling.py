"""Pooling: one vector of all that an encoder gave for a row.

    pooler(p, x, config) -> (..., d)            of the first token
    mean_pool(x, lengths=lengths) -> (..., d)   of all: a sentence's embedding

Laws: the mean does not depend on padding, whatever it holds.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks, vectors
from jnn.initializers import normal
from jnn.layers import length_mask, linear, linear_spec
from jnn.models.encoders._config import EncoderConfig
from jnn.param import Params, Spec
from jnn.precision import wide


def pooler_spec(config: EncoderConfig, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a pooler: {"w": (embed, embed), "b": (embed,)}.

    >>> pooler_spec(EncoderConfig(vocab=9, layers=1, heads=2, embed=8, hidden=8, context=4))["w"].shape
    (8, 8)
    """
    return linear_spec(config.embed, config.embed, axes=("embed", "pooled"), init=normal(0.02), dtype=dtype)


def pooler(p: Params, x: jax.Array, config: EncoderConfig) -> jax.Array:
    """Pooler: `tanh(x[0] @ w + b)` of the first token's vector; (..., t, embed) -> (..., embed).

    See "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", Devlin et al., 2019.

    >>> config = EncoderConfig(vocab=9, layers=1, heads=1, embed=2, hidden=8, context=4)
    >>> pooler({"w": jnp.eye(2)}, jnp.array([[0.0, 1.0], [5.0, 5.0]]), config).round(3)
    Array([0.   , 0.762], dtype=float32)
    """
    checks.floats("pooler", x, ndim=2)
    return config.pool_activation(linear(p, x[..., 0, :]))


def mean_pool(x: jax.Array, *, lengths: jax.Array | None = None, unit: bool = False) -> jax.Array:
    """Mean pooling: the mean of the tokens' vectors, a sentence's embedding; (..., t, d) -> (..., d).

    See "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", Reimers and Gurevych, 2019.

    Args:
      x: (..., t, d), floating point.
      lengths: (...), how many tokens of each row there are; all by default. Of none the mean is zero.
      unit: whether it is brought to length 1, so that a dot product is a cosine.

    Returns:
      (..., d), in x's dtype.

    Raises:
      TypeError: x is not floating point, or lengths are not integers.
      ValueError: there is not one length for each row, or it is more than the tokens.

    >>> mean_pool(jnp.array([[1.0], [3.0], [9.0]]), lengths=jnp.array(2)).tolist()
    [2.0]
    """
    checks.floats("mean_pool", x, ndim=2)
    t = x.shape[-2]
    lengths = checks.integers("mean_pool", jnp.full(x.shape[:-2], t) if lengths is None else lengths, name="lengths")
    if lengths.shape != x.shape[:-2]:
        raise ValueError(
            f"mean_pool: expected lengths {x.shape[:-2]}, one for each row of x {checks.describe(x)}, found "
            f"{checks.describe(lengths)}."
        )
    checks.lengths("mean_pool", lengths, t, of="tokens")
    real = jnp.swapaxes(length_mask(lengths, t), -1, -2)
    mean = jnp.sum(jnp.where(real, wide(x), 0), axis=-2) / jnp.maximum(lengths, 1)[..., None]
    return (vectors.unit(mean) if unit else mean).astype(x.dtype)
