"""A decoder with experts in training: its logits, and what its routers chose, which their losses are computed from.

    routed_decoder(p, tokens, config, key=key) -> (logits, routing)

Law: the logits are those of `decoder`, noise too.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers import Routing
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._decoder import Group, between_ends
from jnn.models.decoders._ends import logits_at_all_times
from jnn.param import Params
from jnn.remat import Remat


def routed_decoder(
    p: Params,
    tokens: jax.Array,
    config: DecoderConfig,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    mask: jax.Array | None = None,
    remat: Remat = "dots",
) -> tuple[jax.Array, Routing]:
    """Decoder with experts: logits, and the routing of every layer, for `load_balance` and `router_z`.

    See "Switch Transformers", Fedus et al., 2022; "OLMoE: Open Mixture-of-Experts Language Models", Muennighoff et al.,
    2024. On devices in stages the layers are no pipeline here: each has the weights brought to it.

    Args:
      p, tokens, config, key, rate, mask, remat: as in `decoder`.

    Returns:
      (..., t, vocab), and a `Routing` with a leading axis of layers: (layers, ..., t, experts), and so on. A loss of
      each token is the mean over layers: `jax.vmap(load_balance, (0, None))(routing, weights).mean(0)`.

    Raises:
      TypeError, ValueError: as `decoder`; or there are no experts.

    >>> from functools import partial
    >>> from jnn.models import decoder_spec
    >>> from jnn.param import abstract
    >>> config = DecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=4, experts=4)
    >>> run = partial(routed_decoder, config=config, key=None)
    >>> logits, routing = jax.eval_shape(run, abstract(decoder_spec(config)), jnp.zeros((3, 10), jnp.int32))
    >>> logits.shape, routing.logits.shape, routing.experts.shape
    ((3, 10, 65), (2, 3, 10, 4), (2, 3, 10, 2))
    """
    if config.experts is None:
        raise ValueError("routed_decoder: found a config without experts, whose decoder routes nothing: use `decoder`.")

    def through(group: Group, blocks: Params, x: jax.Array, rows: jax.Array | None) -> tuple[jax.Array, Routing]:
        number = jnp.arange(1, config.layers // len(config.windows) + 1)  # as `scan_layers` counts them
        keys = None if key is None else jax.vmap(jax.random.fold_in, (None, 0))(key, number)
        x, routings = jax.lax.scan(lambda x, of_layer: group(of_layer[0], x, of_layer[1], rows), x, (blocks, keys))
        return x, jax.tree.map(_in_order, *routings)

    how: dict[str, Any] = {"key": key, "rate": rate, "mask": mask, "remat": remat}
    ends, x, routing = between_ends("routed_decoder", through, p, tokens, config, **how)
    return logits_at_all_times(ends, x, config), routing


def _in_order(*of_windows: jax.Array) -> jax.Array:
    """(layers / n, ...) of each of n windows -> (layers, ...)."""
    together = jnp.stack(of_windows, 1)
    return together.reshape(-1, *together.shape[2:])
