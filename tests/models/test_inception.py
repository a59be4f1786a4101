"""Inception-v3, Inception-ResNet-v2 and Xception by published sizes. (Against Keras: `test_keras_applications`.)"""

import jax
import jax.numpy as jnp
import pytest

import jnn
from jnn.models import (
    inception_resnet_v2,
    inception_resnet_v2_spec,
    inception_v3,
    inception_v3_spec,
    xception,
    xception_spec,
)

AUXILIARY = 3_326_696  # 1x1 to 128 with its norm, 5x5 to 768 with its norm, 1000 logits
SMALL = (((((2, 1),),), 2), (((2, 1),),), 1)


def test_published_sizes():
    """Of Xception the paper's; of the others torchvision's, less the auxiliary classifier, and timm's."""
    assert jnn.count_params(xception_spec(1000)) == 22_855_952
    assert jnn.count_params(inception_v3_spec(1000)) == 27_161_264 - AUXILIARY
    assert jnn.count_params(inception_resnet_v2_spec(1000)) == 55_843_464


def test_a_missing_scale_is_one_clear_error():
    p = jnn.param.abstract(inception_resnet_v2_spec(5, stages=[SMALL], last=4))
    with pytest.raises(
        ValueError, match=r"inception_resnet_v2: expected a scale of each of 1 stages, found \(0.17, 0.1, "
    ):
        jax.eval_shape(lambda p: inception_resnet_v2(p, jnp.ones((2, 75, 75, 3)), key=None), p)


@pytest.mark.parametrize(
    ("model", "spec"),
    [
        (xception, xception_spec(2, stem=(2, 2), entry=(2,), middle=1, exit=2, last=(2, 2))),
        (inception_v3, inception_v3_spec(2, modules=SMALL[:1], stem=(2,) * 5)),
    ],
)
def test_an_image_without_room_is_one_clear_error(model, spec):
    with pytest.raises(ValueError, match=r"a window that reaches \(3, 3\) does not fit into spatial axes \(2, 2\)"):
        jax.eval_shape(lambda p: model(p, jnp.ones((2, 6, 6, 3)), key=None), jnn.abstract(spec))
