"""The laws of augmentation, over a table of everything."""

from __future__ import annotations

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.data import augment as a
from tests.data.augment.table import IMAGES, SEQUENCES, batch_of

EVERYTHING = IMAGES + SEQUENCES
over_all = pytest.mark.parametrize("row", EVERYTHING, ids=lambda row: row.name)
KEY = jax.random.key(0)
INTEGERS = (jnp.int16, jnp.int32, jnp.uint32)


def over(rows):
    """Rows whose programs are compiled: slow where they take long."""
    marked = [pytest.param(row, marks=pytest.mark.slow if row.slow else ()) for row in rows]
    return pytest.mark.parametrize("row", marked, ids=[row.name for row in rows])


@functools.cache
def compiled(row):
    return jax.jit(row.apply)


def extremes_of(row, dtype):
    """A batch of integers over the whole range of their dtype."""
    info, shape = np.iinfo(dtype), batch_of(row)[0].shape
    x = np.random.default_rng(0).integers(info.min, info.max, shape, endpoint=True).astype(dtype)
    x[0], x[1] = info.max, info.min
    return x


@functools.cache
def takes(row, dtype):
    """Whether the row takes integers of this dtype; what it refuses, it refuses clearly."""
    x, (_, n) = extremes_of(row, dtype), batch_of(row)
    try:
        jax.eval_shape(row.apply, x, n, KEY)
    except TypeError as error:
        assert re.match(rf"\w+: expected .*, found {x.dtype}.* Cast it: ", str(error).replace("; ", ", "))  # noqa: PT017
        return False
    return True


@functools.cache
def of_all_dtypes(row):
    """What comes of the row's batch in each of its dtypes, and of integers of any range.

    In one program, in which they share their draws: to compile is what these tests cost.
    """
    _, n = batch_of(row)
    own = {dtype: batch_of(row, dtype)[0] for dtype in row.dtypes}
    ranges = {dtype: extremes_of(row, dtype) for dtype in INTEGERS if takes(row, dtype)}
    each = lambda xs, n, key: [changed(row.apply(x, n, key)) for x in xs]
    out = jax.jit(each)([*own.values(), *ranges.values()], n, KEY)
    return dict(zip(own, out[: len(own)], strict=True)), dict(zip(ranges, out[len(own) :], strict=True))


def changed(out):
    """The augmented data of whatever comes back."""
    return out[0] if isinstance(out, tuple) else out


def assert_same(a, b, error=0.0):
    for u, v in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (u.dtype, u.shape) == (v.dtype, v.shape)
        atol = max(1.0, 255 * error) if u.dtype == jnp.uint8 and error else error
        np.testing.assert_allclose(np.asarray(u, np.float32), np.asarray(v, np.float32), rtol=error, atol=atol)


@over(EVERYTHING)
def test_the_same_key_gives_the_same_and_another_key_another(row):
    x, n = batch_of(row)
    out = compiled(row)(x, n, KEY)
    assert_same(out, compiled(row)(x, n, KEY))
    assert not np.array_equal(changed(out), changed(compiled(row)(x, n, jax.random.key(1))))


@over_all
def test_no_key_is_the_identity(row):
    for dtype in row.dtypes:
        x, n = batch_of(row, dtype)
        np.testing.assert_array_equal(changed(row.apply(x, n, None)), x)


@over(EVERYTHING)
def test_dtype_and_shape_are_kept_and_floats_are_finite(row):
    for dtype, out in of_all_dtypes(row)[0].items():
        assert (out.shape, out.dtype) == (batch_of(row)[0].shape, dtype)
        assert np.isfinite(np.asarray(out, np.float32)).all()


@over(EVERYTHING)
@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda dtype: dtype.__name__)
def test_integers_are_exact_over_their_range_or_refused(row, dtype):
    """What only moves or replaces elements keeps them; what blends them takes 16 bits at most, and rounds once."""
    if not takes(row, dtype):
        return
    x, out = extremes_of(row, dtype), np.asarray(of_all_dtypes(row)[1][dtype])
    assert out.dtype == dtype
    if not set(out.ravel().tolist()) <= {*x.ravel().tolist(), *range(30)}:  # 0 and the ids of the table
        assert x.dtype.itemsize <= 2
        exact = changed(compiled(row)(x.astype(np.float32), batch_of(row)[1], KEY))
        np.testing.assert_allclose(out, np.asarray(exact), rtol=0, atol=0.51)


@over_all
def test_what_is_no_array_is_one_clear_error(row):
    name, (x, n) = row.name.split("-")[0], batch_of(row)
    for other, found in ((x.tolist(), "list"), (torch.zeros(x.shape), "torch.Tensor")):
        with pytest.raises(TypeError, match=rf"^{name}: expected 'x' to be an array of NumPy or JAX, found {found}"):
            row.apply(other, n, KEY)
    with pytest.raises(ValueError, match=rf"^{name}: 'x' holds 1099511627776, first in row 0, beyond the int32 that"):
        row.apply(np.full(x.shape, 2**40), n, KEY)


@over_all
@pytest.mark.parametrize("key", [0, True, "0", jnp.arange(3), jax.random.split(jax.random.key(0), 2)], ids=repr)
def test_what_is_no_key_is_one_clear_error(row, key):
    with pytest.raises(
        TypeError, match=rf"^{row.name.split('-')[0]}: expected one PRNG key, or None for no noise, found "
    ):
        row.apply(*batch_of(row), key)


