"""RandAugment: on each image what its operation alone makes of it, and every operation occurs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data import augment as a
from jnn.data.augment._rand_augment import OPS, apply_ops

KEY = jax.random.key(0)
X = jax.random.randint(jax.random.key(9), (2, 20, 20, 3), 40, 200).astype(jnp.uint8)
SHIFT = 150 / 331 * 20
# the operations at strength 0.5, the way +1 and -1, by hand
ALONE = {
    "identity": lambda x, way: x,
    "autocontrast": lambda x, way: a.autocontrast(x),
    "equalize": lambda x, way: a.equalize(x),
    "rotate": lambda x, way: a.warp(x, a.affine_matrix((20, 20), degrees=15.0 * way)),
    "solarize": lambda x, way: a.solarize(x, 127.5 if x.dtype == jnp.uint8 else 0.5),
    "saturation": lambda x, way: a.adjust_saturation(x, 1 + 0.45 * way),
    "posterize": lambda x, way: a.posterize(x, 6),
    "contrast": lambda x, way: a.adjust_contrast(x, 1 + 0.45 * way),
    "brightness": lambda x, way: a.adjust_brightness(x, 1 + 0.45 * way),
    "sharpness": lambda x, way: a.adjust_sharpness(x, 1 + 0.45 * way),
    "shear_x": lambda x, way: a.warp(x, a.affine_matrix((20, 20), shear=(0.0, 0.15 * way))),
    "shear_y": lambda x, way: a.warp(x, a.affine_matrix((20, 20), shear=(0.15 * way, 0.0))),
    "translate_x": lambda x, way: a.warp(x, a.affine_matrix((20, 20), translate=(0.0, 0.5 * SHIFT * way))),
    "translate_y": lambda x, way: a.warp(x, a.affine_matrix((20, 20), translate=(0.5 * SHIFT * way, 0.0))),
}


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32])
def test_an_image_gets_what_its_operation_alone_makes_of_it(dtype):
    x = X if dtype == jnp.uint8 else X.astype(jnp.float32) / 255
    assert list(ALONE) == list(OPS)
    ops = jnp.repeat(jnp.arange(len(OPS)), 2)
    signs = jnp.tile(jnp.array([1.0, -1.0]), len(OPS))
    batch = jnp.tile(x, (len(OPS), 1, 1, 1))
    together = jax.jit(lambda x: apply_ops(x, ops, signs, 0.5, method="bilinear", fill=0.0))(batch)
    for i, alone in enumerate(ALONE.values()):
        expected = jax.jit(alone)(x, jnp.array([1.0, -1.0]))
        got = together[2 * i : 2 * i + 2]
        error = 1 if dtype == jnp.uint8 else 1e-5
        np.testing.assert_allclose(got.astype(jnp.float32), expected.astype(jnp.float32), atol=error, err_msg=OPS[i])


def test_every_operation_and_both_ways_occur_about_equally_often():
    x = jnp.tile(X[:1], (600, 1, 1, 1))
    out = jax.jit(lambda x, key: a.rand_augment(x, n=1, magnitude=5.0, key=key))(x, KEY)
    kinds, counts = np.unique(np.asarray(out).reshape(600, -1), axis=0, return_counts=True)
    assert len(kinds) == 4 + 1 + 2 * 9  # without a way: identity, autocontrast, equalize, solarize, posterize
    assert counts.min() >= 6  # of 600 / 28 = 21 expected
    assert (counts > 28).sum() >= 3
    assert counts.max() < 75  # of 600 / 14 = 43


def test_no_operation_or_no_strength_of_them_changes_little():
    np.testing.assert_array_equal(a.rand_augment(X, n=0, key=KEY), X)
    moved = jnp.array([OPS.index(name) for name in ("rotate", "shear_x", "translate_y", "contrast", "posterize")])
    batch = jnp.tile(X[:1], (5, 1, 1, 1))
    np.testing.assert_array_equal(apply_ops(batch, moved, jnp.ones(5), 0.0, method="bilinear", fill=0.0), batch)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "rand_augment: n is 0 or more operations, found -1"),
        ({"magnitude": 11}, r"rand_augment: magnitude lies in \[0, 10\], found 11"),
        ({"method": "cubic"}, "rand_augment: method is 'bilinear' or 'nearest', found 'cubic'"),
        ({"fill": 300}, "rand_augment: fill for uint8 .*found 300"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        a.rand_augment(X, key=KEY, **arguments)
