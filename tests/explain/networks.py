"""Small networks as stages, of random sizes; and the same in torch, with their weights."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jnn.explain import Stage, activation_stage, apply_stages, epsilon_rule
from jnn.layers import conv, linear, max_pool

CLASSES = 4
EPSILON = epsilon_rule(1e-9)


def draw(rng, *shape):
    return rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]) or 1)


def part(rng, *shape, bias=True):
    return {"w": draw(rng, *shape)} | ({"b": rng.normal(size=shape[-1])} if bias else {})


def mlp(rng, d=6, hidden=(8, 7), *, bias=True):
    """Parameters of a perceptron of d inputs, and one of them."""
    sizes = (d, *hidden, CLASSES)
    return [part(rng, a, b, bias=bias) for a, b in itertools.pairwise(sizes)], rng.normal(size=d)


def mlp_stages(ps, rule=EPSILON, activation=jax.nn.relu):
    stages = [stage for p in ps for stage in (Stage(linear, p, rule), activation_stage(activation))]
    return stages[:-1]


def cnn(rng, *, bias=True):
    """Parameters of two convolutions and two linear maps, and an image (y, x, c)."""
    y, x = 2 * rng.integers(2, 5, 2)
    c, k, n = rng.integers(1, 4), rng.integers(2, 5), rng.integers(2, 5)
    convs = [part(rng, 3, 3, c, k, bias=bias), part(rng, 3, 3, k, n, bias=bias)]
    flat = (y // 2) * (x // 2) * n
    return [*convs, part(rng, flat, 6, bias=bias), part(rng, 6, CLASSES, bias=bias)], rng.normal(size=(y, x, c))


def cnn_stages(ps, rule=EPSILON, activation=jax.nn.relu):
    """Six stages as far as the last maps, and four behind them."""
    first, second, wide, out = ps
    act = activation_stage(activation)
    pool = Stage(lambda _, x: max_pool(x, (2, 2)), rule=EPSILON)
    maps = [Stage(conv, first, rule), act, pool, Stage(conv, second, rule), act]
    return [*maps, activation_stage(jnp.ravel), Stage(linear, wide, rule), act, Stage(linear, out, rule)]


def scored(stages, target):
    return lambda x: apply_stages(stages, x)[target]
