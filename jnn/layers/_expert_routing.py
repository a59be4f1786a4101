"""Routing of tokens to experts: which of them each token goes to, with what weight, and losses that keep it even.

    route(p, x, top=2) -> routing
    router_z(routing), load_balance(routing)           losses, one number per token

Axes: as in `_mixture_of_experts`. Law: the router is in float32.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.activations import softmax
from jnn.param import Params
from jnn.precision import wide_dtype


class Routing(NamedTuple):
    """Routing: where tokens go.

    Attributes:
      logits: (..., e), float32.
      experts: (..., k), int32: the chosen ones, the likeliest first.
      weights: (..., k), float32: those of their answers.
    """

    logits: jax.Array
    experts: jax.Array
    weights: jax.Array


def route(p: Params, x: jax.Array, *, top: int, normalized: bool | None = None) -> Routing:
    """Top-k routing: the `top` experts of every token.

    Their weights are their probabilities: for one expert as they are, so that the router learns (Fedus et al., 2022),
    for more in proportion, with a sum of 1 (Shazeer et al., 2017), unless `normalized` says which.
    """
    checks.params("mixture_of_experts", p, "router", "up", "down", may=("gate", "shared", "shared_gate"))
    own = ("router", "up", "down", *(["gate"] if "gate" in p else []))
    checks.map_parts("mixture_of_experts", p, *own, adapted=False)
    w = p["router"]["w"]
    checks.floats("mixture_of_experts", x)
    checks.trailing("mixture_of_experts", x, w.shape[:1])
    if not 1 <= top <= w.shape[1]:
        raise ValueError(f"mixture_of_experts: expected top in 1..{w.shape[1]}, the number of experts; found {top}.")
    exact = wide_dtype(x)
    logits = jnp.tensordot(x.astype(exact), w.astype(exact), 1, precision="highest")
    # by a sort, which XLA leaves where the tokens are; for `jax.lax.top_k` it would gather them all
    which = jnp.argsort(logits, -1, descending=True)[..., :top]
    best = jnp.take_along_axis(logits, which, -1)
    in_proportion = top > 1 if normalized is None else normalized
    weights = softmax(best) if in_proportion else jnp.exp(best - jax.nn.logsumexp(logits, -1, keepdims=True))
    return Routing(logits, which, weights)


def router_z(routing: Routing) -> jax.Array:
    """Router z-loss: `log(sum(exp(logits)))^2`, one number per token, which keeps the router's logits small.

    See "ST-MoE: Designing Stable and Transferable Sparse Expert Models", Zoph et al., 2022.

    >>> router_z(Routing(jnp.zeros((5, 1)), jnp.zeros((5, 1), int), jnp.ones((5, 1)))).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    return jax.nn.logsumexp(routing.logits, -1) ** 2


def load_balance(routing: Routing, weights: jax.Array | None = None) -> jax.Array:
    """Load-balancing loss, one number per token.

    Its mean is `e * sum over experts of (share of choices) * (mean probability)`.

    See "Switch Transformers", Fedus et al., 2022: 1 where all experts are chosen alike. Shares are those of the whole
    batch, and have no gradient; probabilities are the token's own.

    Args:
      routing: of all tokens.
      weights: of the tokens or of their leading axes, such as (b,) of rows; 0 for padding, 1 each by default.

    Raises:
      ValueError: weights have another shape.

    >>> even = Routing(jnp.zeros((2, 2)), jnp.array([[0], [1]]), jnp.ones((2, 1)))
    >>> load_balance(even).tolist()
    [1.0, 1.0]
    """
    e, top = routing.logits.shape[-1], routing.experts.shape[-1]
    picked = jax.nn.one_hot(routing.experts, e).sum(-2).reshape(-1, e)
    counted = jnp.ones(len(picked)) if weights is None else _each_token(weights, routing.logits.shape[:-1])
    total = counted.sum()
    share = counted @ picked / (jnp.where(total == 0, 1, total) * top)
    return e * softmax(routing.logits) @ share


def _each_token(weights: jax.Array, tokens: tuple[int, ...]) -> jax.Array:
    """Weights of tokens, or of whole rows of them, as one list."""
    if weights.shape != tokens[: weights.ndim]:
        raise ValueError(
            f"load_balance: expected weights of the shape of the tokens, {tokens}, or of their leading axes, found "
            f"{weights.shape}. Of stacked layers: jax.vmap(load_balance, (0, None))(routing, weights)."
        )
    return jnp.broadcast_to(weights.reshape(*weights.shape, *(1,) * (len(tokens) - weights.ndim)), tokens).reshape(-1)
