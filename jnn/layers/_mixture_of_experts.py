"""A mixture of experts: a router sends every token to a few of many MLPs, and adds up what they say.

    mixture_of_experts(p, x, top=2) -> y, routing      every token by its experts, none dropped

Axes: `d` embed, `f` hidden, `e` experts, `k` chosen ones.

Laws: tokens do not see each other; none is dropped, however uneven the routing.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import backend
from jnn.activations import gelu
from jnn.initializers import Init, lecun_normal
from jnn.layers._expert_routing import Routing, route
from jnn.layers._feed_forward import feed_forward, feed_forward_spec
from jnn.layers._linear import linear, linear_spec
from jnn.layers.kernels._group_loop import by_loop, no_loop
from jnn.layers.kernels._grouped import Grouped, blocks, every, sort_by_group
from jnn.overrides import overridden
from jnn.param import Params, Spec, stack
from jnn.precision import narrow

Activation = Callable[[jax.Array], jax.Array]
_GROUPED: dict[str, Grouped] = {"loop": by_loop, "blocks": blocks, "every": every}


def mixture_of_experts_spec(
    d: int,
    hidden: int,
    experts: int,
    *,
    gate: bool = False,
    shared: int | None = None,
    shared_gate: bool = False,
    init: Init = lecun_normal,
    out_init: Init | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a mixture of experts: a router, and MLPs of two linear maps, or three, without biases.

    Args:
      d: the size of the last axis of input and output.
      hidden: the width of each expert.
      experts: how many there are.
      gate: whether there is a third map, whose activation the first is multiplied by ("GLU Variants Improve
        Transformer", Shazeer, 2020).
      shared: the width of an expert that all tokens have beside theirs; None for none.
      shared_gate: whether each token says how much of that, between 0 and 1 ("Qwen2 Technical Report", Yang et al.,
        2024).
      init: initial values of all weights, each expert's drawn as if it were alone.
      out_init: those of "down"; `init` by default.
      dtype: of all.

    Returns:
      {"router": {"w": (d, e)}, "up": {"w": (e, d, f)}, "down": {"w": (e, f, d)}}, and "gate" as "up"; "shared"
      as `feed_forward_spec` declares, and "shared_gate": {"w": (d, 1)}.

    >>> mixture_of_experts_spec(64, 256, 8)["up"]["w"].shape
    (8, 64, 256)
    """

    def each(d_in: int, d_out: int, *axes: str, init: Init = init) -> Spec:
        return stack(linear_spec(d_in, d_out, axes=axes, bias=False, init=init, dtype=dtype), experts, "experts")

    def router(outputs: int, name: str) -> Spec:
        return linear_spec(d, outputs, axes=("embed", name), bias=False, init=init, dtype=dtype)

    spec = {
        "router": router(experts, "experts"),
        **{name: each(d, hidden, "embed", "hidden") for name in ("up", *["gate"] * gate)},
        "down": each(hidden, d, "hidden", "embed", init=out_init or init),
    }
    if shared is None:
        return spec
    beside = feed_forward_spec(d, shared, gate=gate, bias=False, init=init, out_init=out_init, dtype=dtype)
    return {**spec, "shared": beside, **({"shared_gate": router(1, "one")} if shared_gate else {})}


def mixture_of_experts(
    p: Params, x: jax.Array, *, top: int, normalized: bool | None = None, activation: Activation = gelu
) -> tuple[jax.Array, Routing]:
    """Mixture of experts: `sum of weight[i] * mlp[i](x)` over the `top` experts i that the router likes best.

    See "Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer", Shazeer et al., 2017;
    for top=1 "Switch Transformers", Fedus et al., 2022; for shared experts "DeepSeekMoE", Dai et al., 2024. Tokens are
    sorted by expert, and none is dropped, as in "MegaBlocks: Efficient Sparse Training with Mixture-of-Experts", Gale
    et al., 2022.

    Args:
      p: as `mixture_of_experts_spec` declares.
      x: (..., d), floating point.
      top: how many experts each token has.
      normalized: as in `route`.
      activation: of their hidden units, or of the gate where "gate" is in p.

    Returns:
      (..., d) in x's dtype, and the routing, for `load_balance` and `router_z`.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not d, or there are fewer than `top` experts.

    >>> from jnn.param import init
    >>> p = init(mixture_of_experts_spec(4, 8, 3), jax.random.key(0))
    >>> y, routing = mixture_of_experts(p, jnp.ones((7, 5, 4)), top=2)
    >>> y.shape, routing.experts.shape
    ((7, 5, 4), (7, 5, 2))
    """
    routing = route(p, x, top=top, normalized=normalized)
    return routed_experts(p, x, routing, activation=activation), routing


def routed_experts(p: Params, x: jax.Array, routing: Routing, *, activation: Activation = gelu) -> jax.Array:
    """Mixture of experts by a routing that is given, such as one of `route` kept `within_capacity`: (..., d)."""
    own = {name: p[name] for name in p if name not in ("shared", "shared_gate")}
    y = overridden("experts", answers)(own, x, routing, activation)
    if "shared" not in p:
        return y
    beside = feed_forward(p["shared"], x, activation=activation).astype(y.dtype)
    return y + (beside * jax.nn.sigmoid(linear(p["shared_gate"], x)).astype(y.dtype) if "shared_gate" in p else beside)


def answers(p: Params, x: jax.Array, routing: Routing, activation: Activation) -> jax.Array:
    """(..., d): the weighted sum of each token's experts' answers."""
    top, tokens = routing.experts.shape[-1], x.reshape(-1, x.shape[-1])
    sizes, order = sort_by_group(routing.experts.reshape(-1), p["up"]["w"].shape[0])
    grouped = _GROUPED[backend.choose("experts", {"loop": lambda: no_loop(x, p["up"]["w"])})]
    rows = expert_mlps(p, tokens[order // top], sizes, activation, grouped)
    each = jnp.zeros_like(rows).at[order].set(rows, unique_indices=True)
    return weigh_experts(each, routing).reshape(x.shape)


def expert_mlps(p: Params, rows: jax.Array, sizes: jax.Array, activation: Activation, grouped: Grouped) -> jax.Array:
    """Expert MLPs, each of its own rows: (rows, d), the first sizes[0] by the first expert, and so on."""
    rows = narrow(rows)
    product = lambda name, x: grouped(x, p[name]["w"].astype(x.dtype), sizes)
    h = product("up", rows)
    return product("down", activation(product("gate", rows)) * h if "gate" in p else activation(h))


def weigh_experts(each: jax.Array, routing: Routing) -> jax.Array:
    """Weighted answers of experts, (tokens, d): answers (tokens * k, d), weighted and added up in float32."""
    top = routing.weights.shape[-1]
    weights = routing.weights.reshape(-1, top)
    return jnp.einsum("nkd,nk->nd", each.reshape(-1, top, each.shape[-1]), weights).astype(each.dtype)
