"""DeepAR: a recurrent network that writes the distribution of each step, given the steps before it.

    deepar(p, before, known) -> (..., t, outputs), carry           the parameters of distributions, taught
    deepar_sample(p, carry, last, known, draw, key=key) -> (..., h)    one path, step by step

Laws: the distribution at t depends on what is before t alone; any cut of a sequence, carry in hand, gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.layers import Carry, linear, linear_spec, lstm_cell, lstm_cell_spec, rnn, stacked_rnn
from jnn.param import Params, Spec, check_key

Draw = Callable[[jax.Array, jax.Array], jax.Array]  # (parameters (..., outputs), key) -> one draw (...)


def deepar_spec(known: int, hidden: int, *, layers: int = 2, outputs: int = 2, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a DeepAR.

    Args:
      known: features of a step that are known beforehand, such as its hour: 0 for none.
      hidden: the size of a state.
      layers: how many LSTMs there are.
      outputs: parameters of a step's distribution, such as a mean and the logarithm of a deviation.
      dtype: of all.

    Returns:
      {"layers": [an LSTM's, ...], "out": linear}

    >>> deepar_spec(3, 8)["layers"][0]["input"]["w"].shape
    (4, 4, 8)
    """
    cells = [lstm_cell_spec(hidden if i else 1 + known, hidden, dtype=dtype) for i in range(layers)]
    return {"layers": cells, "out": linear_spec(hidden, outputs, axes=("hidden", "outputs"), dtype=dtype)}


def deepar(
    p: Params,
    before: jax.Array,
    known: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    carry: Sequence[Carry] | None = None,
) -> tuple[jax.Array, list[Carry]]:
    """DeepAR: parameters of the distribution of every step, by an autoregressive recurrent network.

    See "DeepAR: Probabilistic forecasting with autoregressive recurrent networks", Salinas et al., 2020. What they are
    parameters of is the loss's affair: `jnn.losses.gaussian_nll`, `student_t_nll`, `negative_binomial_nll`.

    Args:
      p: as `deepar_spec` declares.
      before: (..., t), floating point: the value of the step before each.
      known: (..., t, known), of each step itself.
      key: noise for dropout between layers, None for none.
      rate: of dropout.
      carry: one for each layer, or None for zeros.

    Returns:
      (..., t, outputs) in before's dtype, and each layer's last carry.

    Raises:
      TypeError: before is not floating point.
      ValueError: the shapes of before and known do not fit each other or p, or before is empty.

    >>> from jnn.param import init
    >>> p = init(deepar_spec(3, 8), jax.random.key(0))
    >>> deepar(p, jnp.ones((5, 9)), jnp.ones((5, 9, 3)), key=None)[0].shape
    (5, 9, 2)
    """
    checks.params("deepar", p, "out")
    checks.floats("deepar", before)
    if not jnp.issubdtype(known.dtype, jnp.floating):
        raise TypeError(f"deepar: expected known features of floating point, found {checks.describe(known)}.")
    check_key("deepar", key, optional=True)
    if known.shape[:-1] != before.shape:
        raise ValueError(
            f"deepar: expected known features (*{before.shape}, known) of the steps, found {checks.describe(known)}."
        )
    p = gather(p)
    x = jnp.concatenate([before[..., None], known.astype(before.dtype)], -1)
    h, carries = stacked_rnn(partial(rnn, lstm_cell), p["layers"], x, key=key, rate=rate, carry=carry)
    return linear(p["out"], h), carries


def deepar_sample(
    p: Params, carry: Sequence[Carry], last: jax.Array, known: jax.Array, draw: Draw, *, key: jax.Array
) -> jax.Array:
    """Ancestral sampling of a DeepAR: a path on which each step is drawn, given those drawn before it.

    Args:
      p: as `deepar_spec` declares.
      carry: of `deepar`, behind the steps before `last`.
      last: (...), floating point: the last value that is known.
      known: (..., horizon, known), of the steps to come.
      draw: one draw (...) from the distribution of parameters (..., outputs).
      key: of all draws; `jax.vmap` over keys gives as many paths.

    Returns:
      (..., horizon), in last's dtype.

    Raises:
      TypeError: last is not floating point.

    >>> from jnn.param import init
    >>> p = init(deepar_spec(3, 8, outputs=1), jax.random.key(0))
    >>> _, carry = deepar(p, jnp.ones((5, 9)), jnp.ones((5, 9, 3)), key=None)
    >>> likeliest = lambda outputs, key: outputs[..., 0]
    >>> deepar_sample(p, carry, jnp.ones(5), jnp.ones((5, 4, 3)), likeliest, key=jax.random.key(1)).shape
    (5, 4)
    """
    checks.floats("deepar_sample", last, ndim=0)
    check_key("deepar_sample", key)

    def step(state: tuple[list[Carry], jax.Array], given: tuple[jax.Array, jax.Array]) -> tuple[tuple, jax.Array]:
        (carry, value), (features, noise) = state, given
        outputs, carry = deepar(p, value[..., None], features[..., None, :], key=None, carry=carry)
        value = draw(outputs[..., 0, :], noise).astype(last.dtype)
        return (carry, value), value

    keys = jax.random.split(key, known.shape[-2])
    _, path = jax.lax.scan(step, (list(carry), last), (jnp.moveaxis(known, -2, 0), keys))
    return jnp.moveaxis(path, 0, -1)
