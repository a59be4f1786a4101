"""What a file of its own has instead of `jnn.param` and `jnn.backend`: a declaration, its draws, a fixed choice.

The draws are those of `jnn.param`: of a key and a path the same bits, for every initializer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Initializer = Callable[[jax.Array, Sequence[int], Any], jax.Array]
Spec = Any  # nested dicts of Param
Params = Any  # the same tree, of arrays

FORMULATIONS: dict[str, tuple[str, str]] = {}  # the backend's own, and the one where that cannot run


def choose(name: str, refusals: Mapping[str, Callable[[], str]]) -> str:
    """The formulation that runs: the backend's own, or another where that refuses."""
    own, other = FORMULATIONS[name]
    return other if own in refusals and refusals[own]() else own


@dataclasses.dataclass(frozen=True)
class Param:
    """Parameter, declared: its shape, initial values, names of axes and dtype; which of the axes count in its fans."""

    shape: tuple[int, ...]
    init: Any  # (key, shape, dtype) -> array, or what resolves to that for this parameter
    axes: tuple[str, ...]
    dtype: Any = jnp.float32
    fan_in: tuple[str, ...] = ()
    fan_out: tuple[str, ...] = ()
    receptive: tuple[str, ...] = ()
    stacked: int = 0  # leading axes along which one layer lies beside another

    @property
    def fans(self) -> tuple[int, int]:
        """How many numbers of the input an output sums up, and how many of the output an input goes to."""
        size = dict(zip(self.axes, self.shape, strict=True))
        product = lambda names: math.prod(size[name] for name in (*names, *self.receptive))
        return product(self.fan_in), product(self.fan_out)

    def draw(self, key: jax.Array) -> jax.Array:
        """An array of this shape and dtype."""
        if 0 in self.shape:
            return jnp.zeros(self.shape, self.dtype)
        if self.stacked:
            one = dataclasses.replace(self, shape=self.shape[1:], axes=self.axes[1:], stacked=self.stacked - 1)
            return jax.vmap(lambda i: one.draw(jax.random.fold_in(key, i)))(jnp.arange(self.shape[0]))
        init = self.init.resolve(self) if hasattr(self.init, "resolve") else self.init
        narrow = jnp.issubdtype(self.dtype, jnp.floating) and jnp.finfo(self.dtype).bits < 32
        return jnp.asarray(init(key, self.shape, jnp.float32 if narrow else self.dtype)).astype(self.dtype)


def init(spec: Spec, key: jax.Array) -> Params:
    """Draws every parameter, each by the key and its own path."""
    keys = map_paths(lambda path, param: path_key(key, path), spec)
    return jax.jit(lambda keys: jax.tree.map(lambda param, key: param.draw(key), spec, keys))(keys)


def stack(spec: Spec, n: int, axis: str = "layers") -> Spec:
    """The same spec n times, along a new leading axis."""
    more = lambda p: dataclasses.replace(p, shape=(n, *p.shape), axes=(axis, *p.axes), stacked=p.stacked + 1)
    return jax.tree.map(more, spec)


def path_key(key: jax.Array, path: str) -> jax.Array:
    """PRNG key for a path below a key, folded name by name."""
    for name in filter(None, path.split("/")):
        for word in np.frombuffer(hashlib.blake2b(name.encode(), digest_size=8).digest(), "<u4"):
            key = jax.random.fold_in(key, word)
    return key


def map_paths(fn: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`fn(path, leaf, ...)` at every leaf; a path reads `blocks/attention/q/w`."""
    return jax.tree.map_with_path(
        lambda path, *leaves: fn(jax.tree_util.keystr(path, simple=True, separator="/"), *leaves), tree, *rest
    )


def flatten(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by path."""
    leaves: dict[str, Any] = {}
    map_paths(leaves.__setitem__, tree)
    return leaves


def count_params(tree: Any) -> int:
    """How many numbers a spec, or a tree of arrays, holds."""
    return sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(tree))
