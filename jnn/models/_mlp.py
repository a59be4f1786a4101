"""The multilayer perceptron: linear maps with an activation, and dropout if asked for, between them.

Laws: `mlp(p, x)` is affine in the last layer's params; the sizes are read off the weights; leading axes are free;
`key=None` is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import Init, he_normal, lecun_normal
from jnn.layers import dropout, linear, linear_spec
from jnn.param import Params, Spec, check_key, path_key


def mlp_spec(
    sizes: Sequence[int],
    *,
    bias: bool = True,
    init: Init = he_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a multilayer perceptron: one linear map from each size to the next.

    Args:
      sizes: of the input, of each hidden layer, of the output: two or more.
      bias: whether the maps have biases.
      init: initial values of the hidden weights; the default suits ReLU. The last, with no activation
        behind it, always draws from `lecun_normal`.
      dtype: of all of it.

    Returns:
      {"fc0": {"w", "b"}, "fc1": ..., ...}

    Raises:
      ValueError: fewer than two sizes.

    >>> mlp_spec((784, 128, 10))["fc1"]["w"].shape
    (128, 10)
    """
    if len(sizes) < 2:
        raise ValueError(f"mlp_spec: expected the sizes of input and output at least, found {tuple(sizes)}.")
    last = len(sizes) - 2
    spec = {}
    for i in range(last + 1):
        # the widths are "embed" and "hidden" in turn, so that sharding "hidden" pairs columns with rows
        axis_in, axis_out = ("embed", "hidden") if i % 2 == 0 else ("hidden", "embed")
        spec[f"fc{i}"] = linear_spec(
            sizes[i],
            sizes[i + 1],
            axes=(axis_in, "out" if i == last else axis_out),
            bias=bias,
            init=lecun_normal if i == last else init,
            dtype=dtype,
        )
    return spec


def mlp(
    p: Params,
    x: jax.Array,
    *,
    key: jax.Array | None,
    rate: float | Sequence[float] = 0.0,
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
) -> jax.Array:
    """Multilayer perceptron: alternates linear maps and activations, the last map bare.

    See "Learning Representations by Back-Propagating Errors", Rumelhart, Hinton and Williams, 1986.

    Args:
      p: from `mlp_spec`.
      x: (..., sizes[0]), floating point.
      key: a PRNG key for dropout, or None for none.
      rate: of dropout behind each hidden activation, one for all or one for each.
      activation: between the maps.

    Returns:
      (..., sizes[-1]), in x's dtype: logits, or the prediction of a regression.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not sizes[0], x is empty, or rates are not one per hidden layer.

    >>> import jnn
    >>> p = jnn.init(mlp_spec((784, 128, 10)), jax.random.key(0))
    >>> mlp(p, jnp.ones((32, 784)), key=None).shape
    (32, 10)
    """
    checks.params("mlp", p, "fc0")
    check_key("mlp", key, optional=True)
    hidden = len(p) - 1
    rates = tuple(rate) if isinstance(rate, Sequence) else (rate,) * hidden
    if len(rates) != hidden:
        raise ValueError(f"mlp: expected one dropout rate, or one for each of {hidden} hidden layers; found {rate}.")
    for i, layer_rate in enumerate(rates):
        x = constrain(linear(gather(p[f"fc{i}"], f"fc{i}"), x), "embed" if i % 2 else "hidden")
        x = dropout(activation(x), layer_rate, key=None if key is None else path_key(key, f"fc{i}"))
    return constrain(linear(gather(p[f"fc{hidden}"], f"fc{hidden}"), x), "out")
