"""Every explanation of an image classifier by one interface, and what is measured of each.

Network(stages, ...)                    a classifier as stages, and how coarsely its images are looked at
methods(network) -> {name: map}         (params, x, target, key) -> (y, x), each compiled once for a batch
faithfulness(network) -> function       (params, x, target, relevance) -> areas under the two curves
tcav(stages, maps, x, y, ...)           of each class's images, the share whose score grows with a concept
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import explain
from jnn.explain import Stage, activation_stage, apply_stages, epsilon_rule, positive_rule
from jnn.layers import conv, linear, max_pool


class Network(NamedTuple):
    """A classifier of images.

    stages: (params, activation) -> stages of one image, with the rules of its relevance.
    activation: behind its maps.
    maps: how many stages from the end its last maps are.
    window, stride: what is hidden at a time.
    grid: into how many parts an image falls along either side, for Kernel SHAP.
    noise: of SmoothGrad, in the units of a pixel.
    samples: of whatever is averaged.
    batch_size: how many images are computed at a time.
    """

    stages: Callable[[Any, Callable], list[Stage]]
    activation: Callable[[jax.Array], jax.Array]
    maps: int
    window: int
    stride: int
    grid: int
    noise: float
    samples: int
    batch_size: int | None = None
    baselines: tuple[float, ...] = (0.0,)  # grey levels; the first stands for nothing

    def score(self, params: Any, target: jax.Array, activation: Callable | None = None) -> explain.Score:
        """One logit, of one image."""
        stages = self.stages(params, activation or self.activation)
        return lambda x: apply_stages(stages, x)[target]


def methods(net: Network) -> dict[str, Callable[..., jax.Array]]:
    """Each a function (params, x, target, key) of a batch (b, y, x, c), classes (b,) and keys (b,) to maps (b, y, x).

    Signs say for and against; those of saliency, SmoothGrad and Grad-CAM, none.
    """
    chunk = {"batch_size": net.batch_size}
    nothing = net.baselines[0]
    guided = explain.guided(net.activation)
    strongest = lambda map_: jnp.abs(map_).max(-1)
    every = {
        "saliency": lambda p, x, y, key: explain.saliency(net.score(p, y), x).max(-1),
        "input x gradient": lambda p, x, y, key: explain.input_times_gradient(net.score(p, y), x).sum(-1),
        "SmoothGrad": lambda p, x, y, key: strongest(
            explain.smooth_grad(net.score(p, y), x, key=key, noise=net.noise, samples=net.samples, **chunk)
        ),
        "integrated gradients": lambda p, x, y, key: explain.integrated_gradients(
            net.score(p, y), x, nothing, steps=net.samples, **chunk
        ).sum(-1),
        "GradientSHAP": lambda p, x, y, key: explain.gradient_shap(
            net.score(p, y), x, _levels(x, net.baselines), key=key, samples=net.samples, **chunk
        ).sum(-1),
        "guided gradient": lambda p, x, y, key: strongest(explain.gradient(net.score(p, y, guided), x)),
        "Grad-CAM": lambda p, x, y, key: _grad_cam(net, p, x, y),
        "LRP": lambda p, x, y, key: explain.layerwise_relevance(net.stages(p, net.activation), x, y).sum(-1),
        "occlusion": lambda p, x, y, key: explain.occlusion(
            net.score(p, y), x, (net.window,) * 2, stride=(net.stride,) * 2, baseline=nothing, **chunk
        ),
        "Kernel SHAP": lambda p, x, y, key: _kernel_shap(net, p, x, y, key),
    }
    return {name: _batched(method, net) for name, method in every.items()}


def faithfulness(net: Network, steps: int = 15) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """(params, x, target, relevance) of a batch to the areas (b,) under its deletion and insertion curves.

    The curves are of the class's probability, as a share of its own in the whole image.
    """

    def areas(p: Any, x: jax.Array, target: jax.Array, relevance: jax.Array) -> tuple[jax.Array, ...]:
        stages = net.stages(p, net.activation)
        f = lambda x: jax.nn.softmax(apply_stages(stages, x))[target]
        how = {"baseline": net.baselines[0], "steps": steps, "batch_size": net.batch_size}
        curves = [one(f, x, relevance, **how) for one in (explain.deletion_curve, explain.insertion_curve)]
        return tuple(jnp.trapezoid(curve, dx=1 / steps) / f(x) for curve in curves)

    return _batched(areas, net)


def explained(net: Network, every: dict[str, Callable], p: Any, x: jax.Array, *, seed: int):
    """The classes that are seen, a map of each method for them, and how faithful the maps are."""
    seen = jax.jit(jax.vmap(lambda p, x: apply_stages(net.stages(p, net.activation), x).argmax(), (None, 0)))
    target = seen(p, x)
    keys, areas = jax.random.split(jax.random.key(seed), len(x)), faithfulness(net)
    maps = {name: np.asarray(method(p, x, target, keys)) for name, method in every.items()}
    found = [areas(p, x, target, one) for one in maps.values()]
    rows = {"method": list(maps)}
    rows |= {name: [float(area[i].mean()) for area in found] for i, name in enumerate(("deletion", "insertion"))}
    score = jax.vmap(lambda x, y: net.score(p, y)(x))
    whole = score(x, target) - score(jnp.full_like(x, net.baselines[0]), target)
    lacking = np.abs(maps["integrated gradients"].sum((1, 2)) - whole) / np.abs(whole)
    return np.asarray(target), maps, rows | {"incomplete": float(lacking.mean())}


def sanity(method: Callable, x: jax.Array, target: np.ndarray, p: Any, cascade: dict[str, Any], *, seed: int):
    """The rank correlation of a method's maps, without their signs, with those of each of a cascade."""
    keys = jax.random.split(jax.random.key(seed), len(x))
    return explain.sanity_check(lambda p: jnp.abs(method(p, x, jnp.asarray(target), keys)), p, cascade)


