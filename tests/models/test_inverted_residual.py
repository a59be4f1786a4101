"""The inverted residual against the same written in torch; its statistics; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import models
from tests.layers.channels import assert_block_matches, first, kernel, last, normals

F = torch.nn.functional
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("c_out", "expand", "squeeze", "stride"), [(3, 2, 2, 1), (4, 1, None, 2)])
def test_inverted_residual_matches_torch(c_out, expand, squeeze, stride, seed):
    def norm(p, x):
        return last(F.batch_norm(first(x), None, None, p["scale"], p["bias"], training=True))

    def theirs(p, x):
        h = F.silu(norm(p["expand"]["norm"], x @ p["expand"]["conv"]["w"][0, 0])) if "expand" in p else x
        filters = kernel(p["depthwise"]["conv"]["w"])
        h = last(F.conv2d(first(h), filters, stride=stride, padding=1, groups=len(filters)))
        h = F.silu(norm(p["depthwise"]["norm"], h))
        if "squeeze" in p:
            down, up = p["squeeze"]["down"], p["squeeze"]["up"]
            hidden = F.silu(h.mean((1, 2)) @ down["w"] + down["b"])
            h = h * torch.sigmoid(hidden @ up["w"] + up["b"])[:, None, None]
        h = norm(p["project"]["norm"], h @ p["project"]["conv"]["w"][0, 0])
        return h + x if h.shape == x.shape else h

    ours = lambda p, x: models.inverted_residual(p, x, key=None, stride=stride, activation=jax.nn.silu)[0]
    spec = models.inverted_residual_spec(3, c_out, hidden=3 * expand, squeeze=squeeze)
    assert_block_matches(spec, ours, theirs, (2, 5, 5, 3), rng=np.random.default_rng(seed))


def test_statistics_of_an_inverted_residual():
    """Those that it returned give the same again, and a row of weight 0 changes none of them, whatever it holds."""
    spec = models.inverted_residual_spec(3, 3, hidden=6)
    declared = models.batch_stats_spec(spec)
    p = jax.tree.map(lambda p: np.cos(np.arange(np.prod(p.shape), dtype=np.float32)).reshape(p.shape), spec)
    (x,) = normals(np.random.default_rng(0), (4, 3, 3, 3))

    run = partial(models.inverted_residual, key=None)

    @jax.jit
    def three(p, x, row):
        y, stats = run(p, x)
        given = {name: {"norm": {k: stats[name]["norm"][k] for k in of["norm"]}} for name, of in declared.items()}
        padded = run(p, jnp.concatenate([x, row]), weight=jnp.array([1.0, 1, 1, 1, 0]))
        return y, run(p, x, given)[0], padded[0][:4]

    y, again, padded = three(p, x, np.full_like(x[:1], np.nan))
    np.testing.assert_allclose(again, y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(padded, y, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("hidden", [6, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_channels_are_one_clear_error(hidden, channels):
    p = jax.tree.map(lambda p: jnp.zeros(p.shape), models.inverted_residual_spec(2, 4, hidden=hidden))
    with pytest.raises(ValueError, match="its parameters expect input"):
        models.inverted_residual(p, jnp.ones((2, 4, 4, channels)), key=None)
