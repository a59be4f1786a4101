"""What the backward pass remembers of a layer; the rest it computes again.

    remat_layer("dots")(layer) -> layer             the same values and gradients, with another memory

| remat                | remembers                                                   | where        |
|----------------------|-------------------------------------------------------------|--------------|
| None                 | everything                                                  | on the device |
| "dots"               | what linear maps gave, and attention                        | on the device |
| "names"              | input, queries, keys, values, attention, the stream behind  | on the device |
| ("attended", ...)    | what goes by these names                                    | on the device |
| "offload"            | what goes by any name                                       | in the host's memory |
| "full"               | the layer's inputs                                          | on the device |

In this order less is remembered on the device, and more is computed again; "offload" moves instead, all but the answer
of splash attention: it is named within a `jit`, out of which JAX moves nothing, and is computed again. Layers name
values by `jax.ad_checkpoint.checkpoint_name`: see NAMES; those of a model of your own go by a tuple.

Law: no choice changes a value or a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import jax

from jnn import backend
from jnn.overrides import overridden

Policy = Literal["dots", "names", "offload", "full"]
Remat = Policy | tuple[str, ...] | None
POLICIES: tuple[Policy, ...] = get_args(Policy)

# name -> whether "names" remembers it: (embed) numbers of a token each, and "hidden" as many as the MLP is wide
NAMES = {"input": True, "query": True, "key": True, "value": True, "attended": True, "stream": True, "hidden": False}


def remat_layer(remat: Remat) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Rematerialization: the `jax.checkpoint` that a choice means, for the body of a scan over layers.

    See "Training Deep Nets with Sublinear Memory Cost", Chen et al., 2016; for names "Reducing Activation Recomputation
    in Large Transformer Models", Korthikanti et al., 2022; for the host's memory "vDNN", Rhu et al., 2016.

    Args:
      remat: as in the module's table.

    Raises:
      ValueError: remat is none of these.

    >>> import jax.numpy as jnp
    >>> grow = remat_layer("full")(lambda x, w: (jnp.sin(x * w), None))
    >>> jax.grad(lambda x: jax.lax.scan(grow, x, jnp.ones(3))[0])(0.0).item()
    1.0
    """
    if remat is None:
        return lambda layer: layer
    if not isinstance(remat, tuple) and remat not in POLICIES:
        raise ValueError(f"remat_layer: remat is None, a tuple of names, or one of {POLICIES}; found {remat!r}.")

    def decorate(layer: Callable[..., Any]) -> Callable[..., Any]:
        def remembered(*args: Any) -> Any:
            policy = _policy(remat)  # here, for it depends on where the layer is called
            return jax.checkpoint(layer, prevent_cse=False, policy=policy)(*args)  # a scan has no CSE to prevent

        return remembered

    return decorate


def linear_maps(mapped: int, primitive: Any, *_: Any, **params: Any) -> bool:
    """Whether an equation is a linear map's product: its axes of a batch are no more than the layer is mapped over."""
    return str(primitive) == "dot_general" and len(params["dimension_numbers"][1][0]) <= mapped


def _policy(remat: Policy | tuple[str, ...]) -> Callable[..., Any] | None:
    policies = jax.checkpoint_policies
    if remat == "full":
        return None
    if remat == "dots":
        maps = overridden("linear_maps", partial(linear_maps, 0))
        return policies.save_from_both_policies(maps, policies.save_only_these_names("attended"))
    if remat == "names":
        return policies.save_only_these_names(*[name for name, among in NAMES.items() if among])
    if remat == "offload":
        if backend.choose("offload") == "keep":
            return policies.save_only_these_names(*NAMES)
        return policies.save_and_offload_only_these_names(
            names_which_can_be_saved=[],
            names_which_can_be_offloaded=list(NAMES),
            offload_src="device",
            offload_dst="pinned_host",
        )
    return policies.save_only_these_names(*remat)
