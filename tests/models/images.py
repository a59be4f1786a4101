"""What tests of image models share: images, the names of parameters beside statistics, torch's layout."""

from fnmatch import fnmatchcase

import jax
import numpy as np

import jnn
from jnn.models import batch_stats_spec
from jnn.parity import check


def images(*shape, seed=0):
    """Normal float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def channels_last(module, x):
    """A module of torch called with channels last, and its answer likewise."""
    y = module(x.movedim(-1, 1))
    return y.movedim(1, -1) if y.ndim == 4 else y


def trained(module, seed=0):
    """A module whose batch norms have seen something and scale something."""
    import torch

    torch.manual_seed(seed)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for x in (part.running_mean, part.bias):
                torch.nn.init.normal_(x, 0, 0.2)
            for x in (part.running_var, part.weight):
                torch.nn.init.uniform_(x, 0.5, 1.5)
    return module


def matching(names, spec):
    """Those of the names whose pattern is like a path of the spec."""
    paths = jnn.param.flatten(spec)
    return {pattern: name for pattern, name in names.items() if any(fnmatchcase(path, pattern) for path in paths)}


def with_stats(names, both):
    """The names of parameters, for params and stats of them."""
    return matching({f"{part}/{path}": name for part in both for path, name in names.items()}, both)


def check_with_stats(model, spec, module, x, names=None, **how):
    """Parity of `model(params, x, stats) -> (output, stats)` with a module that normalizes by its statistics."""
    both = {"params": spec, "stats": batch_stats_spec(spec)}
    named = with_stats({**(names or {}), "*": "*"}, both)
    ours = lambda p, x: model(p["params"], x, jax.lax.stop_gradient(p["stats"]))[0]
    return check(ours, both, trained(module), x, names=named, call=channels_last, **how)


def size(spec):
    """How many parameters there are."""
    return jnn.count_params(spec)
