"""The U-Net for diffusion against torch, by its published size; its time embedding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments.peers.torch_unet import UNet
from jnn.models import diffusion_unet, diffusion_unet_spec, time_embedding
from jnn.parity import check
from tests.models.images import images


def without_key_bias(spec):
    """What is added to all keys changes no softmax, so its gradient is rounding alone."""
    if not isinstance(spec, dict):
        return spec
    return {name: {"w": part["w"]} if name == "k" else without_key_bias(part) for name, part in spec.items()}


@pytest.mark.slow
def test_matches_torch():
    spec = without_key_bias(diffusion_unet_spec((4, 6), blocks=1, channels=2))
    ours = lambda p, x, t: diffusion_unet(p, x, t, key=None, groups=2)
    call = lambda module, x, t: module(x.movedim(-1, 1), t).movedim(1, -1)
    check(ours, spec, UNet((4, 6), 2, 2, groups=2), (images(2, 4, 6, 2), np.array([3, 70])), call=call, tolerance=3e-5)


def test_cifars_has_the_papers_size():
    """35.7 million parameters: appendix B of "Denoising Diffusion Probabilistic Models"."""
    assert round(jnn.count_params(diffusion_unet_spec((128, 256, 256, 256))) / 1e6, 1) == 35.7


def test_a_time_between_steps_lies_between_them():
    t = jnp.array([2.0, 2.25, 3.0])
    slow = time_embedding(t, 8)[:, 3]
    np.testing.assert_array_equal(slow[::2], time_embedding(jnp.array([2, 3]), 8)[:, 3])
    assert slow[0] < slow[1] < slow[2]
    with pytest.raises(ValueError, match=r"time_embedding: pairs of features need an even size, found 3"):
        time_embedding(t, 3)


@pytest.mark.parametrize(
    ("shape", "t", "message"),
    [
        ((2, 5, 4, 3), (2,), r"diffusion_unet: 1 halvings need a height and width of multiples of 2"),
        ((2, 4, 4, 3), (), r"diffusion_unet: expected t \(2,\), one time an image, found int32\[\]"),
    ],
)
def test_bad_input_is_one_clear_error(shape, t, message):
    p = jnn.param.abstract(diffusion_unet_spec((4, 8), blocks=1))
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda p: diffusion_unet(p, jnp.ones(shape), jnp.ones(t, jnp.int32), key=None), p)
