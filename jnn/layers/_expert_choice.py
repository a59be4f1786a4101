"""Which tokens an expert takes, where it does not take all that come: a capacity, or a choice of its own.

    within_capacity(routing, capacity) -> routing       who comes too late has no weight
    expert_choice(p, x, capacity=2) -> y, scores        experts choose tokens, not tokens experts

Axes: `t` tokens that are chosen from, `d` embed, `e` experts, `c` tokens of an expert.

Laws: no expert has more than its capacity. Here tokens see each other: what is dropped hangs on who else is there, and
`expert_choice` looks ahead, so it is not for decoders.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.activations import gelu, softmax
from jnn.layers._expert_routing import Routing
from jnn.layers._mixture_of_experts import Activation
from jnn.param import Params
from jnn.precision import narrow, wide_dtype


def within_capacity(routing: Routing, capacity: int) -> Routing:
    """Expert capacity: weights of 0 where an expert is full: first choices come first, among them earlier tokens.

    See "GShard: Scaling Giant Models with Conditional Computation and Automatic Sharding", Lepikhin et al., 2020.

    Args:
      routing: of (..., t) tokens; each row of t is a group by itself. For one group give one row.
      capacity: how many choices an expert takes of a group, such as `1.25 * t * top / experts`.

    Returns:
      The routing, with other weights. What is dropped adds nothing, and the weights that stay are as they were.

    Raises:
      ValueError: the capacity is not positive, or there is no axis of tokens.

    >>> routing = Routing(jnp.zeros((3, 2)), jnp.array([[0], [0], [1]]), jnp.ones((3, 1)))
    >>> within_capacity(routing, 1).weights.ravel().tolist()
    [1.0, 0.0, 1.0]
    """
    if capacity < 1:
        raise ValueError(f"within_capacity: expected a capacity of 1 or more, found {capacity}.")
    checks.rank("within_capacity", routing.experts, 2)
    *leading, t, top = routing.experts.shape
    queue = jnp.swapaxes(routing.experts, -1, -2).reshape(*leading, top * t)  # first choices, then second ones
    picked = jax.nn.one_hot(queue, routing.logits.shape[-1], dtype=jnp.int32)
    before = jnp.sum(picked * jnp.cumsum(picked, -2), -1) - 1
    kept = jnp.swapaxes((before < capacity).reshape(*leading, top, t), -1, -2)
    return routing._replace(weights=jnp.where(kept, routing.weights, 0))


def expert_choice(
    p: Params, x: jax.Array, *, capacity: int, activation: Activation = gelu
) -> tuple[jax.Array, jax.Array]:
    """Expert-choice routing: every expert takes the `capacity` tokens that like it best, so that all are as busy.

    See "Mixture-of-Experts with Expert Choice Routing", Zhou et al., 2022.

    Args:
      p: as `mixture_of_experts_spec` declares, without shared experts.
      x: (..., t, d), floating point; experts choose among the t tokens of each row.
      capacity: how many tokens an expert takes of each row; the paper's is 2 t / experts.
      activation: of their hidden units, or of the gate where "gate" is in p.

    Returns:
      (..., t, d) in x's dtype, zeros for a token that nobody takes; and how much each token likes each expert,
      (..., t, e), float32, with a sum of 1 over experts.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, or the capacity is not in 1..t.

    >>> from jnn.layers import mixture_of_experts_spec
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), mixture_of_experts_spec(4, 8, 3))
    >>> expert_choice(p, jnp.ones((7, 5, 4)), capacity=2)[0].shape
    (7, 5, 4)
    """
    checks.params("expert_choice", p, "router", "up", "down", may=("gate",))
    own = ("router", "up", "down", *(["gate"] if "gate" in p else []))
    checks.map_parts("expert_choice", p, *own, adapted=False)
    checks.floats("expert_choice", x, ndim=2)
    checks.trailing("expert_choice", x, p["router"]["w"].shape[:1])
    if not 1 <= capacity <= x.shape[-2]:
        raise ValueError(f"expert_choice: expected a capacity in 1..{x.shape[-2]} tokens, found {capacity}.")
    exact = wide_dtype(x)
    logits = jnp.tensordot(x.astype(exact), p["router"]["w"].astype(exact), 1, precision="highest")
    scores = softmax(logits)
    each = jnp.swapaxes(scores, -1, -2)
    taken = jnp.argsort(each, -1, descending=True)[..., :capacity]  # (..., e, c)
    weights = jnp.take_along_axis(each, taken, -1)
    chosen = jax.nn.one_hot(taken, x.shape[-2], dtype=x.dtype)  # products, which any sharding can take part in
    rows = narrow(jnp.einsum("...ect,...td->...ecd", chosen, x))
    into = lambda name, h: jnp.einsum("...eca,eab->...ecb", h, p[name]["w"].astype(h.dtype))
    h = into("up", rows)
    h = activation(into("gate", rows)) * h if "gate" in p else activation(h)
    y = into("down", h).astype(exact) * weights[..., None]
    return jnp.einsum("...ect,...ecd->...td", chosen.astype(exact), y).astype(x.dtype), scores
