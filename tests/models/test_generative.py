"""Autoencoders, DCGAN and U-Net against torch and by published sizes; what a key draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

import jnn
from jnn.models import (
    autoencoder,
    autoencoder_spec,
    dcgan_discriminator,
    dcgan_discriminator_spec,
    dcgan_generator,
    dcgan_generator_spec,
    reparametrize,
    unet,
    unet_spec,
    vae,
    vae_spec,
)
from jnn.parity import check
from tests.models.images import check_with_stats, images


def dense(*sizes):
    first, second = nn.Linear(*sizes[:2]), nn.Linear(*sizes[1:])
    return nn.ModuleDict({"fc0": first, "fc1": second})


class TorchCoders(nn.Module):
    """Autoencoder of 5, 4 and 3 features."""

    def __init__(self, code):
        super().__init__()
        self.encoder, self.decoder = dense(5, 4, code), dense(3, 4, 5)

    def forward(self, x):
        mlp = lambda p, x: p["fc1"](torch.relu(p["fc0"](x)))
        return mlp(self.decoder, mlp(self.encoder, x)[..., :3])


@pytest.mark.slow
def test_autoencoders_match_torch():
    check(autoencoder, autoencoder_spec((5, 4, 3)), TorchCoders(3), images(2, 5))
    check(lambda p, x: vae(p, x, key=None)[0], vae_spec((5, 4, 3)), TorchCoders(6), images(2, 5))


def test_reparametrization_draws_with_the_moments_that_it_is_given():
    mean, log_scale = jnp.full(20_000, 3.0), jnp.full(20_000, np.log(0.5))
    z = reparametrize(mean, log_scale, key=jax.random.key(0))
    np.testing.assert_allclose([z.mean(), z.std()], [3.0, 0.5], rtol=0.02)
    with pytest.raises(ValueError, match=r"reparametrize: expected equal shapes"):
        reparametrize(mean, log_scale[:3], key=None)


class TorchGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        layer = lambda a, b, *how: nn.ModuleDict(
            {"conv": nn.ConvTranspose2d(a, b, 4, *how, bias=False), "norm": nn.BatchNorm2d(b)}
        )
        self.layer1, self.layer2 = layer(5, 4, 1, 0), layer(4, 3, 2, 1)
        self.layer3 = nn.ModuleDict({"conv": nn.ConvTranspose2d(3, 2, 4, 2, 1, bias=False)})

    def forward(self, z):
        h = z
        for layer in (self.layer1, self.layer2):
            h = torch.relu(layer["norm"](layer["conv"](h)))
        return torch.tanh(self.layer3["conv"](h))


class TorchDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.ModuleDict({"conv": nn.Conv2d(2, 3, 4, 2, 1, bias=False)})
        self.layer2 = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 4, 2, 1, bias=False), "norm": nn.BatchNorm2d(4)})
        self.layer3 = nn.ModuleDict({"conv": nn.Conv2d(4, 1, 4, bias=False)})

    def forward(self, x):
        leak = lambda x: nn.functional.leaky_relu(x, 0.2)
        h = leak(self.layer2["norm"](self.layer2["conv"](leak(self.layer1["conv"](x)))))
        return self.layer3["conv"](h).flatten()


@pytest.mark.slow
def test_dcgan_matches_torch():
    names = {f"layer{i}/conv/w": (f"layer{i}.conv.weight", "i o y x -> y x i o") for i in (1, 2, 3)}
    ours = lambda p, z, stats: dcgan_generator(p, z[..., 0, 0, :], stats)
    check_with_stats(ours, dcgan_generator_spec(5, (4, 3), channels=2), TorchGenerator(), images(3, 1, 1, 5), names)
    spec = dcgan_discriminator_spec((3, 4), channels=2)
    check_with_stats(dcgan_discriminator, spec, TorchDiscriminator(), images(3, 16, 16, 2))


class TorchUNet(nn.Module):
    class Pair(nn.Module):
        def __init__(self, c_in, c_out, enlarge=False):
            super().__init__()
            unit = lambda a, b: nn.ModuleDict(
                {"conv": nn.Conv2d(a, b, 3, padding=1, bias=False), "norm": nn.BatchNorm2d(b)}
            )
            self.unit1, self.unit2 = unit(c_in, c_out), unit(c_out, c_out)
            if enlarge:
                self.enlarge = nn.ConvTranspose2d(c_in, c_out, 2, 2)

        def forward(self, x, beside=None):
            x = x if beside is None else torch.cat([beside, self.enlarge(x)], 1)
            for unit in (self.unit1, self.unit2):
                x = torch.relu(unit["norm"](unit["conv"](x)))
            return x

    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.down3 = self.Pair(2, 3), self.Pair(3, 6), self.Pair(6, 12)
        self.up1, self.up2 = self.Pair(6, 3, True), self.Pair(12, 6, True)
        self.out = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        pool = lambda x: nn.functional.max_pool2d(x, 2)
        one = self.down1(x)
        two = self.down2(pool(one))
        return self.out(self.up1(self.up2(self.down3(pool(two)), two), one))


@pytest.mark.slow
def test_unet_matches_torch():
    names = {"up*/enlarge/w": ("up*.enlarge.weight", "i o y x -> y x i o")}
    check_with_stats(unet, unet_spec((3, 6, 12), 4, channels=2), TorchUNet(), images(2, 8, 12, 2), names)


def test_published_sizes():
    """Of DCGAN those of PyTorch's tutorial, of U-Net those of milesial/Pytorch-UNet."""
    assert jnn.count_params(dcgan_generator_spec()) == 3_576_704
    assert jnn.count_params(dcgan_discriminator_spec()) == 2_765_568
    assert jnn.count_params(unet_spec((64, 128, 256, 512, 1024), 1)) == 31_037_633


def test_an_image_that_cannot_be_halved_is_one_clear_error():
    p = jnn.param.abstract(unet_spec((4, 8, 16), 2))
    with pytest.raises(ValueError, match=r"unet: 2 halvings need a height and width of multiples of 4"):
        jax.eval_shape(unet, p, jnp.ones((2, 8, 6, 3)))


def test_an_encoder_without_log_scale_is_one_clear_error():
    p = jnn.param.abstract(autoencoder_spec((4, 3)))
    with pytest.raises(ValueError, match=r"vae: expected mean and log-scale.*found float32\[2,3\]"):
        jax.eval_shape(lambda p, x: vae(p, x, key=None), p, jnp.ones((2, 4)))
