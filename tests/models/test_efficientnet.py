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

import jnn
from experiments.efficientnet import FILE, NAMES, state_dict
from experiments.peers.torch_efficientnet import LITE0, EfficientNetLite
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


@pytest.mark.slow
def test_matches_torch():
    stages = [(3, 1, 8, 1, 1), (5, 2, 16, 3, 2)]
    spec = efficientnet_lite_spec(5, stages=[stage[:4] for stage in stages], stem=8, last=12)
    model = lambda p, x, stats: efficientnet_lite(p, x, stats, key=None, strides=(1, 2))
    check_with_stats(model, spec, EfficientNetLite(stages, 5, stem=8, last=12), images(2, 12, 9, 3), NAMES)


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
    module = EfficientNetLite(LITE0, 1000).eval()
    module.load_state_dict(weights)
    with torch.no_grad():
        theirs = module(torch.tensor(x).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    top = lambda logits: np.argsort(-logits, -1)[:, :5]
    np.testing.assert_array_equal(top(np.asarray(ours)), top(theirs))
    assert top(theirs)[:, 0].tolist() == [PALACE, DAISY]
