"""A spec of arrays that exist: Flax's (linen and NNX) and torch's, laid out on eight devices, masked, loaded."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jnn
from jnn.axes import use_layout
from jnn.parallel import layout

KEY = jax.random.key(0)
AXES = {"*1/kernel": "hidden -> out", "*kernel": "embed -> hidden", "*0/bias": "hidden", "*bias": ("out",)}
X = jnp.cos(jnp.arange(16 * 24.0)).reshape(16, 24)


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(8)(nn.relu(nn.Dense(32)(x)))


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.dense0, self.dense1 = nnx.Linear(24, 32, rngs=rngs), nnx.Linear(32, 8, rngs=rngs)

    def __call__(self, x):
        return self.dense1(nnx.relu(self.dense0(x)))


def linen():
    module = Linen()
    return module.init(KEY, X)["params"], lambda p, x: module.apply({"params": p}, x)


def nnx_module():
    graph, state = nnx.split(Nnx(nnx.Rngs(0)))
    return state, lambda p, x: nnx.merge(graph, p)(x)


def nnx_axes():
    return {pattern.replace("kernel", "kernel*").replace("bias", "bias*"): names for pattern, names in AXES.items()}


MODULES = pytest.mark.parametrize(("module", "axes"), [(linen, AXES), (nnx_module, nnx_axes())], ids=["linen", "nnx"])


@MODULES
@pytest.mark.parametrize("mesh", ["data=8", "fsdp=8", "fsdp=4,tensor=2"])
def test_a_module_of_flax_is_laid_out_on_eight_devices(module, axes, mesh):
    params, apply = module()
    place = layout(jnn.spec_of(params, axes=axes), mesh)
    put = jax.device_put(params, place.parameters)
    kernel = next(x for path, x in jnn.flatten(put).items() if "kernel" in path)
    assert kernel.addressable_shards[0].data.size * (1 if mesh == "data=8" else 8) == kernel.size
    loss = lambda p, x: jnp.sum(apply(p, x) ** 2)
    with use_layout(place):
        found = jax.jit(jax.value_and_grad(loss))(put, jax.device_put(X, place.batch()))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(jax.value_and_grad(loss)(params, X)), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)
    state = optax.adam(0.1).init(params)
    moments = jax.tree.leaves(place.like(state))
    assert len([s for s in moments if s in jax.tree.leaves(place.parameters)]) >= 8


@MODULES
def test_its_arrays_are_counted_masked_and_loaded(module, axes):
    params, _ = module()
    spec = jnn.spec_of(params, axes=axes)
    assert jnn.count_params(spec) == jnn.count_params(params) == 24 * 32 + 32 + 32 * 8 + 8
    assert {path for path, counts in jnn.flatten(jnn.weight_mask(spec)).items() if counts} == {
        path for path in jnn.flatten(params) if "kernel" in path
    }
    assert jax.tree.structure(jnn.abstract(spec)) == jax.tree.structure(params)
    loaded = jnn.load(spec, jax.tree.map(np.asarray, params))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), loaded, params)))
    assert "embed hidden" in jnn.summary(spec)


def test_a_state_dict_of_torch():
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2).to(torch.bfloat16))
    spec = jnn.spec_of(dict(module.state_dict()), axes={"*.weight": "out in"})
    assert [(path, p.shape, str(jnp.dtype(p.dtype)), p.axes) for path, p in jnn.flatten(spec).items()] == [
        ("0.bias", (4,), "float32", ("axis0",)),
        ("0.weight", (4, 3), "float32", ("out", "in")),
        ("2.bias", (2,), "bfloat16", ("axis0",)),
        ("2.weight", (2, 4), "bfloat16", ("out", "in")),
    ]


def test_names_by_a_function_and_the_default_of_none():
    arrays = {"conv": {"kernel": jnp.ones((3, 3, 2, 4))}, "scale": jnp.ones(())}
    spec = jnn.spec_of(arrays, axes=lambda path, shape: "y x in -> out" if len(shape) == 4 else None)
    assert spec["conv"]["kernel"].fans == (18, 4)
    assert (spec["scale"].axes, jnn.spec_of(arrays)["conv"]["kernel"].axes) == (
        (),
        ("axis0", "axis1", "axis2", "axis3"),
    )


def test_an_arrow_points_to_what_is_made():
    spec = jnn.spec_of({"w": jnp.ones((4, 3))}, axes={"w": "hidden <- embed"})["w"]
    assert (spec.axes, spec.fan_in, spec.fan_out) == (("hidden", "embed"), ("embed",), ("hidden",))


def test_it_draws_only_where_initial_values_are_given():
    arrays = {"fc": {"w": jnp.ones((3, 4), jnp.bfloat16)}}
    with pytest.raises(ValueError, match=r"array \(3, 4\) that jnn.spec_of took from elsewhere has no initial values"):
        jnn.init(jnn.spec_of(arrays), KEY)
    spec = jnn.spec_of(arrays, axes={"fc/w": "embed -> hidden"}, init=jnn.initializers.he_normal)
    drawn = jnn.init(spec, KEY)["fc"]["w"]
    assert (drawn.shape, drawn.dtype) == ((3, 4), jnp.bfloat16)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: jnn.weight_mask(jnn.spec_of({"w": jnp.ones((3, 4))})),
            ValueError,
            "says of none that it is a linear map",
        ),
        (lambda: jnn.spec_of({"w": jnp.ones((3, 4))}, axes={"b": ("out",)}), ValueError, "no path fits 'b'.*are: w"),
        (lambda: jnn.spec_of({"w": jnp.ones((3, 4))}, axes={"w": ("out",)}), ValueError, r"w \(3, 4\) needs 2 names"),
        (lambda: jnn.spec_of({"w": [1.0, 2.0]}), TypeError, r"expected arrays, found 1.0 at 'w/0'"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
