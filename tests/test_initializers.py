"""Every fan-scaled initializer: equal to jax.nn's by position, and to torch's in distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn import Param, initializers, layers
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
    receptive = tuple(name for name in axes if name in "yx")
    return Param(shape, init, axes, dtype, fan_in, fan_out, receptive).draw(KEY)


def test_the_names_are_jaxs():
    assert set(NAMES) == set(TORCH)
    assert set(NAMES) < set(dir(jax.nn.initializers))


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_jaxs_where_positions_can_say_it(name):
    ours, theirs = getattr(initializers, name), getattr(jax.nn.initializers, name)()
    np.testing.assert_array_equal(draw(ours, (48, 32), ("in", "out")), theirs(KEY, (48, 32), jnp.float32))
    kernel = draw(ours, (3, 5, 8, 4), ("y", "x", "in", "out"))
    np.testing.assert_array_equal(kernel, theirs(KEY, (3, 5, 8, 4), jnp.float32))


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


def test_a_param_without_fans_is_one_clear_error():
    with pytest.raises(ValueError, match=r"needs fans, but the Param with axes \('in', 'out'\) declares none"):
        draw(initializers.he_normal, (2, 2), ("in", "out"), fan_in=(), fan_out=())


def test_a_map_to_a_single_number_has_a_fan_out_of_one():
    values = draw(VarianceScaling(1.0, "fan_avg", "normal"), (5000,), ("in",), fan_out=())
    np.testing.assert_allclose(values.var() * 5001 / 2, 1, rtol=0.1)


@pytest.mark.parametrize("name", ["normal", "uniform", "truncated_normal"])
def test_initializers_without_fans_are_jaxs_own(name):
    assert getattr(initializers, name) is getattr(jax.nn.initializers, name)
    np.testing.assert_array_equal(
        Param((4, 4), getattr(initializers, name)(), ("a", "b")).draw(KEY),
        getattr(jax.nn.initializers, name)()(KEY, (4, 4), jnp.float32),
    )


EVERY = {name: getattr(initializers, name) for name in NAMES} | {
    "normal": initializers.normal(),
    "uniform": initializers.uniform(),
    "truncated_normal": initializers.truncated_normal(),
    "orthogonal": initializers.orthogonal(2.0),
    "sparse": initializers.sparse(0.3),
    "dirac": initializers.dirac(),
    "constant": initializers.constant(0.3),
    "ones": initializers.ones,
    "zeros": initializers.zeros,
}
every = pytest.mark.parametrize("name", EVERY)


def test_no_initializer_is_missing_from_the_table():
    assert {name for name in initializers.__all__ if name[0].islower()} == set(EVERY)


@every
def test_a_narrow_dtype_is_drawn_as_float32_and_cast(name):
    """A normal number of 16 bits, drawn as such, has no tail: of a million the largest is 3 standard deviations."""
    full = draw(EVERY[name], (6, 8), ("in", "out"))
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float8_e4m3fn):
        narrow = draw(EVERY[name], (6, 8), ("in", "out"), dtype=dtype)
        assert narrow.dtype == dtype
        np.testing.assert_array_equal(np.asarray(narrow), np.asarray(full).astype(dtype))


@every
def test_zero_sizes_and_wide_dtypes(name):
    for shape in ((0, 8), (6, 0)):
        assert draw(EVERY[name], shape, ("in", "out")).shape == shape
    with jax.enable_x64(True):
        wide = draw(EVERY[name], (6, 8), ("in", "out"), dtype=jnp.float64)
        np.testing.assert_allclose(wide, np.asarray(wide).astype(np.float32), rtol=1e-6)
        assert wide.dtype == np.float64
        if name not in ("dirac", "constant", "ones", "zeros"):
            assert (np.asarray(wide) != np.asarray(wide).astype(np.float32)).any()


def test_an_axis_that_no_fan_names_changes_no_variance():
    """Experts, places of a locally connected layer: as many maps beside each other, each drawn as one."""
    for axes, shape in [
        (("experts", "in", "out"), (16, 32, 64)),
        (("in", "experts", "out"), (32, 16, 64)),
        (("out_y", "out_x", "y", "x", "in", "out"), (4, 4, 2, 2, 8, 64)),
    ]:
        for mode, fan in (("fan_in", 32), ("fan_out", 256 if "y" in axes else 64)):
            values = draw(VarianceScaling(1.0, mode, "normal"), shape, axes)
            np.testing.assert_allclose(values.std(), fan**-0.5, rtol=0.03, err_msg=f"{axes} {mode}")


@pytest.mark.parametrize(
    ("axes", "shape", "matrix"),
    [
        (("in", "heads", "out"), (6, 2, 3), lambda w: w.reshape(6, 6)),
        (("heads", "out", "in"), (2, 3, 6), lambda w: w.reshape(6, 6)),
        (("y", "x", "in", "out", "heads"), (2, 3, 2, 2, 3), lambda w: w.reshape(12, 6)),
        (("in", "experts", "heads", "out"), (4, 3, 2, 4), lambda w: w.transpose(1, 0, 2, 3).reshape(3, 4, 8)),
    ],
)
def test_orthogonal_is_so_as_the_linear_map_that_the_fans_name(axes, shape, matrix):
    fan_out = ("heads", "out")
    w = matrix(np.asarray(draw(initializers.orthogonal(2.0), shape, axes, fan_out=fan_out)))
    w = w if w.shape[-2] <= w.shape[-1] else np.swapaxes(w, -1, -2)
    gram = w @ np.swapaxes(w, -1, -2)
    np.testing.assert_allclose(gram, np.broadcast_to(4 * np.eye(w.shape[-2]), gram.shape), atol=1e-5)


def test_orthogonal_is_jaxs_where_positions_can_say_it():
    ours, theirs = initializers.orthogonal(2.0), jax.nn.initializers.orthogonal(2.0)
    np.testing.assert_array_equal(ours(KEY, (6, 4)), theirs(KEY, (6, 4), jnp.float32))
    for shape, axes in [((6, 4), ("in", "out")), ((4, 6), ("in", "out")), ((3, 5, 8, 4), ("y", "x", "in", "out"))]:
        np.testing.assert_array_equal(draw(ours, shape, axes), theirs(KEY, shape, jnp.float32))
    complex_ = np.asarray(draw(ours, (4, 4), ("in", "out"), dtype=jnp.complex64))
    np.testing.assert_allclose(complex_ @ complex_.conj().T, 4 * np.eye(4), atol=1e-5)


def one_output(layer, spec, *size, **options):
    """A spec, and the middle of what its layer makes of an input of this size, as a function of its weight."""
    x = 1 + jax.random.uniform(KEY, size)

    def middle(w):
        y = layer({"w": w}, x, **options)
        return y[tuple(n // 2 for n in y.shape)]

    return spec, middle


CONV = {"padding": "VALID"}
READS = {
    "linear": lambda: one_output(layers.linear, layers.linear_spec(5, 7, bias=False), 5),
    "linear-many-axes": lambda: one_output(
        layers.linear, layers.linear_spec((2, 3), 4, axes=("a", "b", "c"), bias=False), 2, 3, in_axes=2
    ),
    "conv-1d": lambda: one_output(layers.conv, layers.conv_spec(2, 4, (3,), bias=False), 9, 2, **CONV),
    "conv-3d": lambda: one_output(layers.conv, layers.conv_spec(2, 3, (3, 2, 2), bias=False), 5, 5, 5, 2, **CONV),
    "conv-groups": lambda: one_output(
        layers.conv, layers.conv_spec(6, 4, (3, 3), groups=2, bias=False), 5, 5, 6, groups=2, **CONV
    ),
    "depthwise": lambda: one_output(
        layers.depthwise_conv, layers.depthwise_conv_spec(4, (3, 3), multiplier=2, bias=False), 5, 5, 4, **CONV
    ),
    "conv_transpose": lambda: one_output(
        layers.conv_transpose, layers.conv_transpose_spec(4, 6, (3, 3), bias=False), 7, 7, 4, **CONV
    ),
    "experts": lambda: (
        {"w": layers.mixture_of_experts_spec(5, 7, 3)["up"]["w"]},
        lambda w: layers.linear({"w": w[1]}, jnp.ones(5))[3],
    ),
}


@pytest.mark.parametrize("name", READS)
def test_the_fan_in_is_how_many_weights_an_output_reads(name):
    spec, middle = READS[name]()
    read = np.count_nonzero(jax.grad(middle)(jnn.init(spec, KEY)["w"]))
    assert spec["w"].fans[0] == read
