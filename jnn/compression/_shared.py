"""Weights that share values: each leaf's clustered into a few centroids, and the number of one kept for each weight.

    share_weights(p, spec, bits=4) -> codes, centroids
    with_shared(p, codes, centroids) -> p

Laws: a centroid is the mean of its weights, and each weight's is the nearest; a centroid's gradient is the sum of its
weights', so that the centroids can be trained (as params) while the codes stay (as `ctx.given`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.compression._chosen import arrays_at, at, chosen_weights
from jnn.compression._masks import Masks, check_masks
from jnn.param import Params, Spec, Where, flatten, map_paths, nested
from jnn.precision import take, wide


def share_weights(
    p: Params, spec: Spec, *, where: Where = "*", bits: int = 4, masks: Masks | None = None, steps: int = 100
) -> tuple[Any, Any]:
    """Weight sharing by clustering: k-means of each weight's values, from centroids that are evenly spaced at first.

    See "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman Coding", Han,
    Mao and Dally, 2016.

    Args:
      p: a model's parameters.
      spec, where: of the weights, as in `magnitude_scores`; a stack of layers shares its centroids.
      bits: of a code, 1 to 8: there are `2**bits` centroids.
      masks: of what is pruned, and is in no cluster: `masked(with_shared(...), masks)`.
      steps: of k-means, at most; it ends where it stands still.

    Returns:
      Two trees of the weights that fit: codes, uint8 of their shapes, and centroids (2**bits,), ascending, in their
      dtypes. A cluster that is empty stays where it began.

    Raises:
      TypeError: spec is none, or a mask.
      ValueError: no weight fits, p lacks one, bits are not 1 to 8, steps not 1 or more, or masks are not of p.

    >>> from jnn.layers import linear_spec
    >>> p, spec = {"w": jnp.array([[0.0, 0.5, 2.0, 3.0]])}, linear_spec(1, 4, bias=False)
    >>> codes, centroids = share_weights(p, spec, bits=1)
    >>> codes["w"].tolist(), centroids["w"].tolist()
    ([[0, 0, 1, 1]], [0.25, 2.5])
    """
    checks.count("share_weights", "bits", bits)
    if bits > 8:
        raise ValueError(f"share_weights: expected bits from 1 to 8, found {bits}.")
    checks.count("share_weights", "steps", steps)
    have = arrays_at("share_weights", chosen_weights("share_weights", spec, where), p)
    left = {} if masks is None else check_masks("share_weights", masks, p)
    found = {path: _clustered(w, left.get(path), bits, steps) for path, w in have.items()}
    codes, centroids = (nested({path: pair[i] for path, pair in found.items()}) for i in range(2))
    return codes, centroids


def with_shared(p: Params, codes: Any, centroids: Any) -> Params:
    """Parameters whose weights are shared: the centroid of each code.

    Args:
      p: a model's parameters; what has codes is not read.
      codes, centroids: of `share_weights`.

    Returns:
      A tree like p.

    Raises:
      TypeError: codes are no arrays of integers.
      ValueError: codes are of other shapes than p, have no centroids, or lie beyond these.

    >>> p = with_shared({"w": jnp.zeros(3)}, {"w": jnp.array([1, 0, 1], jnp.uint8)}, {"w": jnp.array([0.5, 2.0])})
    >>> p["w"].tolist()
    [2.0, 0.5, 2.0]
    """
    coded, values = check_codes("with_shared", codes, p), flatten(centroids)
    if coded.keys() != values.keys():
        raise ValueError(f"with_shared: codes are of {sorted(coded)}, and centroids of {sorted(values)}.")
    for path, x in coded.items():
        checks.floats("with_shared", values[path])
        checks.in_range("with_shared", x, len(values[path]), what=f"codes of {path}", of="centroids")
    known = lambda path, x: take(values[path], coded[path].astype(jnp.int32), known=True).astype(x.dtype)
    return map_paths(lambda path, x: known(path, x) if path in coded else x, p)


def check_codes(name: str, codes: Any, p: Any) -> dict[str, jax.Array]:
    """Codes by path; raises unless each is an array of integers, in the shape of what p has there."""
    coded, have = flatten(codes), flatten(p)
    for path, x in coded.items():
        if not isinstance(x, jax.Array | np.ndarray) or not jnp.issubdtype(x.dtype, jnp.integer):
            found = f"{checks.describe(x)}{at(path)}"
            raise TypeError(f"{name}: expected codes, arrays of integers, found {found}. share_weights gives them.")
        if path not in have or have[path].shape != x.shape:
            raise ValueError(f"{name}: p has no weight {x.shape} at {path!r}, as codes have.")
    return coded


@partial(jax.jit, static_argnums=(2, 3))
def _clustered(w: jax.Array, mask: jax.Array | None, bits: int, steps: int) -> tuple[jax.Array, jax.Array]:
    """Lloyd's algorithm in one dimension, where clusters are intervals."""
    x = wide(w).ravel()
    counts = jnp.ones_like(x) if mask is None else (mask.ravel() != 0).astype(x.dtype)
    low, high = (end(x, initial=0, where=counts > 0) if mask is not None else end(x) for end in (jnp.min, jnp.max))
    begin = jnp.linspace(low, high, 2**bits, dtype=x.dtype)

    def body(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        i, centroids, _ = state
        codes = _nearest(x, centroids)
        add = lambda values: jax.ops.segment_sum(values, codes, 2**bits)
        total, n = add(x * counts), add(counts)
        new = jnp.where(n > 0, total / jnp.where(n > 0, n, 1), centroids)
        return i + 1, new, jnp.any(new != centroids)

    going = lambda state: (state[0] < steps) & state[2]
    _, centroids, _ = jax.lax.while_loop(going, body, (jnp.int32(0), begin, jnp.array(True)))
    return _nearest(x, centroids).astype(jnp.uint8).reshape(w.shape), centroids.astype(w.dtype)


def _nearest(x: jax.Array, centroids: jax.Array) -> jax.Array:
    """The number of the nearest of centroids, which ascend."""
    return jnp.searchsorted((centroids[1:] + centroids[:-1]) / 2, x, method="compare_all")
