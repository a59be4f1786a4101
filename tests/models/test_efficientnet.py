"""EfficientNet-Lite against torch, by published sizes, with real weights of ImageNet on photographs; V2 by its sizes.

Against Keras: `test_keras_applications`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn
from torch.nn.functional import pad, relu6

import jnn
from experiments.efficientnet import FILE, NAMES, state_dict
from jnn.data import data_root
from jnn.interop.torch import load_with_stats
from jnn.models import (
    EFFICIENTNETS_LITE,
    EFFICIENTNETS_V2,
    batch_stats_spec,
    efficientnet_lite,
    efficientnet_lite_spec,
    efficientnet_v2,
    efficientnet_v2_spec,
)
from tests.models.images import check_with_stats, images

PALACE, DAISY = 698, 985  # of ImageNet's classes
# kernel, widening, channels, blocks and stride of each stage
LITE0 = [
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
]


class Same(nn.Conv2d):
    """TensorFlow's padding: as many outputs as strides fit, the odd zero behind."""

    def forward(self, x):
        short = [
            max((-(-n // s) - 1) * s + k - n, 0)
            for n, k, s in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        ]
        (up, down), (left, right) = ((n // 2, n - n // 2) for n in short)
        return super().forward(pad(x, (left, right, up, down)))


def norm(c):
    return nn.BatchNorm2d(c, eps=1e-3)


class MBConv(nn.Module):
    def __init__(self, a, b, kernel, widen, stride):
        super().__init__()
        c = a * widen
        if widen > 1:
            self._expand_conv, self._bn0 = Same(a, c, 1, bias=False), norm(c)
        self._depthwise_conv, self._bn1 = Same(c, c, kernel, stride, groups=c, bias=False), norm(c)
        self._project_conv, self._bn2 = Same(c, b, 1, bias=False), norm(b)
        self.skips = stride == 1 and a == b

    def forward(self, x):
        h = relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        h = self._bn2(self._project_conv(relu6(self._bn1(self._depthwise_conv(h)))))
        return x + h if self.skips else h


class TorchLite(nn.Module):
    """Parts named as in the file of weights, but for the blocks, which are counted within their stage."""

    def __init__(self, stages, classes, stem=32, last=1280):
        super().__init__()
        self._conv_stem, self._bn0, c = Same(3, stem, 3, 2, bias=False), norm(stem), stem
        for i, (kernel, widen, c_out, n, stride) in enumerate(stages, 1):
            first = MBConv(c, c_out, kernel, widen, stride)
            c = c_out
            rest = [MBConv(c, c, kernel, widen, 1) for _ in range(n - 1)]
            self.add_module(f"stage{i}", nn.Sequential(first, *rest))
        self.n = len(stages)
        self._conv_head, self._bn1, self._fc = Same(c, last, 1, bias=False), norm(last), nn.Linear(last, classes)

    def forward(self, x):
        x = relu6(self._bn0(self._conv_stem(x)))
        for i in range(self.n):
            x = getattr(self, f"stage{i + 1}")(x)
        return self._fc(relu6(self._bn1(self._conv_head(x))).mean((2, 3)))


@pytest.mark.slow
def test_matches_torch():
    stages = [(3, 1, 8, 1, 1), (5, 2, 16, 3, 2)]
    spec = efficientnet_lite_spec(5, stages=[stage[:4] for stage in stages], stem=8, last=12)
    model = lambda p, x, stats: efficientnet_lite(p, x, stats, key=None, strides=(1, 2))
    check_with_stats(model, spec, TorchLite(stages, 5, stem=8, last=12), images(2, 12, 9, 3), NAMES)


def test_published_sizes():
    """In millions, of the TPU repository's table of EfficientNet-Lite; of the smallest, exactly."""
    sizes = {name: jnn.count_params(efficientnet_lite_spec(1000, **of)) for name, of in EFFICIENTNETS_LITE.items()}
    assert [round(n / 1e6, 1) for n in sizes.values()] == [4.7, 5.4, 6.1, 8.2, 13.0]
    assert sizes["efficientnet_lite0"] == 4_652_008


def test_published_sizes_of_v2():
    """In millions, of the paper's table of small ones; of the others, exactly, torchvision's documentation."""
    sizes = {name: jnn.count_params(efficientnet_v2_spec(1000, **of)) for name, of in EFFICIENTNETS_V2.items()}
    *small, s, m, large = sizes.values()
    assert [round(n / 1e6, 1) for n in small] == [7.1, 8.1, 10.1, 14.4]
    assert (s, m, large) == (21_458_488, 54_139_356, 118_515_272)


def test_a_stride_too_many_is_one_clear_error():
    p = jnn.param.abstract(efficientnet_v2_spec(5, stages=((3, 1, 8, 1),)))
    with pytest.raises(ValueError, match=r"efficientnet_v2: expected a stride of each of 1 stages, found \(1, 2\)"):
        jax.eval_shape(lambda p: efficientnet_v2(p, jnp.ones((2, 8, 8, 3)), key=None, strides=(1, 2)), p)


def test_a_missing_stride_is_one_clear_error():
    p = jnn.param.abstract(efficientnet_lite_spec(5, stages=((3, 1, 8, 1),)))
    with pytest.raises(ValueError, match=r"efficientnet_lite: expected a stride of each of 1 stages, found \(1, 2\)"):
        jax.eval_shape(lambda p: efficientnet_lite(p, jnp.ones((2, 8, 8, 3)), key=None, strides=(1, 2)), p)


@pytest.fixture(scope="module")
def weights():
    """The file's tensors, whose blocks are counted within their stage."""
    if not (data_root() / FILE).is_file():
        pytest.skip(f"{FILE} is not in {data_root()}: fetch EfficientNet-Lite0's weights, or set JNN_DATA")
    return state_dict()


def photographs():
    """scikit-learn's two, the middle of them (2, 224, 224, 3), as the network reads them."""
    small = [
        Image.fromarray(image).resize((384, 256), Image.Resampling.BICUBIC) for image in load_sample_images().images
    ]
    pixels = np.stack([np.asarray(image.crop((80, 16, 304, 240)), np.float32) for image in small])
    return (pixels - 127) / 128


@pytest.mark.slow
def test_real_weights_give_torchs_logits_on_photographs(weights):
    spec = efficientnet_lite_spec(1000)
    params, stats = load_with_stats(spec, batch_stats_spec(spec), weights, NAMES)
    x = photographs()
    ours, _ = jax.jit(lambda p, x, stats: efficientnet_lite(p, x, stats, key=None))(params, x, stats)
    module = TorchLite(LITE0, 1000).eval()
    module.load_state_dict(weights)
    with torch.no_grad():
        theirs = module(torch.tensor(x).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    top = lambda logits: np.argsort(-logits, -1)[:, :5]
    np.testing.assert_array_equal(top(np.asarray(ours)), top(theirs))
    assert top(theirs)[:, 0].tolist() == [PALACE, DAISY]
