"""EfficientNet and MobileNetV3 against torch, and by torchvision's sizes."""

import jax
import jax.numpy as jnp
import pytest
from torch import nn
from torch.nn import functional as F

import jnn
from jnn import models
from jnn.models import MobileBlock, efficientnet, efficientnet_spec, mobilenet_v3, mobilenet_v3_spec
from tests.models.images import check_with_stats, images

PUBLISHED = {  # torchvision's documentation
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
}
BLOCKS = (
    MobileBlock(3, 8, 8, False, False, 1),
    MobileBlock(5, 12, 16, True, False, 2),
    MobileBlock(3, 24, 16, True, True, 1),
)


class Unit(nn.Module):
    def __init__(self, a, b, k, stride=1, groups=1, eps=1e-5):
        super().__init__()
        self.conv = nn.Conv2d(a, b, k, stride, k // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(b, eps=eps)

    def forward(self, x):
        return self.norm(self.conv(x))


class Residual(nn.Module):
    """A block; `squeeze` features of its gate, or none."""

    def __init__(self, a, hidden, b, kernel, stride, squeeze, activations, eps):
        super().__init__()
        self.activation, self.within, self.gate = activations
        self.skips = stride == 1 and a == b
        if hidden != a:
            self.expand = Unit(a, hidden, 1, eps=eps)
        self.depthwise, self.project = Unit(hidden, hidden, kernel, stride, hidden, eps), Unit(hidden, b, 1, eps=eps)
        if squeeze:
            self.squeeze = nn.ModuleDict({"down": nn.Linear(hidden, squeeze), "up": nn.Linear(squeeze, hidden)})

    def forward(self, x):
        h = self.activation(self.expand(x)) if hasattr(self, "expand") else x
        h = self.activation(self.depthwise(h))
        if hasattr(self, "squeeze"):
            gate = self.gate(self.squeeze["up"](self.within(self.squeeze["down"](h.mean((2, 3))))))
            h = h * gate[..., None, None]
        h = self.project(h)
        return x + h if self.skips else h


class TorchEfficientNet(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda *sizes: Residual(*sizes, (F.silu, F.silu, F.sigmoid), 1e-5)
        self.stem, self.last, self.out = Unit(3, 8, 3, 2), Unit(16, 64, 1), nn.Linear(64, 5)
        self.stage1 = nn.Sequential(block(8, 8, 8, 3, 1, 2))
        self.stage2 = nn.Sequential(block(8, 16, 16, 5, 2, 2), block(16, 32, 16, 5, 1, 4), block(16, 32, 16, 5, 1, 4))

    def forward(self, x):
        x = self.stage2(self.stage1(F.silu(self.stem(x))))
        return self.out(F.silu(self.last(x)).mean((2, 3)))


class TorchMobileNetV3(nn.Module):
    """Of `BLOCKS`; gates are of 8 features, the least."""

    def __init__(self):
        super().__init__()
        relu, swish = ((a, F.relu, F.hardsigmoid) for a in (F.relu, F.hardswish))
        self.stem, self.last = Unit(3, 8, 3, 2, eps=1e-3), Unit(16, 96, 1, eps=1e-3)
        self.block1 = Residual(8, 8, 8, 3, 1, None, relu, 1e-3)
        self.block2 = Residual(8, 12, 16, 5, 2, 8, relu, 1e-3)
        self.block3 = Residual(16, 24, 16, 3, 1, 8, swish, 1e-3)
        self.head, self.out = nn.Linear(96, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(F.hardswish(self.stem(x)))))
        return self.out(F.hardswish(self.head(F.hardswish(self.last(x)).mean((2, 3)))))


@pytest.mark.slow
def test_efficientnet_matches_torch():
    spec = efficientnet_spec(5, stages=((3, 1, 8, 1), (5, 2, 16, 3)), stem=8)
    model = lambda p, x, stats: efficientnet(p, x, stats, key=None, strides=(1, 2))
    names = {"stage*/first/*": "stage*.0.*", "stage*/rest/*": "stage*.{i+1}.*"}
    check_with_stats(model, spec, TorchEfficientNet(), images(2, 12, 9, 3), names)


@pytest.mark.slow
def test_mobilenet_v3_matches_torch():
    spec = mobilenet_v3_spec(5, blocks=BLOCKS, stem=8, head=12)
    model = lambda p, x, stats: mobilenet_v3(p, x, stats, key=None, blocks=BLOCKS)
    check_with_stats(model, spec, TorchMobileNetV3(), images(2, 12, 9, 3))


def test_published_sizes_of_efficientnet():
    sizes = {name: jnn.count_params(efficientnet_spec(1000, **of)) for name, of in models.EFFICIENTNETS.items()}
    assert sizes == PUBLISHED


def test_published_sizes_of_mobilenet_v3():
    """torchvision's documentation."""
    assert jnn.count_params(mobilenet_v3_spec(1000)) == 5_483_032
    assert jnn.count_params(mobilenet_v3_spec(1000, blocks=models.MOBILENET_V3_SMALL, head=1024)) == 2_542_856


@pytest.mark.parametrize(
    ("spec", "call", "message"),
    [
        (
            efficientnet_spec(5, stages=((3, 1, 8, 1),)),
            lambda p, x: efficientnet(p, x, key=None),
            "efficientnet: expected a stride of each of 1 stages, found",
        ),
        (
            mobilenet_v3_spec(5, blocks=BLOCKS),
            lambda p, x: mobilenet_v3(p, x, key=None),
            "mobilenet_v3: expected the 3 blocks that its parameters are declared for, found 15",
        ),
    ],
)
def test_a_wrong_table_is_one_clear_error(spec, call, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda p: call(p, jnp.ones((2, 8, 8, 3))), jnn.param.abstract(spec))
