"""Parity with torch: what is the same passes, what is not is named by its first layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.layers import conv, conv_spec, layer_norm, layer_norm_spec, linear, linear_spec, max_pool
from jnn.parity import check

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 6, 6, 3)).astype(np.float32)
NAMES = {"conv/*": "0.*", "fc/*": "4.*", "norm/*": "5.*"}
SPEC = {"conv": conv_spec(3, 4, (3, 3)), "fc": linear_spec(36, 5), "norm": layer_norm_spec(5)}


def network():
    torch.manual_seed(0)
    parts = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(inplace=True), torch.nn.MaxPool2d(2)]
    return torch.nn.Sequential(*parts, torch.nn.Flatten(), torch.nn.Linear(36, 5), torch.nn.LayerNorm(5))


def channels_last(module, x):
    return module(x.movedim(-1, 1))


def ours(p, x, *, activation=jax.nn.relu, epsilon=1e-5):
    x = max_pool(activation(conv(p["conv"], x)), (2, 2))
    x = jnp.moveaxis(x, -1, -3).reshape(*x.shape[:-3], -1)  # as torch's channels lie
    return layer_norm(p["norm"], linear(p["fc"], x), epsilon=epsilon)


def test_what_is_the_same_passes_with_a_table_of_differences():
    found = check(ours, SPEC, network(), IMAGES, names=NAMES, call=channels_last)
    assert set(found.gradients) == {f"{a}" for a in ("conv/b", "conv/w", "fc/b", "fc/w", "norm/bias", "norm/scale")} | {
        "input 0"
    }
    assert found.output < 1e-5 < found.bfloat16 < 2e-2
    assert str(found).splitlines()[1].split() == ["output", f"{found.output:.1e}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": jax.nn.gelu}, r"differs is 1 \(ReLU\), after 0 \(Conv2d\), which is the same"),
        ({"activation": lambda x: x}, r"differs is 1 \(ReLU\), after 0 \(Conv2d\)"),
        ({"epsilon": 0.1}, r"differs is 5 \(LayerNorm\), after 4 \(Linear\), which is the same"),
    ],
)
def test_the_first_layer_that_differs_is_named(options, message):
    function = lambda p, x: ours(p, x, **options)
    with pytest.raises(AssertionError, match=f"(?s)parity: the first layer that {message}.*output "):
        check(function, SPEC, network(), IMAGES, names=NAMES, call=channels_last)


def test_a_gradient_alone_that_differs_is_told():
    stopped = lambda p, x: ours(p | {"conv": jax.lax.stop_gradient(p["conv"])}, x)
    with pytest.raises(
        AssertionError, match=r"(?s)part after the last, or in the gradient.*gradient of conv/w +1.0e\+00"
    ):
        check(stopped, SPEC, network(), IMAGES, names=NAMES, call=channels_last)


def test_another_shape_is_told():
    with pytest.raises(AssertionError, match=r"the output is \(2, 6, 6, 4\), torch's \(2, 4, 6, 6\)"):
        check(conv, conv_spec(3, 4, (3, 3)), torch.nn.Conv2d(3, 4, 3, padding=1), IMAGES, call=channels_last)


def test_layers_within_a_scan_are_found():
    """Of a stack of layers, written as a scan, the one that is missing."""
    layers = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(3)))
    body = lambda h, p: (linear(p, h), None)
    three = lambda p, x: jax.lax.scan(body, x, p)[0]
    two = lambda p, x: jax.lax.scan(body, x, jax.tree.map(lambda x: x[:2], p))[0]
    spec, names = jnn.stack(linear_spec(4, 4), 3), {"*": "{i}.*"}
    x = RNG.normal(size=(2, 4)).astype(np.float32)
    check(three, spec, layers, x, names=names)
    with pytest.raises(AssertionError, match=r"differs is 2 \(Linear\), after 1 \(Linear\)"):
        check(two, spec, layers, x, names=names)
