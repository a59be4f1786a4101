"""Networks of tables, by name: what declares each, and what computes it. A feature is an id and a value.

    NETWORKS["ft"].spec(ids, features, width, layers)
    NETWORKS["ft"].apply(p, ids, values, key=key, rate=rate) -> (b,)

`tokens` make each feature a vector, its value times what is learnt of its id: of a category that is an embedding. The
perceptrons read all of them one behind the other, the transformer as a sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from jnn.initializers import he_normal, lecun_normal, normal
from jnn.layers import alpha_dropout, dropout, embed, embed_spec, layer_norm, layer_norm_spec, linear, linear_spec
from jnn.models import mlp_spec, transformer_block, transformer_block_spec
from jnn.param import Param, Params, Spec, path_key
from jnn.precision import add_bias

SIZE = 8  # of a feature's vector, in the perceptrons
UNIT = normal(1.0)  # so that values are about as large as they were


class Network(NamedTuple):
    """What declares a network, and what computes it: see above."""

    spec: Callable[[int, int, int, int], Spec]
    apply: Callable[..., jax.Array]


def tokens(p: Params, ids: jax.Array, values: jax.Array) -> jax.Array:
    """Features (b, features) as vectors (b, features, size)."""
    return embed(p, ids) * values[..., None]


def perceptron_spec(ids: int, features: int, width: int, layers: int, *, init=he_normal) -> Spec:
    """Declares a perceptron of all features' vectors."""
    sizes = (features * SIZE, *(width,) * layers, 1)
    return {"tokens": embed_spec(ids, SIZE, init=UNIT), "mlp": mlp_spec(sizes, init=init)}


def perceptron(
    p: Params, ids: jax.Array, values: jax.Array, *, activation, noise, key: jax.Array | None, rate: float
) -> jax.Array:
    """A perceptron with this activation, and this dropout behind it."""
    x = tokens(p["tokens"], ids, values)
    x, layers = x.reshape(*x.shape[:-2], -1), p["mlp"]
    for name in list(layers)[:-1]:
        x = noise(activation(linear(layers[name], x)), rate, key=None if key is None else path_key(key, name))
    return linear(layers[list(layers)[-1]], x)[..., 0]


def ft_spec(ids: int, features: int, width: int, layers: int) -> Spec:
    """Declares an FT-transformer."""
    block = transformer_block_spec(width, max(width // 8, 1), 2 * width, out_std=0.02 / (2 * layers) ** 0.5)
    return {
        "tokens": embed_spec(ids, width, init=UNIT),
        "bias": Param((features, width), UNIT, ("features", "embed")),
        "asks": Param((width,), UNIT, ("embed",)),
        "blocks": jnn.stack(block, layers),
        "norm": layer_norm_spec(width),
        "out": linear_spec(width, 1, axes=("embed", "out"), init=lecun_normal),
    }


def ft(p: Params, ids: jax.Array, values: jax.Array, *, key: jax.Array | None, rate: float) -> jax.Array:
    """FT-transformer: features as a sequence, behind a vector that asks, whose answer is read.

    See "Revisiting Deep Learning Models for Tabular Data", Gorishniy et al., 2021.
    """
    h = add_bias(tokens(p["tokens"], ids, values), p["bias"])
    asks = jnp.broadcast_to(p["asks"], (*h.shape[:-2], 1, h.shape[-1]))
    h = jnp.concatenate([asks, h], -2)
    for i in range(len(p["blocks"]["norm1"]["scale"])):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], p["blocks"])
        own = None if key is None else jax.random.fold_in(key, i)
        h = transformer_block(one, h, key=own, rate=rate, causal=False)
    return linear(p["out"], jax.nn.relu(layer_norm(p["norm"], h[..., 0, :])))[..., 0]


NETWORKS = {
    "mlp": Network(perceptron_spec, partial(perceptron, activation=jax.nn.relu, noise=dropout)),
    "snn": Network(
        partial(perceptron_spec, init=lecun_normal), partial(perceptron, activation=jax.nn.selu, noise=alpha_dropout)
    ),
    "ft": Network(ft_spec, ft),
}


def rated_adamw(rates: np.ndarray, weight_decay: float, steps: int) -> optax.GradientTransformation:
    """AdamW of stacked networks, each with a rate of its own (networks,), all of which fall to 0 as a cosine."""
    rates = np.asarray(rates, np.float32)
    own = lambda updates, _: jax.tree.map(lambda u: -u * rates.reshape(-1, *(1,) * (u.ndim - 1)), updates)
    return optax.chain(
        optax.scale_by_adam(),
        optax.add_decayed_weights(weight_decay),
        optax.stateless(own),
        optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, steps)),
    )