def tcav(
    stages: list[Stage], maps: int, x: np.ndarray, y: np.ndarray, *, concepts: dict[str, np.ndarray], others: np.ndarray
) -> dict[str, np.ndarray]:
    """TCAV (vectors, classes) by concept: the share of each class's images x whose own score grows along its vector.

    Vectors are of the activations in front of the last `maps` stages, one for each of a concept's images
    (vectors, n, ...), against those of `others`.
    """
    behind, head = stages[:-maps], stages[-maps:]
    activations = jax.vmap(partial(apply_stages, behind))
    h = jax.jit(activations)(x)

    @jax.jit
    @jax.vmap
    def slopes(shown, others):
        vector = explain.concept_vector(activations(shown), activations(others))
        score = lambda y: lambda h: apply_stages(head, h)[y]
        return jax.vmap(lambda h, y: explain.concept_sensitivity(score(y), h, vector))(h, jnp.asarray(y))

    grows = {name: np.asarray(slopes(shown, others)) > 0 for name, shown in concepts.items()}
    return {name: np.stack([own[:, y == c].mean(1) for c in np.unique(y)], 1) for name, own in grows.items()}


def cnn_stages(p: dict, activation: Callable[[jax.Array], jax.Array]) -> list[Stage]:
    """`jnn.models.cnn`, whose activations stand before its pools: that is the same."""
    act, stages = activation_stage(activation), []
    for name in sorted(name for name in p if name != "head"):
        stages += [Stage(conv, p[name], positive_rule()), act, Stage(lambda _, x: max_pool(x, (2, 2)))]
    dense, out = (Stage(linear, p["head"][name], epsilon_rule(1e-3)) for name in ("fc0", "fc1"))
    return [*stages, activation_stage(jnp.ravel), dense, act, out]


def _batched(method: Callable, net: Network) -> Callable:
    """Of many small images at once; of large ones one after another."""
    several = (
        jax.vmap
        if net.batch_size is None
        else lambda f, axes: lambda p, *rows: jax.lax.map(lambda row: f(p, *row), rows)
    )
    return jax.jit(lambda p, *rows: several(method, (None, *(0 for _ in rows)))(p, *rows))


def _levels(x: jax.Array, levels: tuple[float, ...]) -> jax.Array:
    """Images like x of one grey level each."""
    return jnp.stack([jnp.full_like(x, level) for level in levels])


def _grad_cam(net: Network, p: Any, x: jax.Array, target: jax.Array) -> jax.Array:
    stages = net.stages(p, net.activation)
    features = lambda x: apply_stages(stages[: -net.maps], x)
    head = lambda h: apply_stages(stages[-net.maps :], h)[target]
    return jax.image.resize(explain.grad_cam(features, head, x), x.shape[:2], "linear")


def _kernel_shap(net: Network, p: Any, x: jax.Array, target: jax.Array, key: jax.Array) -> jax.Array:
    rows, columns = (np.arange(n) * net.grid // n for n in x.shape[:2])
    groups = rows[:, None] * net.grid + columns[None]
    how = {"baseline": net.baselines[0], "samples": 8 * net.samples, "batch_size": net.batch_size}
    return explain.kernel_shap(net.score(p, target), x, groups=groups, key=key, **how)[groups]
