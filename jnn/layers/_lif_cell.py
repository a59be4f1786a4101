"""Spiking neurons: a leaky membrane that fires where it is full, with a gradient as if it did so smoothly.

    spike(v, slope) -> 0 or 1                 a step, with a surrogate gradient
    lif_cell(p, carry, x) -> (carry, y)       a cell for `rnn`: the carry is the membrane, the output the spikes

Laws: outputs are 0 and 1; leading axes are free; the carry has x's dtype.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, constant, lecun_normal
from jnn.layers._cell import same_carry
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Param, Params, Spec
from jnn.precision import over_last_axes, wide

slow = constant(2.0)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def spike(v: jax.Array, slope: float = 10.0) -> jax.Array:
    """Spike: 1 where v > 0, else 0; its surrogate gradient is that of a fast sigmoid, `1 / (1 + slope |v|)^2`.

    See "SuperSpike: Supervised Learning in Multilayer Spiking Neural Networks", Zenke and Ganguli, 2018.

    >>> spike(jnp.array([-1.0, 0.5])).tolist(), jax.grad(spike)(0.1, 10.0).item()
    ([0.0, 1.0], 0.25)
    """
    v = jnp.asarray(v)
    return (v > 0).astype(v.dtype)


@spike.defjvp
def _spike_jvp(slope: float, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (v,), (change,) = primals, tangents
    return spike(v, slope), change / jnp.square(1 + slope * jnp.abs(v))


def lif_cell_spec(
    d_in: int,
    d_hidden: int,
    *,
    bias: bool = True,
    init: Init = lecun_normal,
    decay_init: Init = slow,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares leaky integrate-and-fire neurons (`lif_cell`).

    Args:
      d_in: features of the input.
      d_hidden: how many neurons there are.
      bias: whether they have one.
      init: initial values of the weights.
      decay_init: those of the decays, before their sigmoid: 0.88.
      dtype: of all parameters.

    Returns:
      {"input": {"w": (d_in, d_hidden), "b": (d_hidden,)}, "decay": (d_hidden,)}

    >>> lif_cell_spec(3, 5)["decay"].shape
    (5,)
    """
    decay = Param((d_hidden,), decay_init, ("hidden",), dtype)
    return {"input": linear_spec(d_in, d_hidden, bias=bias, init=init, dtype=dtype), "decay": decay}


def lif_cell(
    p: Params, carry: jax.Array | None, x: jax.Array, *, threshold: float = 1.0, slope: float = 10.0
) -> tuple[jax.Array, jax.Array]:
    """Leaky integrate-and-fire neuron, one step: `v = sigmoid(decay) v + x W + b`, and a spike where v > threshold.

    See "Surrogate Gradient Learning in Spiking Neural Networks", Neftci, Mostafa and Zenke, 2019. A spike takes the
    threshold off the membrane; through that, no gradient goes.

    Args:
      p: as declared by `lif_cell_spec`.
      carry: v, (..., h), after the spikes of the step before, or None for zeros.
      x: (..., d), floating point.
      threshold: what a membrane has to exceed.
      slope: of the surrogate gradient, as in `spike`.

    Returns:
      (v', spikes), each (..., h), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = {"input": {"w": jnp.ones((1, 1))}, "decay": jnp.zeros(1)}
    >>> lif_cell(p, None, jnp.array([1.5]))
    (Array([0.5], dtype=float32), Array([1.], dtype=float32))
    """
    checks.maps("lif_cell", p, "input", more=("decay",))
    checks.floats("lif_cell", x)
    checks.trailing("lif_cell", x, weight_shape(p["input"]["w"])[:1])
    v = same_carry("lif_cell", p, carry, x, rest)
    left, fired = fire(leaked(p["decay"], v) + wide(linear(p["input"], x)), threshold, slope)
    return left.astype(x.dtype), fired.astype(x.dtype)


def rest(p: Params, x: jax.Array) -> jax.Array:
    """Membranes (..., h) of zeros for inputs like x."""
    return jnp.zeros((*x.shape[:-1], *p["decay"].shape), x.dtype)


def leaked(decay: jax.Array, v: jax.Array) -> jax.Array:
    """What is left of membranes a step later, in float32 at least."""
    return wide(v) * over_last_axes(jax.nn.sigmoid(wide(decay)), wide(v))


def fire(v: jax.Array, threshold: float, slope: float) -> tuple[jax.Array, jax.Array]:
    """Membranes behind their spikes, and those."""
    fired = spike(v - threshold, slope)
    return v - threshold * jax.lax.stop_gradient(fired), fired
