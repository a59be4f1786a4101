"""What is sent of an array where sending costs: fewer bits, and what they leave out is kept for the next time.

    bfloat16, signs                                     codecs: encode(x) -> sent, decode(sent, x) -> what is understood
    encode_with_feedback(codec, x, residual) -> sent, residual

Law: what is understood + the new residual = x + the old residual, exactly for bfloat16, to rounding for signs, of
numbers in bfloat16's range (3e38). So over many steps all of every gradient arrives, if late.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn.precision import wide


@dataclasses.dataclass(frozen=True)
class Codec:
    """`encode` makes arrays that are to be sent; `decode` needs of its second argument the shape and dtype alone."""

    encode: Callable[[jax.Array], Any]
    decode: Callable[[Any, jax.Array], jax.Array]


def _bits(x: jax.Array) -> dict[str, jax.Array]:
    return {"signs": jnp.packbits(jnp.atleast_1d(x) >= 0, axis=-1), "size": jnp.abs(x).mean()}


def _from_bits(sent: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    bits = jnp.unpackbits(sent["signs"], axis=-1, count=jnp.atleast_1d(x).shape[-1]).reshape(x.shape)
    return sent["size"] * (2 * bits.astype(x.dtype) - 1)


def _half(x: jax.Array) -> jax.Array:
    # as integers, or XLA may convert before it sends: its CPU backend does
    return jax.lax.bitcast_convert_type(x.astype(jnp.bfloat16), jnp.uint16)


def _from_half(sent: jax.Array, x: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(sent, jnp.bfloat16).astype(x.dtype)


bfloat16 = Codec(_half, _from_half)
"""Half the bits of float32."""

signs = Codec(_bits, _from_bits)
"""One bit each, and one size for all: the mean of the absolute values.

See "1-bit stochastic gradient descent and its application to data-parallel distributed training of speech DNNs",
Seide et al., 2014, and "Error Feedback Fixes SignSGD and other Gradient Compression Schemes", Karimireddy et al., 2019,
which shows that it converges because of the residual alone.
"""


def encode_with_feedback(codec: Codec, x: jax.Array, residual: jax.Array) -> tuple[Any, jax.Array]:
    """What to send of `x + residual`, and what that leaves out.

    >>> sent, residual = encode_with_feedback(signs, jnp.array([3.0, -1.0]), jnp.zeros(2))
    >>> signs.decode(sent, residual).tolist(), residual.tolist()
    ([2.0, -2.0], [1.0, 1.0])
    """
    whole = wide(x) + residual
    sent = codec.encode(whole)
    return sent, whole - codec.decode(sent, whole)
