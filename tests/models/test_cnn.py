"""cnn against torch and Flax, its size, dropout, bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import count_params, flatten, init
from jnn.models import cnn, cnn_spec
from tests.layers.channels import first, kernel, last
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 4)), ids=range(20))
def test_matches_torch(rng):
    channels = rng.integers(1, 4, rng.integers(1, 3)).tolist()
    image = (*rng.integers(4, 10, 2).tolist(), int(rng.integers(1, 4)))
    spec = cnn_spec(image, channels, int(rng.integers(1, 6)), 3, kernel=(2 * rng.integers(0, 2, 2) + 1).tolist())
    paths = list(flatten(spec))
    shapes = [param.shape for param in flatten(spec).values()]

    def tree(arrays):
        return jax.tree.unflatten(jax.tree.structure(spec), arrays)

    def theirs(x, *arrays):
        p = dict(zip(paths, arrays, strict=True))
        h = first(x)
        for i in range(len(channels)):
            h = torch.relu(torch.nn.functional.conv2d(h, kernel(p[f"conv{i}/w"]), p[f"conv{i}/b"], padding="same"))
            h = torch.nn.functional.max_pool2d(h, 2)
        h = torch.relu(last(h).flatten(1) @ p["head/fc0/w"] + p["head/fc0/b"])
        return h @ p["head/fc1/w"] + p["head/fc1/b"]

    arrays = [rng.normal(size=s).astype(np.float32) for s in [(2, *image), *shapes]]
    assert_matches_torch(lambda x, *arrays: cnn(tree(arrays), x, key=None), theirs, arrays)


def test_matches_flax():
    p = init(cnn_spec((8, 8, 1), (4, 6), 8, 3), jax.random.key(0))
    x = h = jax.random.normal(jax.random.key(1), (2, 8, 8, 1))
    flax_params = lambda leaf: {"params": {"kernel": leaf["w"], "bias": leaf["b"]}}
    for i, c in enumerate((4, 6)):
        h = jax.nn.relu(flax.linen.Conv(c, (3, 3)).apply(flax_params(p[f"conv{i}"]), h))
        h = flax.linen.max_pool(h, (2, 2), (2, 2))
    h = jax.nn.relu(flax.linen.Dense(8).apply(flax_params(p["head"]["fc0"]), h.reshape(2, -1)))
    expected = flax.linen.Dense(3).apply(flax_params(p["head"]["fc1"]), h)
    np.testing.assert_allclose(cnn(p, x, key=None), expected, rtol=1e-4, atol=1e-5)


def test_the_cifar_network_has_the_size_that_its_layers_say():
    convolutions = (3 * 3 * 3 * 32 + 32) + (3 * 3 * 32 * 64 + 64)
    dense = (8 * 8 * 64 * 512 + 512) + (512 * 10 + 10)
    assert count_params(cnn_spec((32, 32, 3), (32, 64), 512, 10)) == convolutions + dense


def test_a_key_makes_noise_and_none_makes_none():
    p = init(cnn_spec((8, 8, 1), (4, 6), 32, 3), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 1))
    np.testing.assert_array_equal(cnn(p, x, key=None), cnn(p, x, key=jax.random.key(0), rate=0.0))
    assert not np.allclose(cnn(p, x, key=jax.random.key(0)), cnn(p, x, key=jax.random.key(1)))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (jnp.ones((2, 8, 8, 3)), ValueError, r"conv: its parameters expect input \[...,1\], found float32\[2,8,8,3\]"),
        (
            jnp.ones((2, 12, 12, 1)),
            ValueError,
            r"cnn: its first dense layer reads 24 numbers, found 54, maps \(3, 3, 6\) of images float32",
        ),
        (jnp.ones((2, 8, 8, 1), jnp.uint8), TypeError, r"cnn: expected floating-point input, found uint8"),
        (jnp.ones((0, 8, 8, 1)), ValueError, r"cnn: expected at least one example"),
        (jnp.ones((8, 1)), ValueError, r"cnn: expected an array of rank 3 or more"),
    ],
)
def test_bad_input_is_one_clear_error(x, error, message):
    with pytest.raises(error, match=message):
        cnn(init(cnn_spec((8, 8, 1), (4, 6), 8, 3), jax.random.key(0)), x, key=None)


@pytest.mark.parametrize("image", [(8, 8), (3, 8, 1)])
def test_bad_declarations_are_one_clear_error(image):
    with pytest.raises(ValueError, match=r"cnn_spec: expected image \(y, x, c\), y and x at least 4"):
        cnn_spec(image, (4, 6), 8, 3)
