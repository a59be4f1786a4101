"""What tests of image models share: images, the names of parameters beside statistics, torch's layout."""

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


def check_with_stats(model, spec, module, x, names=None, **how):
    """Parity of `model(params, x, stats) -> (output, stats)` with a module that normalizes by its statistics."""
    both = {"params": spec, "stats": batch_stats_spec(spec)}
    named = {f"{part}/{path}": name for part in both for path, name in {**(names or {}), "*": "*"}.items()}
    ours = lambda p, x: model(p["params"], x, jax.lax.stop_gradient(p["stats"]))[0]
    return check(ours, both, trained(module), x, names=named, call=channels_last, **how)


def size(spec):
    """How many parameters there are."""
    return jnn.count_params(spec)
