"""MobileNetV2 against torch, and by published sizes; the first by those. (Against Keras: `test_keras_applications`.)"""

import jax
import jax.numpy as jnp
import pytest
from torch import nn

import jnn
from jnn.models import (
    efficientnet_lite_spec,
    efficientnet_spec,
    mobilenet_spec,
    mobilenet_v2,
    mobilenet_v2_spec,
)
from tests.models.images import check_with_stats, images


def unit(a, b, k, stride=1, groups=1):
    conv = nn.Conv2d(a, b, k, stride, k // 2, groups=groups, bias=False)
    return nn.ModuleDict({"conv": conv, "norm": nn.BatchNorm2d(b)})


def run(p, x):
    return p["norm"](p["conv"](x))


class Inverted(nn.Module):
    def __init__(self, a, b, widen, stride):
        super().__init__()
        c, self.skips = a * widen, stride == 1 and a == b
        if widen > 1:
            self.expand = unit(a, c, 1)
        self.depthwise, self.project = unit(c, c, 3, stride, c), unit(c, b, 1)

    def forward(self, x):
        h = nn.functional.relu6(run(self.expand, x)) if hasattr(self, "expand") else x
        h = run(self.project, nn.functional.relu6(run(self.depthwise, h)))
        return x + h if self.skips else h


class TorchMobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.last, self.out = unit(3, 8, 3, 2), unit(16, 12, 1), nn.Linear(12, 5)
        self.stage1 = nn.Sequential(Inverted(8, 8, 1, 1))
        self.stage2 = nn.Sequential(Inverted(8, 16, 2, 2), Inverted(16, 16, 2, 1), Inverted(16, 16, 2, 1))

    def forward(self, x):
        x = self.stage2(self.stage1(nn.functional.relu6(run(self.stem, x))))
        return self.out(nn.functional.relu6(run(self.last, x)).mean((2, 3)))


@pytest.mark.slow
def test_matches_torch():
    spec = mobilenet_v2_spec(5, stages=((1, 8, 1), (2, 16, 3)), stem=8, last=12)
    model = lambda p, x, stats: mobilenet_v2(p, x, stats, key=None, strides=(1, 2))
    names = {"stage*/first/*": "stage*.0.*", "stage*/rest/*": "stage*.{i+1}.*"}
    check_with_stats(model, spec, TorchMobileNet(), images(2, 12, 9, 3), names)


def test_published_sizes():
    """torchvision's documentation; of other widths, in millions, timm's."""
    assert jnn.count_params(mobilenet_v2_spec(1000)) == 3_504_872
    sizes = {m: round(jnn.count_params(mobilenet_v2_spec(1000, multiplier=m)) / 1e6, 2) for m in (0.5, 1.4)}
    assert sizes == {0.5: 1.97, 1.4: 6.11}


def test_published_sizes_of_the_first():
    """In millions, of the paper's tables 6 and 8."""
    sizes = [round(jnn.count_params(mobilenet_spec(1000, multiplier=m)) / 1e6, 1) for m in (1.0, 0.75, 0.5, 0.25)]
    assert sizes == [4.2, 2.6, 1.3, 0.5]


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (
            lambda: mobilenet_spec(5, multiplier=0.01),
            "mobilenet_spec: expected multiplier of 1/32 or more, .* found 0.01",
        ),
        (lambda: mobilenet_spec(5, multiplier=-1.0), "mobilenet_spec: expected multiplier of 1/32 or more"),
        (
            lambda: mobilenet_v2_spec(5, multiplier=0),
            "mobilenet_v2_spec: expected multiplier above 0 and finite, found 0",
        ),
        (lambda: mobilenet_v2_spec(5, multiplier=float("nan")), "mobilenet_v2_spec: expected multiplier .* found nan"),
        (lambda: efficientnet_spec(5, width=-0.5), "efficientnet_spec: expected width above 0 and finite, found -0.5"),
        (lambda: efficientnet_lite_spec(5, depth=0.0), "efficientnet_lite_spec: expected depth above 0 and finite"),
    ],
)
def test_a_factor_that_leaves_nothing_is_one_clear_error(declare, message):
    with pytest.raises(ValueError, match=message):
        declare()


def test_a_missing_stride_is_one_clear_error():
    p = jnn.param.abstract(mobilenet_v2_spec(5, stages=((1, 8, 1),)))
    with pytest.raises(ValueError, match=r"mobilenet_v2: expected a stride of each of 1 stages, found \(1, 2\)"):
        jax.eval_shape(lambda p: mobilenet_v2(p, jnp.ones((2, 8, 8, 3)), key=None, strides=(1, 2)), p)
