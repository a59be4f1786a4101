"""Likelihoods of images: what is drawn has the greys as its mean, and bounds are in the right units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.likelihood import binarize, bits_per_dimension, dequantize, pixel_nll

KEY = jax.random.key(0)


def test_black_and_white_pixels_have_the_greys_as_their_mean():
    greys = jnp.array([0.0, 0.25, 1.0])
    drawn = jax.vmap(lambda key: binarize(greys, key))(jax.random.split(KEY, 4000))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(0), greys, atol=0.03)


def test_pixels_that_are_a_coins_toss_cost_a_bit_each():
    nats = pixel_nll(jnp.zeros((1, 784)), jnp.ones((1, 784)))
    assert bits_per_dimension(float(nats[0]), 784) == pytest.approx(1.0)


def test_dequantized_greys_fill_the_interval_and_come_back():
    greys = jnp.arange(256) / 255
    drawn = jax.vmap(lambda key: dequantize(greys, key))(jax.random.split(KEY, 100))
    assert (drawn >= 0).all()
    assert (drawn <= 1).all()
    np.testing.assert_array_less(np.abs(256 * drawn - (jnp.arange(256) + 0.5)[None]), 0.5 + 1e-4)
    np.testing.assert_allclose(256 * drawn.mean(0), jnp.arange(256) + 0.5, atol=0.2)
