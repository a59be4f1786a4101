"""Diagnostics inside the step, so that vanishing and exploding gradients are seen: at no dispatch of their own.

    make_step(..., diagnostics=gradient_norms)         gradient norms and update-to-weight ratios, by path
    LossOutput(..., metrics=activation("fc1", h))      root mean square and dead share of an activation

See "Understanding the Difficulty of Training Deep Feedforward Neural Networks", Glorot and Bengio, 2010.

Each is a metric like any other: sums, pooled over steps, micro-batches and devices, and a number in every row.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.metrics import Mean, RootMean
from jnn.param import Params, flatten
from jnn.precision import wide
from jnn.train._context import Metrics


def gradient_norms(params: Params, grads: Params, updates: Params, *, stacked: tuple[str, ...] = ()) -> Metrics:
    """Gradient norms: of every gradient, and of every update as a share of its parameter's norm.

    Args:
      params: before the update.
      grads: as the optimizer gets them, clipped.
      updates: what is added to params.
      stacked: names at the top of the tree whose leaves have a leading axis of layers (`jnn.stack`): each layer is
        then measured by itself.

    Returns:
      {"grad_norm/<path>": RootMean, "update_ratio/<path>": Mean}, where a stacked path is `blocks/03/fc/w`. The ratio
      counts no step in which the parameter is all zeros, as a bias is at first.

    >>> ones = {"fc": {"w": jnp.ones((3, 3))}}
    >>> {k: v.value().item() for k, v in gradient_norms(ones, ones, jax.tree.map(lambda x: x / 10, ones)).items()}
    {'grad_norm/fc/w': 3.0, 'update_ratio/fc/w': 0.10000000149011612}
    """
    sizes = [_layers(_squares(tree, stacked)) for tree in (params, grads, updates)]
    metrics: Metrics = {}
    for path, weight in sizes[0].items():
        grad, update = sizes[1][path], sizes[2][path]
        metrics[f"grad_norm/{path}"] = RootMean(grad, jnp.ones(()))
        there = weight > 0
        ratio = jnp.where(there, jnp.sqrt(update / jnp.where(there, weight, 1.0)), 0.0)
        metrics[f"update_ratio/{path}"] = Mean(ratio, there.astype(ratio.dtype))
    return metrics


def activation(name: str, h: jax.Array) -> Metrics:
    """Activation statistics: the size, and which share of the units is 0 for the whole batch: dead, after a ReLU.

    Args:
      name: of the layer.
      h: (..., units), floating point.

    Returns:
      {"activation/<name>": RootMean, "dead/<name>": Mean}

    >>> h = jnp.array([[0.0, 3.0], [0.0, 4.0]])
    >>> {k: round(v.value().item(), 3) for k, v in activation("fc1", h).items()}
    {'activation/fc1': 2.5, 'dead/fc1': 0.5}
    """
    flat = wide(h).reshape(-1, h.shape[-1])
    dead = (flat == 0).all(0)
    return {
        f"activation/{name}": RootMean(jnp.sum(flat * flat), jnp.asarray(flat.size, flat.dtype)),
        f"dead/{name}": Mean(jnp.sum(dead, dtype=flat.dtype), jnp.asarray(dead.size, flat.dtype)),
    }


def _squares(tree: Params, stacked: tuple[str, ...]) -> dict[str, jax.Array]:
    """The sum of squares of each leaf by path, one for each layer of a stacked one."""
    keep = lambda path: 1 if path.split("/")[0] in stacked else 0
    return {path: jnp.sum(jnp.square(wide(x)), range(keep(path), x.ndim)) for path, x in flatten(tree).items()}


def _layers(squares: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """A stacked path's numbers as a path for each layer."""
    paths = {}
    for path, value in squares.items():
        if value.ndim == 0:
            paths[path] = value
        else:
            top, _, rest = path.partition("/")
            paths |= {f"{top}/{i:02}/{rest}": layer for i, layer in enumerate(value)}
    return paths
