"""mixup and CutMix: the same shares in images and targets, padding kept apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data.augment import cutmix, mixup

KEY = jax.random.key(0)
B = 12
# row i holds i everywhere and has class i: an output tells what it is made of
X = jnp.broadcast_to(jnp.arange(B, dtype=jnp.float32).reshape(B, 1, 1, 1), (B, 9, 8, 1))
Y = jnp.arange(B)
both = pytest.mark.parametrize("mix", [mixup, cutmix])


@both
def test_targets_have_the_shares_of_the_images(mix):
    x, y = mix(X, Y, 1.0, weight=None, key=KEY, classes=B)
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(x).mean((1, 2, 3)), np.asarray(y) @ np.arange(B), rtol=1e-5, atol=1e-5)
    share = np.asarray(y)[np.arange(B), np.arange(B)]
    assert share.std() > 0.05


@both
def test_a_row_is_mixed_with_one_other_and_every_row_is_used_once(mix):
    _, y = mix(X, Y, 1.0, weight=None, key=KEY, classes=B)
    others = np.asarray(y) * (1 - np.eye(B)) > 0
    assert (others.sum(1) <= 1).all()
    assert (others.sum(0) <= 1).all()
    assert others.sum() >= B - 3  # a rectangle may be empty


@both
def test_padding_is_never_mixed_into_a_real_row(mix):
    weight = jnp.array([1, 1, 0, 0.5, 0, 1, 2, 0, 1, 1, 1, 0])
    padding = np.asarray(weight) == 0
    spoilt = jnp.where(jnp.asarray(padding).reshape(B, 1, 1, 1), jnp.nan, X)
    for key in jax.random.split(KEY, 5):
        x, y = mix(spoilt, Y, 1.0, weight=weight, key=key, classes=B)
        assert np.isfinite(np.asarray(x)[~padding]).all()
        assert (np.asarray(y)[~padding][:, padding] == 0).all()
        np.testing.assert_array_equal(np.asarray(x)[padding], np.asarray(spoilt)[padding])
        np.testing.assert_array_equal(np.asarray(y)[padding], np.eye(B)[padding])


@both
@pytest.mark.parametrize("real", [0, 1])
def test_with_nobody_to_mix_with_rows_stay(mix, real):
    x, y = mix(X, Y, 1.0, weight=jnp.zeros(B).at[:real].set(1), key=KEY, classes=B)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, np.eye(B))


@both
def test_soft_targets_keep_their_dtype_and_no_key_changes_nothing(mix):
    soft = jax.nn.softmax(jnp.arange(B * 3.0).reshape(B, 3) % 7).astype(jnp.bfloat16)
    x, y = mix(X, soft, 0.3, weight=None, key=KEY)
    assert (y.dtype, y.shape) == (soft.dtype, soft.shape)
    x, y = mix(X, soft, 0.3, weight=None, key=None)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, soft)
    np.testing.assert_array_equal(mix(X, Y, 0.3, weight=None, key=None, classes=B)[1], np.eye(B))


def test_mixup_takes_any_data_and_its_shares_follow_alpha():
    x = jnp.arange(400.0).reshape(400, 1)
    shares = {}
    for alpha in (0.1, 1.0, 20.0):
        y = np.asarray(jax.jit(lambda x, a=alpha: mixup(x, jnp.eye(400), a, weight=None, key=KEY)[1])(x))
        shares[alpha] = np.diag(y)
    for alpha, share in shares.items():
        assert abs(share.mean() - 0.5) < 0.09
        assert abs(share.var() - 1 / (4 * (2 * alpha + 1))) < 0.03  # of a Beta(alpha, alpha)


def test_cutmix_pastes_rectangles():
    x = np.asarray(cutmix(X, Y, 1.0, weight=None, key=KEY, classes=B)[0])[..., 0]
    pasted = x != np.arange(B).reshape(B, 1, 1)
    rows, columns = pasted.any(2), pasted.any(1)
    np.testing.assert_array_equal(pasted, rows[:, :, None] & columns[:, None, :])
    assert 0.1 < pasted.mean() < 0.7


@pytest.mark.parametrize(
    ("x", "y", "arguments", "error", "message"),
    [
        (X, Y, {}, ValueError, r"expected integer labels \(b,\) with `classes`.*int32\[12\] with classes=None"),
        (X, jnp.eye(B), {"classes": B}, ValueError, r"float32\[12,12\] with classes=12"),
        (X, Y, {"classes": 5}, ValueError, r"expected labels in 0\.\.4 \(5 classes\), found 0\.\.11"),
        (X, Y[:5], {"classes": B}, ValueError, r"one target and one weight for each of 12 rows, found y int32\[5\]"),
        (X, Y, {"classes": B, "weight": jnp.ones(3)}, ValueError, r"each of 12 rows, .*weight float32\[3\]"),
        (X, Y, {"classes": B, "alpha": 0.0}, ValueError, "alpha must be positive, found 0.0"),
        (X > 2, Y, {"classes": B}, TypeError, "expected x of integers or floating point, found bool"),
    ],
)
@both
def test_bad_input_is_one_clear_error(mix, x, y, arguments, error, message):
    with pytest.raises(error, match=f"{mix.__name__}: .*{message}|{mix.__name__}: {message}"):
        mix(x, y, **({"alpha": 1.0, "weight": None, "key": KEY} | arguments))
