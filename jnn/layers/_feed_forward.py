"""The feed-forward network of a transformer: two linear maps with an activation between, or three with a gate.

    feed_forward(p, x) -> y

Laws: rows do not see each other; there is a gate iff "gate" is in p.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import gelu
from jnn.axes import constrain
from jnn.initializers import Init, lecun_normal
from jnn.layers._linear import linear, linear_spec
from jnn.param import Params, Spec


def feed_forward_spec(
    d: int,
    hidden: int,
    *,
    gate: bool = False,
    bias: bool = True,
    init: Init = lecun_normal,
    out_init: Init | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a feed-forward network.

    Args:
      d: the size of the last axis of input and output.
      hidden: the width between.
      gate: whether there is a third map, through the activation of which the first is gated.
      bias: whether the maps have biases.
      init: initial values of the weights of "up" and "gate".
      out_init: those of "down"; `init` by default.
      dtype: of all.

    Returns:
      {"up": {"w": (d, f)}, "down": {"w": (f, d)}}, and "gate" as "up", each with its "b".

    >>> sorted(feed_forward_spec(64, 256, gate=True))
    ['down', 'gate', 'up']
    """
    inward = linear_spec(d, hidden, bias=bias, init=init, dtype=dtype)
    outward = linear_spec(hidden, d, axes=("hidden", "embed"), bias=bias, init=out_init or init, dtype=dtype)
    return {"up": inward, **({"gate": inward} if gate else {}), "down": outward}


def feed_forward(p: Params, x: jax.Array, *, activation: Callable[[jax.Array], jax.Array] = gelu) -> jax.Array:
    """Feed-forward network: `down(activation(up(x)))`, or gated, `down(activation(gate(x)) * up(x))`.

    See "Attention Is All You Need", Vaswani et al., 2017; for gates "GLU Variants Improve Transformer", Shazeer, 2020:
    with `silu` it is SwiGLU, with `gelu` GEGLU, with `relu` ReGLU.

    Args:
      p: as `feed_forward_spec` declares.
      x: (..., d), floating point.
      activation: elementwise.

    Returns:
      (..., d), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not d, or x is empty.

    >>> p = {"up": {"w": jnp.ones((1, 3))}, "gate": {"w": jnp.ones((1, 3))}, "down": {"w": jnp.ones((3, 1))}}
    >>> feed_forward(p, jnp.array([2.0]), activation=jax.nn.relu).tolist()
    [12.0]
    """
    checks.params("feed_forward", p, "up", "down", may=("gate",))
    checks.array("feed_forward", x)
    names = ("time",) if x.ndim > 2 else (None,) * (x.ndim - 1)  # of two axes the first is the batch's, or the time
    h = checkpoint_name(constrain(linear(p["up"], x), *names, "hidden"), "hidden")
    if "gate" in p:
        gate = checkpoint_name(constrain(linear(p["gate"], x), *names, "hidden"), "hidden")
        h = activation(gate) * h
    else:
        h = activation(h)
    return constrain(linear(p["down"], h), *names, "embed")
