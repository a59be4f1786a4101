"""DenseNet against torch, and by torchvision's sizes."""

import pytest
import torch
from torch import nn

import jnn
from jnn.models import DENSENETS, densenet, densenet_spec
from tests.models.images import check_with_stats, images

PUBLISHED = {  # torchvision's documentation
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
}


class Unit(nn.Module):
    def __init__(self, c_in, c_out, kernel):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(c_in), nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)

    def forward(self, x):
        return self.conv(torch.relu(self.norm(x)))


class TorchDenseNet(nn.Module):
    """Two layers that add 3 maps, a transition, one layer."""

    def __init__(self):
        super().__init__()
        layer = lambda c: nn.ModuleDict({"unit1": Unit(c, 6, 1), "unit2": Unit(6, 3, 3)})
        self.stem = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 7, 2, 3, bias=False), "norm": nn.BatchNorm2d(4)})
        self.block1 = nn.ModuleDict({"layer1": layer(4), "layer2": layer(7)})
        self.transition1, self.block2 = Unit(10, 5, 1), nn.ModuleDict({"layer1": layer(5)})
        self.norm, self.out = nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.stem["norm"](self.stem["conv"](x))), 3, 2, 1)
        for block in (self.block1, self.block2):
            for layer in block.values():
                x = torch.cat([x, layer["unit2"](layer["unit1"](x))], 1)
            if block is self.block1:
                x = nn.functional.avg_pool2d(self.transition1(x), 2)
        return self.out(torch.relu(self.norm(x)).mean((2, 3)))


@pytest.mark.slow
def test_matches_torch():
    spec = densenet_spec((2, 1), 3, 5, stem=4, bottleneck=2)
    model = lambda p, x, stats: densenet(p, x, stats, key=None)
    check_with_stats(model, spec, TorchDenseNet(), images(2, 20, 17, 3))


@pytest.mark.parametrize("name", DENSENETS)
def test_published_sizes(name):
    assert jnn.count_params(densenet_spec(**DENSENETS[name], classes=1000)) == PUBLISHED[name]


def test_a_block_without_layers_is_one_clear_error():
    with pytest.raises(
        ValueError, match=r"densenet_spec: expected one layer or more in each block, found depths=\(2, 0\)"
    ):
        densenet_spec((2, 0), 4, 10)
