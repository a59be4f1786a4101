"""Names of the leaves of a tree, and the key that belongs to each.

Laws: no two leaves of a tree share a path; the key of a path is folded name by name, each name as 64 bits of its hash,
so that two names with one key are not met in practice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jnn.param._misfits import array_type


def path_key(key: jax.Array, path: str) -> jax.Array:
    """PRNG key for `path` below `key`, folded name by name.

    Raises:
      TypeError: key is not one PRNG key.

    >>> key = jax.random.key(0)
    >>> bool(path_key(key, "a/b") == path_key(path_key(key, "a"), "b"))
    True
    """
    check_key("path_key", key)
    for name in filter(None, path.split("/")):
        for word in np.frombuffer(hashlib.blake2b(name.encode(), digest_size=8).digest(), "<u4"):
            key = jax.random.fold_in(key, word)
    return key


def check_key(name: str, key: Any, *, optional: bool = False) -> None:
    """Raises TypeError unless key is one PRNG key, of `jax.random.key` or `jax.random.PRNGKey`; or None, if it may be.

    >>> check_key("dropout", 0, optional=True)
    Traceback (most recent call last):
    TypeError: dropout: expected one PRNG key, or None for no noise, found 0. jax.random.key(0) makes one from a seed;
    for several keys, jax.vmap the function, or take one: key[0].
    """
    if optional and key is None:
        return
    if isinstance(key, jax.Array | np.ndarray):
        old = key.dtype == np.uint32 and key.ndim == 1
        if old or (key.ndim == 0 and is_key(key)):
            return
        found = array_type(key)
    else:
        found = repr(key) if key is None or isinstance(key, int | float | str) else f"a {type(key).__name__}"
    raise TypeError(
        f"{name}: expected one PRNG key{', or None for no noise' if optional else ''}, found {found}. "
        "jax.random.key(0) makes one from a seed; for several keys, jax.vmap the function, or take one: key[0]."
    )


def is_key(x: Any) -> bool:
    """Whether x holds typed PRNG keys, of `jax.random.key`.

    >>> is_key(jax.random.split(jax.random.key(0))), is_key(jax.random.PRNGKey(0))
    (True, False)
    """
    return hasattr(x, "dtype") and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def map_paths(fn: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Map over paths: `fn(path, leaf, ...)` at every leaf; a path reads `blocks/attention/q/w`.

    Raises:
      ValueError: two leaves have one path, as those of {"a/b": 1, "a": {"b": 2}}.
    """
    found, structure = jax.tree.flatten_with_path(tree)
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in found]
    seen: set[str] = set()
    for names in (tuple(filter(None, path.split("/"))) for path in paths):
        if (path := "/".join(names)) in seen:
            raise ValueError(f"Two leaves of the tree have the path {path!r}: rename one, without '/' in its name.")
        seen.add(path)
    return jax.tree.map(fn, jax.tree.unflatten(structure, paths), tree, *rest)


def flatten(tree: Any) -> dict[str, Any]:
    """Flattened tree: its leaves by path.

    Raises:
      ValueError: two leaves have one path.

    >>> flatten({"fc": {"w": 1, "b": 2}})
    {'fc/b': 2, 'fc/w': 1}
    """
    leaves: dict[str, Any] = {}
    map_paths(leaves.__setitem__, tree)
    return leaves