NEUTRAL = {
    "adjust_brightness": lambda x: a.adjust_brightness(x, 1.0),
    "adjust_contrast": lambda x: a.adjust_contrast(x, 1.0),
    "gaussian_blur": lambda x: a.gaussian_blur(x, 1e-3, radius=1),
    "random_resized_crop": lambda x: a.random_resized_crop(x, (6, 5), key=None),
    "warp": lambda x: a.warp(x, a.affine_matrix((6, 5))),
}


@pytest.mark.parametrize("name", NEUTRAL)
def test_float64_does_not_pass_through_float32(name):
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (2, 6, 5, 3)))
        out = NEUTRAL[name](x)
    assert out.dtype == np.float64
    np.testing.assert_allclose(out, x, rtol=0, atol=1e-12)


@over(IMAGES)
def test_floats_stay_colours_and_agree_with_uint8(row):
    out, _ = of_all_dtypes(row)
    whole, floats = np.asarray(out[jnp.uint8], np.float32) / 255, np.asarray(out[jnp.float32])
    assert floats.min() >= 0
    assert floats.max() <= 1 + 1e-6
    apart = np.abs(whole - floats) > 0.51 / 255 + row.error
    assert apart.mean() < 0.02  # a colour may fall on the other side of a threshold


@over(EVERYTHING)
def test_jit_equals_eager(row):
    x, n = batch_of(row)
    assert_same(compiled(row)(x, n, KEY), row.apply(x, n, KEY), error=1e-5)


@over([row for row in EVERYTHING if not row.mixes])
def test_a_row_depends_on_the_key_and_its_place_alone(row):
    x, n = batch_of(row)
    whole = compiled(row)(x, n, KEY)
    assert_same(compiled(row)(x[:3], n[:3], KEY), jax.tree.map(lambda a: a[:3], whole), error=1e-5)
    others = jnp.array([0, 2, 3])
    other = compiled(row)(x.at[others].set(x[4]), n.at[others].set(14), KEY)
    assert_same(jax.tree.map(lambda a: a[1], other), jax.tree.map(lambda a: a[1], whole))


@over(EVERYTHING)
def test_vmap_equals_a_loop(row):
    x, n = batch_of(row)
    keys, xs = jax.random.split(KEY, 2), jnp.stack([x, x[::-1]])
    together = jax.jit(jax.vmap(row.apply, in_axes=(0, None, 0)))(xs, n, keys)
    one_by_one = [compiled(row)(x, n, key) for x, key in zip(xs, keys, strict=True)]
    assert_same(together, jax.tree.map(lambda *a: jnp.stack(a), *one_by_one), error=1e-5)


@over(EVERYTHING)
def test_sharded_equals_unsharded(row):
    x, n = batch_of(row)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    placed = jax.device_put((x, n), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    assert_same(compiled(row)(*placed, KEY), compiled(row)(x, n, KEY), error=1e-5)


@over(SEQUENCES)
def test_padding_is_never_touched_and_never_read(row):
    x, n = batch_of(row)
    out = changed(compiled(row)(x, n, KEY))
    padding = np.arange(x.shape[1])[None, :] >= np.asarray(n)[:, None]
    np.testing.assert_array_equal(np.asarray(out)[padding], np.asarray(x)[padding])
    padding = jnp.asarray(padding).reshape(*padding.shape, *[1] * (x.ndim - 2))
    elsewhere = changed(compiled(row)(jnp.where(padding, x[:1, :1], x), n, KEY))
    np.testing.assert_array_equal(jnp.where(padding, 0, out), jnp.where(padding, 0, elsewhere))


@over(SEQUENCES)
def test_without_lengths_rows_are_whole(row):
    x, n = batch_of(row)
    assert_same(row.apply(x, jnp.full_like(n, x.shape[1]), KEY), row.apply(x, None, KEY))


@over([row for row in EVERYTHING if row.expects])
def test_input_of_another_rank_is_one_clear_error(row):
    x, n = batch_of(row)
    with pytest.raises(ValueError, match=rf"^{row.name.split('-')[0]}: expected .*{row.expects}.*found "):
        row.apply(x[..., 0], n, KEY)


@over_all
def test_an_empty_batch_is_one_clear_error(row):
    x, n = batch_of(row)
    with pytest.raises(ValueError, match=rf"^{row.name.split('-')[0]}: expected .*found .*\[0,"):
        row.apply(x[:0], n[:0], KEY)


@over(SEQUENCES)
@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        (jnp.ones(8), TypeError, r"expected integers, found float32\[8\]"),
        (jnp.ones(3, jnp.int32), ValueError, r"expected one length for each of 8 rows, found int32\[3\]"),
        (jnp.full(8, 21), ValueError, r"expected lengths in 0..20 .*found 21..21"),
        (jnp.full(8, -1), ValueError, r"expected lengths in 0..20 .*found -1..-1"),
    ],
)
def test_bad_lengths_are_one_clear_error(row, lengths, error, message):
    with pytest.raises(error, match=f"^{row.name}: {message}"):
        row.apply(batch_of(row)[0], lengths, KEY)
