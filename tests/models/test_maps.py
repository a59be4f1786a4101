"""Feature maps: the network before its mean, and the same in two parts, values and gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import layers, models
from tests.models.images import images

STAGES = ((3, 1, 8, 1), (5, 2, 8, 3), (3, 2, 16, 1))
NETWORKS = {  # whole, its maps, its spec, the parts that come last
    "resnet": (
        models.resnet,
        models.resnet_maps,
        models.resnet_spec((1, 2, 2), (8, 8, 16), 5, bottleneck=2, stem=4),
        ("stage3",),
    ),
    "efficientnet_lite": (
        partial(models.efficientnet_lite, strides=(1, 2, 2)),
        models.efficientnet_lite_maps,
        models.efficientnet_lite_spec(5, stages=STAGES, stem=8, last=12),
        ("stage2", "stage3", "last"),
    ),
}


def in_two_parts(maps, last):
    """As the network: the first stages, then the last ones."""

    def model(p, x, stats):
        first = {name: part for name, part in p.items() if name not in last}
        x, seen = maps(first, x, stats, key=None)
        x, told = maps({name: p[name] for name in last}, x, stats, key=None)
        return layers.linear(p["out"], layers.global_avg_pool(x)), seen | told

    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_two_parts_are_the_whole(name):
    whole, maps, spec, last = NETWORKS[name]
    stats = jax.tree.map(lambda p: np.full(p.shape, 0.7, np.float32), models.batch_stats_spec(spec))
    p = jnn.init(spec, jax.random.key(0))
    x = images(2, 32, 24, 3)

    def squares(model, p, x):
        logits, seen = model(p, x, stats)
        return jnp.square(logits).sum(), (logits, seen)

    models_of = {"whole": partial(whole, key=None), "parts": in_two_parts(maps, last)}
    ours, theirs = (
        jax.jit(jax.value_and_grad(partial(squares, model), has_aux=True))(p, x) for model in models_of.values()
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), ours, theirs)


def test_own_statistics_and_noise_reach_a_part():
    _, maps, spec, last = NETWORKS["efficientnet_lite"]
    p = jax.eval_shape(partial(jnn.init, {name: spec[name] for name in last}), jax.random.key(0))
    x = jax.ShapeDtypeStruct((2, 8, 8, 8), jnp.float32)
    run = lambda p, x, key: maps(p, x, key=key, drop_path=0.5, strides=(1, 2))
    y, seen = jax.eval_shape(run, p, x, jax.random.key(0))
    assert y.shape == (2, 4, 4, 12)
    assert set(seen) == set(last)


@pytest.mark.parametrize("maps", [models.resnet_maps, models.efficientnet_lite_maps])
def test_no_stage_is_one_clear_error(maps):
    message = rf"{maps.__name__}: expected params with a stage, such as 'stage1'; found the names \['out'\]"
    with pytest.raises(ValueError, match=message):
        maps({"out": {}}, jnp.ones((2, 8, 8, 3)), key=None)
