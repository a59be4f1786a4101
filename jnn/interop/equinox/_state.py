"""What an Equinox `State` holds: statistics of batch norms, and all else, both in dicts by path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jnn.param import flatten, nested

Norms = Mapping[str, eqx.nn.BatchNorm]
Indices = Mapping[str, eqx.nn.StateIndex]


def batch_norms(module: Any) -> dict[str, eqx.nn.BatchNorm]:
    """The batch norms of a module, by path."""
    return _of_kind(module, eqx.nn.BatchNorm)


def indices(module: Any) -> dict[str, eqx.nn.StateIndex]:
    """Where other layers keep their state, by path."""
    return _of_kind(module, eqx.nn.StateIndex, besides=(eqx.nn.BatchNorm,))


def _of_kind(module: Any, kind: type, besides: tuple[type, ...] = ()) -> dict[str, Any]:
    found, _ = jax.tree_util.tree_flatten_with_path(module, is_leaf=lambda x: isinstance(x, (kind, *besides)))
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator="/")
    return {name(path): x for path, x in found if isinstance(x, kind)}


def _mean_and_var(norm: eqx.nn.BatchNorm) -> Any:
    """The index in a state of a batch norm's running mean and variance, in either of its modes."""
    return norm.ema_state_index if norm.mode == "ema" else norm.batch_state_index


def first_stats(norms: Norms, state: Any) -> Any:
    """Running statistics that a state holds: {path: {"mean", "var"}}, nested."""
    found: dict[str, jax.Array] = {}
    for path, norm in norms.items():
        mean, var = state.get(_mean_and_var(norm))
        if norm.mode == "ema":
            new = state.get(norm.ema_first_time_index)  # nothing was averaged yet
            mean, var = jnp.where(new, 0.0, mean), jnp.where(new, 1.0, var)
        else:
            count = state.get(norm.batch_counter)
            share = jnp.where(count == 0, 1.0, 1 - norm.momentum**count).astype(mean.dtype)
            mean, var = mean / share, var / share
        found |= {f"{path}/mean": mean, f"{path}/var": var}
    return nested(found)


def first_values(others: Indices, state: Any) -> Any:
    """What a state holds beside them: {path: {"0": array, "1": array, ...}}, nested."""
    leaves = {path: jax.tree.leaves(state.get(index)) for path, index in others.items()}
    return nested({f"{path}/{i}": x for path, found in leaves.items() for i, x in enumerate(found)})


def put(state: Any, norms: Norms, stats: Any, others: Indices, memory: Any) -> Any:
    """The state with these statistics, none of which was averaged; without any, as before the first batch."""
    state, own, kept = jax.tree.map(lambda x: x, state), flatten(stats), flatten(memory)
    for path, norm in norms.items():
        zeros = jnp.zeros((norm.input_size,))
        pair = tuple(own.get(f"{path}/{name}", zeros) for name in ("mean", "var"))
        index = _mean_and_var(norm)
        state = state.set(index, jax.tree.map(lambda x, old: x.astype(old.dtype), pair, state.get(index)))
        if norm.mode == "ema":
            state = state.set(norm.ema_first_time_index, jnp.asarray(True))
        else:
            state = state.set(norm.batch_counter, jnp.zeros_like(state.get(norm.batch_counter)))
    for path, index in others.items():
        old, structure = jax.tree.flatten(state.get(index))
        state = state.set(index, jax.tree.unflatten(structure, [kept[f"{path}/{i}"] for i in range(len(old))]))
    return state


def seen_in(state: Any, norms: Norms, stats: Any, others: Indices) -> tuple[Any, Any]:
    """The statistics that were used, those of the batch where none were given, and the new memory."""
    memory = first_values(others, state)
    if stats:
        return stats, memory
    found: dict[str, jax.Array] = {}
    for path, norm in norms.items():
        mean, var = state.get(_mean_and_var(norm))
        share = 1.0 if norm.mode == "ema" else 1 - norm.momentum  # of the batch, beside zeros
        found |= {f"{path}/mean": mean / share, f"{path}/var": var / share}
    return nested(found), memory
