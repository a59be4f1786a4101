"""Every fan-scaled initializer: equal to jax.nn's by position, and to torch's in distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import Param, initializers
from jnn.initializers import VarianceScaling

KEY = jax.random.key(0)
NAMES = [name for name, f in vars(initializers).items() if isinstance(f, VarianceScaling)]
TORCH = {
    "lecun_normal": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="linear"),
    "lecun_uniform": lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="linear"),
    "glorot_normal": torch.nn.init.xavier_normal_,
    "glorot_uniform": torch.nn.init.xavier_uniform_,
    "he_normal": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "he_uniform": lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu"),
}


def draw(init, shape, axes, fan_in=("in",), fan_out=("out",), dtype=jnp.float32):
    return Param(shape, init, axes, dtype, fan_in, fan_out).draw(KEY)


def test_the_names_are_jaxs():
    assert set(NAMES) == set(TORCH)
    assert set(NAMES) < set(dir(jax.nn.initializers))


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_jaxs_where_positions_can_say_it(name):
    ours, theirs = getattr(initializers, name), getattr(jax.nn.initializers, name)()
    np.testing.assert_array_equal(draw(ours, (48, 32), ("in", "out")), theirs(KEY, (48, 32), jnp.float32))
    kernel = draw(ours, (3, 5, 8, 4), ("y", "x", "in", "out"))
    np.testing.assert_array_equal(kernel, theirs(KEY, (3, 5, 8, 4), jnp.float32))
    half = draw(ours, (48, 32), ("in", "out"), dtype=jnp.bfloat16)
    np.testing.assert_array_equal(half, theirs(KEY, (48, 32), jnp.bfloat16))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("shape", "axes"), [((96, 400), ("in", "out")), ((3, 3, 16, 64), ("y", "x", "in", "out"))])
def test_distributed_as_torchs(name, shape, axes):
    ours = np.asarray(draw(getattr(initializers, name), shape, axes))
    torch.manual_seed(0)
    theirs = TORCH[name](torch.empty(*reversed(shape))).numpy()  # torch's layout: outputs first
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.02)
    assert abs(ours.mean()) < 4 * ours.std() / ours.size**0.5
    if "uniform" in name:
        np.testing.assert_allclose(np.abs(ours).max(), np.abs(theirs).max(), rtol=0.002)
    else:  # ours stops at two standard deviations of the normal that is cut
        assert np.abs(ours).max() < 2.28 * theirs.std() < np.abs(theirs).max()


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
def test_variance_is_scale_over_the_named_fan(mode, distribution):
    fans = {"fan_in": 4 * 32, "fan_out": 64, "fan_avg": (4 * 32 + 64) / 2}
    rule = VarianceScaling(3.0, mode, distribution)
    values = draw(rule, (4, 64, 32), ("heads", "embed", "head"), fan_in=("heads", "head"), fan_out=("embed",))
    np.testing.assert_allclose(values.std(), (3.0 / fans[mode]) ** 0.5, rtol=0.03)


@pytest.mark.parametrize("fans", [{"fan_in": ()}, {"fan_out": ()}])
def test_a_param_without_fans_is_one_clear_error(fans):
    with pytest.raises(ValueError, match=r"needs fans, but the Param with axes \('in', 'out'\) declares none"):
        draw(initializers.he_normal, (2, 2), ("in", "out"), **fans)


@pytest.mark.parametrize("name", ["normal", "uniform", "truncated_normal", "orthogonal"])
def test_initializers_without_fans_are_jaxs_own(name):
    assert getattr(initializers, name) is getattr(jax.nn.initializers, name)
    np.testing.assert_array_equal(
        Param((4, 4), getattr(initializers, name)(), ("a", "b")).draw(KEY),
        getattr(jax.nn.initializers, name)()(KEY, (4, 4), jnp.float32),
    )
