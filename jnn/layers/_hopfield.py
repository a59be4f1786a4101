"""Modern Hopfield network: a memory of patterns that completes what it is asked.

    hopfield_retrieve(state, patterns, beta=1.0) -> state      the update, once or more often
    hopfield_energy(state, patterns, beta=1.0) -> (...)        which no update increases
    hopfield(p, x, memory) -> y                                between linear maps, as a layer

Laws: an update never increases the energy; for great beta a state becomes the pattern that is most like it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, lecun_normal
from jnn.layers._linear import linear, linear_spec
from jnn.layers._score_attention import mean_of_keys
from jnn.param import Params, Spec
from jnn.precision import wide


def hopfield_retrieve(
    state: jax.Array, patterns: jax.Array, *, beta: float, steps: int = 1, mask: jax.Array | None = None
) -> jax.Array:
    """Hopfield retrieval: `state = softmax(beta state patterns^T) patterns`, so many steps.

    See "Hopfield Networks is All You Need", Ramsauer et al., 2021.

    Args:
      state: (..., t, d), floating point.
      patterns: (..., s, d), the leading axes those of state.
      beta: inverse temperature.
      steps: how often it is updated.
      mask: bool, (..., t, s) or (t, s), sizes may be 1: which patterns there are.

    Returns:
      (..., t, d), in state's dtype.

    Raises:
      TypeError: state or patterns are not floating point, or mask is not bool.
      ValueError: shapes do not fit.

    >>> hopfield_retrieve(jnp.array([[0.9, 0.1]]), jnp.eye(2), beta=99.0).round(3).tolist()
    [[1.0, 0.0]]
    """
    _check("hopfield_retrieve", state, patterns)
    dtype = state.dtype
    for _ in range(steps):
        state = mean_of_keys("hopfield_retrieve", beta * _overlaps(state, patterns), patterns, mask)[0]
    return state.astype(dtype)


def hopfield_energy(state: jax.Array, patterns: jax.Array, *, beta: float) -> jax.Array:
    """Hopfield energy: `|state|^2 / 2 - logsumexp(beta state patterns^T) / beta`, up to what hangs on patterns alone.

    See "Hopfield Networks is All You Need", Ramsauer et al., 2021.

    Args:
      state: (..., t, d), floating point.
      patterns: (..., s, d), the leading axes those of state.
      beta: inverse temperature.

    Returns:
      (..., t), float32 at least.

    Raises:
      TypeError, ValueError: as `hopfield_retrieve`.

    >>> hopfield_energy(jnp.zeros((1, 2)), jnp.ones((1, 2)), beta=1.0).tolist()
    [0.0]
    """
    _check("hopfield_energy", state, patterns)
    drawn = jax.nn.logsumexp(beta * _overlaps(state, patterns), -1) / beta
    return jnp.sum(jnp.square(wide(state)), -1) / 2 - drawn


def hopfield_spec(
    d: int,
    d_memory: int,
    d_hidden: int,
    *,
    bias: bool = True,
    init: Init = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a Hopfield layer (`hopfield`).

    Args:
      d: features of the input and the output.
      d_memory: features of what is in the memory.
      d_hidden: features of states and patterns.
      bias: whether the maps have biases.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"state": (d to d_hidden), "pattern": (d_memory to d_hidden), "output": (d_hidden to d)}, each a linear map.

    >>> hopfield_spec(3, 4, 5)["pattern"]["w"].shape
    (4, 5)
    """
    one = lambda a, b, *axes: linear_spec(a, b, axes=axes, bias=bias, init=init, dtype=dtype)
    into = "embed", "hidden"
    return {
        "state": one(d, d_hidden, *into),
        "pattern": one(d_memory, d_hidden, *into),
        "output": one(d_hidden, d, "hidden", "embed"),
    }


def hopfield(
    p: Params,
    x: jax.Array,
    memory: jax.Array,
    *,
    beta: float | None = None,
    steps: int = 1,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Modern Hopfield layer: x becomes states, memory patterns, and what is retrieved is mapped back.

    See "Hopfield Networks is All You Need", Ramsauer et al., 2021.

    Args:
      p: as declared by `hopfield_spec`.
      x: (..., t, d), floating point.
      memory: (..., s, d_memory), the leading axes those of x.
      beta: inverse temperature; 1 / sqrt(d_hidden) by default.
      steps: how often states are updated.
      mask: bool, (..., t, s) or (t, s), sizes may be 1: what is in the memory.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError, ValueError: as `hopfield_retrieve` and `linear`.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), hopfield_spec(3, 4, 5))
    >>> hopfield(p, jnp.ones((2, 3)), jnp.ones((6, 4))).shape
    (2, 3)
    """
    checks.params("hopfield", p, "state", "pattern", "output")
    state, patterns = linear(p["state"], x), linear(p["pattern"], memory)
    beta = patterns.shape[-1] ** -0.5 if beta is None else beta
    found = hopfield_retrieve(state, patterns.astype(state.dtype), beta=beta, steps=steps, mask=mask)
    return linear(p["output"], found)


def _overlaps(state: jax.Array, patterns: jax.Array) -> jax.Array:
    return jnp.einsum("...td,...sd->...ts", wide(state), wide(patterns))


def _check(layer: str, state: jax.Array, patterns: jax.Array) -> None:
    checks.floats(layer, patterns, ndim=2)
    checks.floats(layer, state, ndim=2)
    if (*state.shape[:-2], state.shape[-1]) != (*patterns.shape[:-2], patterns.shape[-1]):
        raise ValueError(
            f"{layer}: expected state and patterns with the same leading and last axes, found "
            f"{checks.describe(state)} and {checks.describe(patterns)}."
        )
