"""Parity with torch: what is the same passes, what is not is named by its first layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.layers import (
    attention,
    attention_spec,
    batch_norm,
    batch_norm_spec,
    batch_norm_stats_spec,
    conv,
    conv_spec,
    layer_norm,
    layer_norm_spec,
    linear,
    linear_spec,
    max_pool,
)
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
        ({"activation": jax.nn.gelu}, r"function is 1 \(ReLU\), after 0 \(Conv2d\), which is the same"),
        ({"activation": lambda x: x}, r"function is 1 \(ReLU\), after 0 \(Conv2d\)"),
        ({"epsilon": 0.1}, r"function is 5 \(LayerNorm\), after 4 \(Linear\), which is the same"),
    ],
)
def test_the_first_layer_that_differs_is_named(options, message):
    function = lambda p, x: ours(p, x, **options)
    with pytest.raises(
        AssertionError,
        match=f"(?s)parity: the output differs, and .* more. The first layer whose .* of the {message}.*output ",
    ):
        check(function, SPEC, network(), IMAGES, names=NAMES, call=channels_last)


def test_a_gradient_alone_that_differs_is_told():
    stopped = lambda p, x: ours(p | {"conv": jax.lax.stop_gradient(p["conv"])}, x)
    with pytest.raises(
        AssertionError,
        match=r"(?s)parity: the gradient of conv/b differs, and 1 more. Every .*gradient of conv/w +1.0e\+00",
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
    with pytest.raises(
        AssertionError, match=r"function is 2 \(Linear\), after 1 \(Linear\), which is the same. Likewise the whole"
    ):
        check(two, spec, layers, x, names=names)


def packed(name):
    """q, k and v, packed in one array of torch's."""
    parts = {
        f"{name}{q}/{a}": f"{name}in_proj_{b}[{i}/3]"
        for i, q in enumerate("qkv")
        for a, b in (("w", "weight"), ("b", "bias"))
    }
    return parts | {f"{name}o/*": f"{name}out_proj.*"}


def test_a_gradient_that_is_0_by_itself_is_no_difference():
    """The bias of keys changes no attention: what is computed for it is rounding."""
    module = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    call = lambda module, x: module(x, x, x, need_weights=False)[0]
    check(attention, attention_spec(8, 2), module, RNG.normal(size=(2, 5, 8)), names=packed(""), call=call)


def test_running_statistics_and_frozen_weights():
    module = torch.nn.BatchNorm1d(4).requires_grad_(False)
    module.running_mean.normal_()
    spec = {"norm": batch_norm_spec(4), "stats": batch_norm_stats_spec(4)}
    function = lambda p, x: batch_norm(p["norm"], x, p["stats"])[0]
    found = check(function, spec, module, RNG.normal(size=(3, 4)), names={"norm/*": "*", "stats/*": "*"})
    assert set(found.gradients) == {"norm/scale", "norm/bias", "input 0"}


class Branches(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.a(x) + self.b(x)).masked_fill(x[:, :1] > 0, -torch.inf)


def test_of_two_branches_the_one_that_differs_is_named_and_equal_infinities_are_equal():
    spec = {name: linear_spec(4, 3 if name == "out" else 4) for name in ("a", "b", "out")}

    def branches(p, x, *, scale=1.0):
        y = linear(p["out"], linear(p["a"], x * scale) + linear(p["b"], x))
        return jnp.where(x[:, :1] > 0, -jnp.inf, y)

    x = RNG.normal(size=(6, 4))
    check(branches, spec, Branches(), x)
    with pytest.raises(
        AssertionError, match=r"the function is a \(Linear\)\. Likewise out \(Linear\), the whole \(Bra"
    ):
        check(lambda p, x: branches(p, x, scale=1.1), spec, Branches(), x)


@pytest.mark.parametrize(
    ("call", "example", "error", "message"),
    [
        (lambda module, x: (module(x), x), np.ones((2, 4)), TypeError, r"found tuple. Choose one by call="),
        (lambda module, x: module(x).argmax(-1), np.ones((2, 4)), TypeError, r"found torch.int64"),
        (None, np.full((2, 4), np.nan), ValueError, "nowhere finite"),
    ],
)
def test_what_tells_nothing_is_an_error(call, example, error, message):
    with pytest.raises(error, match=message):
        check(linear, linear_spec(4, 3), torch.nn.Linear(4, 3), example, call=call)


MAP = linear_spec(4, 3)
SIDES = {
    "a state dict": (
        (linear, MAP, torch.nn.Linear(4, 3).state_dict()),
        "a torch.nn.Module, found collections.Ordered",
    ),
    "params for a function": (
        (jnn.abstract(MAP), MAP, torch.nn.Linear(4, 3)),
        r"a function \(params, \*inputs\) -> ",
    ),
    "params for a spec": ((linear, jnn.abstract(MAP), torch.nn.Linear(4, 3)), "a spec, found ShapeDtypeStruct at 'b'"),
    "nothing": ((linear, MAP, None), r"a torch\.nn\.Module, found NoneType\.$"),
}


@pytest.mark.parametrize("what", SIDES)
def test_what_is_no_side_is_an_error(what):
    sides, message = SIDES[what]
    with pytest.raises(TypeError, match=f"parity: expected {message}"):
        check(*sides, np.ones((2, 4)))
