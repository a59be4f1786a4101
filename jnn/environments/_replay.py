"""Replay buffers: the newest transitions, as a dict of arrays of one's own state.

    buffer = replay_buffer(example, capacity)
    buffer = replay_add(buffer, rows)            the oldest make room
    replay_sample(buffer, n, key) -> rows        with replacement, each as likely

Laws: after any number of rows the buffer holds the last `capacity` of them, each once; shapes never change, so that a
program that holds it is compiled once.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks

Buffer = dict[str, Any]


def replay_buffer(example: Any, capacity: int) -> Buffer:
    """Replay buffer: room for so many rows like this one, empty at first.

    See "Self-Improving Reactive Agents Based On Reinforcement Learning, Planning and Teaching", Lin, 1992.

    Args:
      example: one row: a tree of arrays, or of their shapes.
      capacity: rows.

    Returns:
      {"rows": a tree of zeros (capacity, ...), "next": int32, the place of the next one, "size": int32}.

    Raises:
      ValueError: capacity is no integer of 1 or more.

    >>> buffer = replay_buffer({"reward": jnp.zeros(())}, 3)
    >>> buffer = replay_add(buffer, {"reward": jnp.arange(5.0)})
    >>> sorted(buffer["rows"]["reward"].tolist()), buffer["size"].item()
    ([2.0, 3.0, 4.0], 3)
    """
    checks.count("replay_buffer", "capacity", capacity)
    rows = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), example)
    return {"rows": rows, "next": jnp.zeros((), jnp.int32), "size": jnp.zeros((), jnp.int32)}


def replay_add(buffer: Buffer, rows: Any) -> Buffer:
    """Replay buffer with more rows; where there is no room, the oldest go.

    Args:
      buffer: from `replay_buffer`.
      rows: a tree as the example's, with a leading axis, of any length.

    Raises:
      TypeError: rows of dtypes whose numbers the example's do not hold, as int32 does not those of float32.
      ValueError: rows are not like the example; what there is, and what was expected.

    >>> buffer = replay_add(replay_buffer({"x": jnp.zeros(2)}, 4), {"x": jnp.ones((3, 2))})
    >>> buffer["size"].item(), buffer["next"].item()
    (3, 3)
    """
    held = buffer["rows"]
    _check(held, rows)
    n, capacity = (len(jax.tree.leaves(tree)[0]) for tree in (rows, held))
    kept = jax.tree.map(lambda x: x[-capacity:], rows)  # of more than there is room for, the last
    at = (buffer["next"] + jnp.arange(max(0, n - capacity), n)) % capacity
    rows = jax.tree.map(lambda old, new: old.at[at].set(new.astype(old.dtype)), held, kept)
    return {"rows": rows, "next": (buffer["next"] + n) % capacity, "size": jnp.minimum(buffer["size"] + n, capacity)}


def replay_sample(buffer: Buffer, n: int, key: jax.Array) -> Any:
    """Replay sample: n rows of a buffer, drawn uniformly with replacement; of an empty one zeros.

    Args:
      buffer: from `replay_add`.
      n: rows.
      key: of the draw.

    Returns:
      A tree of arrays (n, ...).

    Raises:
      ValueError: n is no integer of 1 or more.

    >>> buffer = replay_add(replay_buffer({"x": jnp.zeros(())}, 9), {"x": jnp.array([4.0])})
    >>> replay_sample(buffer, 3, jax.random.key(0))["x"].tolist()
    [4.0, 4.0, 4.0]
    """
    checks.count("replay_sample", "n", n)
    at = jax.random.randint(key, (n,), 0, jnp.maximum(buffer["size"], 1))
    return jax.tree.map(lambda x: x[at], buffer["rows"])


def _check(held: Any, rows: Any) -> None:
    """Raises unless rows are as those that are held, however many."""
    shapes = lambda tree: jax.tree.map(lambda x: x.shape[1:], tree)
    if (found := shapes(rows)) != (wanted := shapes(held)):
        raise ValueError(f"replay_add: expected rows of shapes {wanted}, found {found}.")
    if len(lengths := {len(x) for x in jax.tree.leaves(rows)}) > 1:
        raise ValueError(f"replay_add: expected leaves of one length, found {sorted(lengths)}.")
    checks.held_all("replay_add", rows)
    jax.tree_util.tree_map_with_path(_check_dtype, held, rows)


def _check_dtype(path: Any, old: Any, new: Any) -> None:
    found = jax.dtypes.canonicalize_dtype(new.dtype)
    if jnp.promote_types(found, old.dtype) != old.dtype:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        raise TypeError(
            f"replay_add: {name!r} holds {old.dtype}, which cannot hold all of {found}. Cast the rows, or make the "
            "buffer of an example like them."
        )
