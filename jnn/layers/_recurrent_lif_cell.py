"""Spiking neurons that hear each other: leaky integrate-and-fire whose current is also of the last step's spikes.

    recurrent_lif_cell(p, carry, x) -> (carry, y)      a cell for `rnn`: the carry is (membrane, spikes)

Laws: those of `lif_cell`; with recurrent weights of zero it is that.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, lecun_normal
from jnn.layers._cell import same_carry
from jnn.layers._lif_cell import fire, leaked, lif_cell_spec, rest, slow
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Params, Spec
from jnn.precision import wide


def recurrent_lif_cell_spec(
    d_in: int,
    d_hidden: int,
    *,
    bias: bool = True,
    init: Init = lecun_normal,
    recurrent_init: Init = lecun_normal,
    decay_init: Init = slow,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares recurrent leaky integrate-and-fire neurons (`recurrent_lif_cell`).

    Args:
      d_in, d_hidden, bias, init, decay_init, dtype: as of `lif_cell_spec`.
      recurrent_init: initial values of the weights from each neuron to each.

    Returns:
      {"input": {"w": (d_in, d_hidden), "b": (d_hidden,)}, "recurrent": {"w": (d_hidden, d_hidden)}, "decay":
      (d_hidden,)}

    >>> recurrent_lif_cell_spec(3, 5)["recurrent"]["w"].shape
    (5, 5)
    """
    axes = ("recurrent", "hidden")
    recurrent = linear_spec(d_hidden, d_hidden, axes=axes, bias=False, init=recurrent_init, dtype=dtype)
    own = lif_cell_spec(d_in, d_hidden, bias=bias, init=init, decay_init=decay_init, dtype=dtype)
    return own | {"recurrent": recurrent}


def recurrent_lif_cell(
    p: Params,
    carry: tuple[jax.Array, jax.Array] | None,
    x: jax.Array,
    *,
    threshold: float = 1.0,
    slope: float = 10.0,
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Recurrent leaky integrate-and-fire neuron, one step: `lif_cell` with the last spikes as an input, too.

    See "The Heidelberg Spiking Data Sets for the Systematic Evaluation of Spiking Neural Networks", Cramer,
    Stradmann, Schemmel and Zenke, 2020.

    Args:
      p: as declared by `recurrent_lif_cell_spec`.
      carry: (v, spikes), each (..., h), of the step before, or None for zeros.
      x: (..., d), floating point.
      threshold, slope: as of `lif_cell`.

    Returns:
      ((v', spikes), spikes), each (..., h), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> one = jnp.ones((1, 1))
    >>> p = {"input": {"w": one}, "recurrent": {"w": one}, "decay": jnp.zeros(1)}
    >>> carry, spikes = recurrent_lif_cell(p, None, jnp.array([1.5]))
    >>> recurrent_lif_cell(p, carry, jnp.zeros(1))  # half of what was left, and the spike
    ((Array([0.25], dtype=float32), Array([1.], dtype=float32)), Array([1.], dtype=float32))
    """
    checks.maps("recurrent_lif_cell", p, "input", "recurrent", more=("decay",))
    checks.floats("recurrent_lif_cell", x)
    checks.trailing("recurrent_lif_cell", x, weight_shape(p["input"]["w"])[:1])
    v, last = same_carry("recurrent_lif_cell", p, carry, x, lambda p, x: (rest(p, x),) * 2)
    current = wide(linear(p["input"], x)) + wide(linear(p["recurrent"], last))
    left, fired = (part.astype(x.dtype) for part in fire(leaked(p["decay"], v) + current, threshold, slope))
    return (left, fired), fired
