"""Resizing against torch's interpolation, blur pooling against its convolution, bad input."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import blur_pool, resize, upsample
from tests.layers.channels import first, last, normals
from tests.oracle import assert_matches_torch, configurations

F = torch.nn.functional


@pytest.mark.parametrize(
    ("method", "align_corners"),
    [("nearest", None), ("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True)],
)
@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_resize_matches_torch(rng, method, align_corners):
    shape, size = rng.integers(2, 7, 2).tolist(), rng.integers(1, 12, 2).tolist()
    how = {} if align_corners is None else {"align_corners": align_corners}
    assert_matches_torch(
        lambda x: resize(x, size, method=method, **how),
        lambda x: last(F.interpolate(first(x), size, mode=method, **how)),
        normals(rng, (2, *shape, 3)),
    )


@pytest.mark.parametrize(("spatial", "mode"), [(1, "linear"), (3, "trilinear")])
def test_upsample_matches_torch(spatial, mode):
    x = normals(np.random.default_rng(0), (2, *(3, 2, 4)[:spatial], 2))
    assert_matches_torch(
        lambda x: upsample(x, 2, method="bilinear", spatial=spatial),
        lambda x: last(F.interpolate(first(x), scale_factor=2, mode=mode)),
        x,
    )
    np.testing.assert_array_equal(
        upsample(x[0], 3, spatial=spatial), last(F.interpolate(first(torch.tensor(x[0])), scale_factor=3))
    )


@pytest.mark.parametrize("k", [2, 3, pytest.param(5, marks=pytest.mark.slow)])
def test_blur_pool_matches_torch(k):
    binomial = {2: [1, 1], 3: [1, 2, 1], 5: [1, 4, 6, 4, 1]}[k]
    kernel = torch.tensor(np.outer(binomial, binomial) / sum(binomial) ** 2)
    before, after = (k - 1) // 2, k // 2

    def theirs(x):
        x = F.pad(first(x), (before, after, before, after), mode="reflect")
        return last(F.conv2d(x, kernel.expand(3, 1, k, k), stride=2, groups=3))

    assert_matches_torch(lambda x: blur_pool(x, (k, k)), theirs, normals(np.random.default_rng(0), (2, 7, 6, 3)))


X = jnp.ones((4, 4, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: resize(X, (2, 2), method="area"), ValueError, r"resize: method is one of nearest, bilinear, bicubic"),
        (lambda: resize(X, (0, 2)), ValueError, r"resize: window is an int >= 1"),
        (lambda: resize(X.astype(int), (2, 2)), TypeError, r"resize: expected floating-point input"),
        (lambda: upsample(X, 2, align_corners=True), ValueError, r"upsample: align_corners says nothing of nearest"),
        (lambda: upsample(X, (2, 2, 2)), ValueError, r"upsample: scale is an int >= 1, or one for each of 2 axes"),
        (lambda: upsample(X, 2, spatial=3), ValueError, r"upsample: expected an array of rank 4"),
        (lambda: blur_pool(X, 3), ValueError, r"blur_pool: expected one window size per spatial axis"),
        (lambda: blur_pool(X[0], (3, 3)), ValueError, r"blur_pool: expected an array of rank 3"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
