"""A stack of a spec: layers that differ, are drawn each as one, and whose fans go by name."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import Param
from jnn.initializers import he_normal, normal, ones
from jnn.layers import linear_spec
from tests.param.specs import KEY, assert_equal


def test_stack_layer_i_does_not_depend_on_n_and_layers_differ():
    two, five = (jnn.init(jnn.stack(linear_spec(8, 8, init=normal()), n), KEY)["w"] for n in (2, 5))
    np.testing.assert_array_equal(two, five[:2])
    assert len({x.tobytes() for x in np.asarray(five)}) == 5


def test_a_stack_of_stacks_draws_each_layer_apart():
    spec = jnn.stack(jnn.stack(linear_spec(4, 4), 3, axis="inner"), 2, axis="outer")
    assert spec["w"].axes == ("outer", "inner", "embed", "hidden")
    w = jnn.init(spec, KEY)["w"]
    assert w.shape == (2, 3, 4, 4)
    assert len({x.tobytes() for x in np.asarray(w).reshape(6, -1)}) == 6


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "change", [{"dtype": jnp.bfloat16}, {"init": he_normal}, {"init": ones}, {"init": jnn.initializers.orthogonal()}]
)
def test_a_stack_that_is_changed_is_drawn_as_the_stack_of_the_changed(change, times):
    """Law 1, and each layer as one layer: for replacements of dtype and init before and after stacking."""
    stacked = lambda spec: stacked_once(stacked_once(spec, "outer") if times == 2 else spec, "layers")
    stacked_once = lambda spec, axis: jnn.stack(spec, 3, axis=axis)
    changed = lambda spec: {**spec, "w": dataclasses.replace(spec["w"], **change)}
    spec = changed(stacked(linear_spec(8, 6)))
    params, shapes = jnn.init(spec, KEY), jnn.abstract(spec)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), params) == jax.tree.map(lambda s: (s.shape, s.dtype), shapes)
    assert_equal(params, jnn.init(stacked(changed(linear_spec(8, 6))), KEY))


def test_a_stack_along_a_name_that_is_taken_is_an_error():
    with pytest.raises(ValueError, match="distinct names"):
        jnn.stack(linear_spec(4, 4), 2, axis="embed")


@pytest.mark.parametrize("n", [1, 3])
def test_fans_go_by_name_inside_a_stack_too(n):
    """he_normal of (embed, heads, head) has variance 2 / embed, wherever the axes stand."""
    std = (2 / 256) ** 0.5
    for axes, shape in [
        (("embed", "heads", "head"), (256, 4, 64)),
        (("heads", "embed", "head"), (4, 256, 64)),
        (("heads", "head", "embed"), (4, 64, 256)),
    ]:
        spec = jnn.stack({"w": Param(shape, he_normal, axes, fan_in=("embed",), fan_out=("heads", "head"))}, n)
        w = np.asarray(jnn.init(spec, KEY)["w"])
        np.testing.assert_allclose(w.std(axis=(1, 2, 3)), std, rtol=0.02)
        np.testing.assert_allclose(w.mean(), 0, atol=4 * std / w.size**0.5)
    many = {
        "w": Param((4, 64, 256), he_normal, ("heads", "head", "embed"), fan_in=("heads", "head"), fan_out=("embed",))
    }
    np.testing.assert_allclose(jnn.init(many, KEY)["w"].std(), (2 / 256) ** 0.5, rtol=0.02)
