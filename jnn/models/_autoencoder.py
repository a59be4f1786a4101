"""Autoencoder and variational autoencoder (VAE): a perceptron that narrows, and one that widens again.

    autoencoder(p, x) -> reconstruction
    vae(p, x, key=key) -> (reconstruction, mean, log_scale)       what the evidence lower bound (ELBO) is made of

Encoder and decoder are functions, so that convolutions may stand in place of perceptrons.
Laws: without a key, the VAE decodes the mean; leading axes are free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.models._mlp import mlp, mlp_spec
from jnn.param import Params, Spec, check_key
from jnn.precision import wide

Coder = Callable[[Params, jax.Array], jax.Array]
LIMIT = 30.0  # of a log-scale


def autoencoder_spec(sizes: Sequence[int], *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares an autoencoder of perceptrons.

    Args:
      sizes: of the input, of each hidden layer of the encoder, of the code; the decoder has them backwards.
      dtype: of all.

    Returns:
      {"encoder": as `mlp_spec`, "decoder": as `mlp_spec`}

    Raises:
      ValueError: fewer than two sizes.

    >>> autoencoder_spec((784, 256, 32))["decoder"]["fc0"]["w"].shape
    (32, 256)
    """
    return {"encoder": mlp_spec(sizes, dtype=dtype), "decoder": mlp_spec([*reversed(sizes)], dtype=dtype)}


def silent_mlp(p: Params, x: jax.Array) -> jax.Array:
    """Multilayer perceptron without dropout: the default encoder and decoder."""
    return mlp(p, x, key=None)


def autoencoder(p: Params, x: jax.Array, *, encoder: Coder = silent_mlp, decoder: Coder = silent_mlp) -> jax.Array:
    """Autoencoder: `decoder(encoder(x))`, which is to be x again.

    See "Reducing the Dimensionality of Data with Neural Networks", Hinton and Salakhutdinov, 2006.

    Args:
      p: {"encoder", "decoder"}, such as `autoencoder_spec` declares.
      x: what the encoder reads.
      encoder, decoder: `(params, x) -> y`.

    Returns:
      What the decoder makes of the code; of `mlp` the reconstruction, or its logits, in x's shape and dtype.

    >>> import jnn
    >>> p = jnn.init(autoencoder_spec((6, 2)), jax.random.key(0))
    >>> autoencoder(p, jnp.ones((4, 6))).shape
    (4, 6)
    """
    checks.params("autoencoder", p, "encoder", "decoder")
    return decoder(p["decoder"], encoder(p["encoder"], x))


def vae_spec(sizes: Sequence[int], *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a variational autoencoder of perceptrons.

    Args:
      sizes: of the input, of each hidden layer of the encoder, of the latent; the decoder has them backwards.
      dtype: of all.

    Returns:
      {"encoder": as `mlp_spec`, which ends in mean and log-scale side by side, "decoder": as `mlp_spec`}

    Raises:
      ValueError: fewer than two sizes.

    >>> vae_spec((784, 256, 32))["encoder"]["fc1"]["w"].shape
    (256, 64)
    """
    encoder = mlp_spec([*sizes[:-1], *(2 * n for n in sizes[-1:])], dtype=dtype)
    return {"encoder": encoder, "decoder": mlp_spec([*reversed(sizes)], dtype=dtype)}


def vae(
    p: Params,
    x: jax.Array,
    *,
    key: jax.Array | None,
    encoder: Coder = silent_mlp,
    decoder: Coder = silent_mlp,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Variational autoencoder (VAE): decodes a draw from the normal distribution that the encoder tells.

    See "Auto-Encoding Variational Bayes", Kingma and Welling, 2014. To sample, give the decoder normal latents.

    Args:
      p: {"encoder", "decoder"}, such as `vae_spec` declares.
      x: what the encoder reads.
      key: draws the latent, such as `ctx.draw`; None takes its mean.
      encoder: `(params, x) -> (..., 2 * latent)`, mean and log-scale side by side.
      decoder: `(params, latent) -> reconstruction`, or what its distribution is made of, such as logits.

    Returns:
      The reconstruction; and the latent's mean and log-scale (the log of its standard deviation), (..., latent) each,
      as `jnn.losses.standard_gaussian_kl` takes them.

    Raises:
      ValueError: the encoder returns an odd number of features.

    >>> import jnn
    >>> p = jnn.init(vae_spec((6, 2)), jax.random.key(0))
    >>> [a.shape for a in vae(p, jnp.ones((4, 6)), key=jax.random.key(1))]
    [(4, 6), (4, 2), (4, 2)]
    """
    checks.params("vae", p, "encoder", "decoder")
    check_key("vae", key, optional=True)
    moments = encoder(p["encoder"], x)
    if moments.shape[-1] % 2:
        raise ValueError(
            f"vae: expected mean and log-scale of the encoder, an even number of features; found "
            f"{checks.describe(moments)}."
        )
    mean, log_scale = jnp.split(moments, 2, axis=-1)
    return decoder(p["decoder"], reparametrize(mean, log_scale, key=key)), mean, log_scale


def reparametrize(mean: jax.Array, log_scale: jax.Array, *, key: jax.Array | None) -> jax.Array:
    """Reparametrization: a normal draw, `mean + exp(log_scale) * noise`, through which gradients pass.

    See "Auto-Encoding Variational Bayes", Kingma and Welling, 2014.

    A log-scale beyond -30 or 30 counts as that, so that the draw and its gradient are finite in float32.

    Args:
      mean, log_scale: (...), floating point, of one shape.
      key: makes the noise; None makes none.

    Returns:
      (...), in mean's dtype.

    Raises:
      ValueError: shapes differ.

    >>> reparametrize(jnp.ones(3), jnp.zeros(3), key=None).tolist()
    [1.0, 1.0, 1.0]
    """
    checks.same_shape("reparametrize", mean=mean, log_scale=log_scale)
    if key is None:
        return mean
    h, spread = wide(mean), jnp.exp(jnp.clip(wide(log_scale), -LIMIT, LIMIT))
    noise = jax.random.normal(key, h.shape, h.dtype)
    return (h + spread * noise).astype(mean.dtype)
