"""A small network with dropout, its data, and a sweep of it: what the tests of sweeps take apart."""

import functools

import numpy as np
import optax

import jnn
from jnn.models import mlp, mlp_spec
from jnn.sweep import Choice, LogUniform, Structure, Sweep, Uniform
from jnn.train import LossOutput

SPACE = {"learning_rate": LogUniform(1e-3, 1e-1), "dropout": Uniform(0.0, 0.5), "decay": Choice(0.0, 1e-3)}
STRUCTURED = {"learning_rate": LogUniform(1e-3, 1e-1), "width": Structure(4, 8)}


def arrays(n=48, seed=0, dtype=np.float32):
    """Rows of two classes that overlap."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)).astype(dtype)
    return {"x": x, "y": (x[:, 0] + 0.5 * rng.normal(size=n) > 0).astype(np.int32)}


def loss(params, batch, ctx):
    """Cross-entropy with the member's own dropout and penalty."""
    logits = mlp(params, batch["x"], key=ctx.key, rate=ctx.given.get("dropout", 0.0))
    penalty = ctx.given.get("decay", 0.0) * (params["fc0"]["w"] ** 2).sum()
    accuracy = jnn.metrics.accuracy(logits, batch["y"], weight=batch["weight"])
    values = jnn.losses.cross_entropy(logits, batch["y"])
    return LossOutput(values, batch["weight"], penalty, metrics={"accuracy": accuracy})


def adam(h):
    """With the member's own rate, which falls."""
    return optax.adam(optax.exponential_decay(h["learning_rate"], 10, 0.9))


def sweep(width=8, dtype=np.float32, depth=1, **options):
    """Of networks of one width."""
    return Sweep(mlp_spec((5, *(width,) * depth, 2), dtype=dtype), loss, adam, arrays(dtype=dtype), 8, **options)


shared = functools.cache(sweep)  # whose programs are compiled once for many tests


def points(n, **fixed):
    """So many, each with other hyperparameters."""
    rates = np.geomspace(1e-3, 1e-1, n)
    return [
        {"learning_rate": rate, "dropout": 0.1 * (i % 4), "decay": 1e-3 * (i % 2)} | fixed
        for i, rate in enumerate(rates)
    ]
