"""VGG and AlexNet against torch and by torchvision's sizes; bad declarations."""

import itertools

import jax
import numpy as np
import pytest
from torch import nn

import jnn
from jnn.layers import avg_pool
from jnn.models import VGGS, alexnet, alexnet_spec, vgg, vgg_features, vgg_features_spec, vgg_spec
from jnn.parity import check
from tests.models.images import channels_last, images

PUBLISHED = {"vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240}


class FlatLast(nn.Module):
    """Flattens (b, c, y, x) in the order (y, x, c)."""

    def forward(self, x):
        return x.movedim(1, -1).flatten(1)


def dense(*sizes):
    maps = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    return nn.Sequential(FlatLast(), maps[0], nn.ReLU(), maps[1], nn.ReLU(), maps[2])


class TorchVGG(nn.Module):
    def __init__(self):
        super().__init__()
        conv, relu, pool = (lambda a, b: nn.Conv2d(a, b, 3, padding=1)), nn.ReLU, lambda: nn.MaxPool2d(2)
        self.features = nn.Sequential(conv(2, 3), relu(), pool(), conv(3, 4), relu(), conv(4, 5), relu(), pool())
        self.head = dense(2 * 3 * 5, 7, 7, 3)

    def forward(self, x):
        return self.head(self.features(x))


class TorchAlexNet(nn.Module):
    def __init__(self):
        super().__init__()
        pool = lambda: nn.MaxPool2d(3, 2)
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 4, 11, 4, 2), nn.ReLU(), pool(), nn.Conv2d(4, 5, 5, padding=2), nn.ReLU(), pool()),
            *(nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 7, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(7, 8, 3, padding=1), nn.ReLU(), pool()),
        )
        self.head = dense(2 * 1 * 8, 9, 9, 4)

    def forward(self, x):
        return self.head(self.features(x))


HEAD = {f"head/fc{i}/*": f"head.{2 * i + 1}.*" for i in range(3)}


@pytest.mark.slow
def test_vgg_matches_torch():
    spec = vgg_spec(((3,), (4, 5)), 3, image=(8, 13, 2), dense=7)
    names = {"stage1/conv1/*": "features.0.*", "stage2/conv1/*": "features.3.*", "stage2/conv2/*": "features.5.*"}
    ours = lambda p, x: vgg(p, x, key=None)
    check(ours, spec, TorchVGG(), images(2, 8, 13, 2), names=names | HEAD, call=channels_last)


@pytest.mark.slow
def test_features_are_torchs_at_the_end_of_a_stage():
    conv, spec = (lambda a, b: nn.Conv2d(a, b, 3, padding=1)), vgg_features_spec(((3,), (4, 5)), channels=2)
    net = nn.Sequential(conv(2, 3), nn.ReLU(), nn.AvgPool2d(2), conv(3, 4), nn.ReLU(), conv(4, 5), nn.ReLU())
    names = {"stage1/conv1/*": "0.*", "stage2/conv1/*": "3.*", "stage2/conv2/*": "5.*"}
    ours = lambda p, x: vgg_features(p, x, pool=avg_pool)[-1]
    check(ours, spec, net, images(2, 8, 13, 2), names=names, call=channels_last)


def test_fewer_stages_give_the_features_of_these():
    p, x = jnn.init(vgg_features_spec(((3,), (4,), (5,))), jax.random.key(0)), images(1, 8, 8, 3)
    some = vgg_features({name: p[name] for name in ("stage1", "stage2")}, x)
    assert len(some) == 2
    for one, other in zip(some, vgg_features(p, x), strict=False):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_alexnet_matches_torch():
    spec = alexnet_spec(4, widths=(4, 5, 6, 7, 8), image=(95, 64, 3), dense=9)
    at = {1: 0, 2: 3, 3: 6, 4: 8, 5: 10}
    names = {f"conv{i}/*": f"features.{n}.*" for i, n in at.items()}
    ours = lambda p, x: alexnet(p, x, key=None)
    check(ours, spec, TorchAlexNet(), images(2, 95, 64, 3), names=names | HEAD, call=channels_last)


def test_published_sizes():
    assert {name: jnn.count_params(vgg_spec(stages, 1000)) for name, stages in VGGS.items()} == PUBLISHED
    assert jnn.count_params(alexnet_spec(1000)) == 61_100_840


@pytest.mark.slow
def test_a_key_makes_noise():
    p = jnn.init(vgg_spec(((3,),), 3, image=(4, 4, 1), dense=16), jax.random.key(0))
    x = images(2, 4, 4, 1)
    assert not np.allclose(vgg(p, x, key=jax.random.key(0)), vgg(p, x, key=jax.random.key(1)))


def test_bad_declarations_are_one_clear_error():
    with pytest.raises(
        ValueError, match=r"vgg_spec: expected image \(y, x, c\), y and x at least 4; found \(3, 8, 1\)"
    ):
        vgg_spec(((4,), (8,)), 10, image=(3, 8, 1))
    with pytest.raises(ValueError, match=r"alexnet_spec: expected five widths and image"):
        alexnet_spec(10, widths=(4, 5))
