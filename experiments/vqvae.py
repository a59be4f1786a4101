"""VQ-VAE: images as 7 x 7 words of a codebook, and a transformer that writes such words, class by class.

Data      MNIST or Fashion-MNIST, black and white by chance, as in `vae`.
Network   convolutions 4x4 of stride 2 to 32 and 64 channels, and one to 16: the nearest of 64 codebook vectors each;
          and back again ("Neural Discrete Representation Learning", van den Oord, Vinyals and Kavukcuoglu, 2017). The
          prior of the words, a PixelCNN there, is a decoder-only transformer: 2 layers, 4 heads, 64 wide, which is
          told the class.
Training  Adam 1e-3 along a cosine to 0, batches of 64: 2,000 steps of the autoencoder (nats of the pixels, and squares
          by which codes miss their vectors, of which the encoder's count 0.25), 1,500 of the prior.
Run       python -m experiments.vqvae [--dataset fashion_mnist]
Measured  MNIST, one seed, on the test images: 60.0 nats for the pixels given their words and 44.5 for the words (203.8
          were all as likely), together 0.192 bits a pixel; as many words are in use as 7.2 equally likely ones. One
          busy CPU core, 165 seconds of processor time.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets, pictures
from experiments.chunks import in_chunks
from experiments.harness import Outcome, launch
from experiments.likelihood import binarize, bits_per_dimension, pixel_nll
from experiments.mnist import CLASSES
from experiments.options import Common
from experiments.training import evaluate, train
from jnn import layers
from jnn.data import Batches, in_order
from jnn.generation import generate
from jnn.models import TRANSFORMER, transformer, transformer_spec
from jnn.train import LossOutput

SIDE, GRID = 28, 7
PIXELS, WORDS = SIDE**2, GRID**2


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """VQ-VAE: images as words of a codebook."""

    steps: int = 2000
    workdir: str = "runs/vqvae"
    dataset: Literal["mnist", "fashion_mnist"] = "mnist"
    batch_size: int = 64
    learning_rate: float = 1e-3
    width: int = 32
    codes: int = 64
    latent: int = 16
    prior_steps: int = 1500
    embed: int = 64


def network_spec(config: Config) -> dict:
    """Declares encoder, codebook and decoder."""
    narrow, wide, latent = config.width, 2 * config.width, config.latent
    return {
        "shrink1": layers.conv_spec(1, narrow, (4, 4)),
        "shrink2": layers.conv_spec(narrow, wide, (4, 4)),
        "code": layers.conv_spec(wide, latent, (1, 1)),
        "codebook": layers.vector_quantize_spec(config.codes, latent),
        "read": layers.conv_spec(latent, wide, (3, 3)),
        "enlarge1": layers.conv_transpose_spec(wide, narrow, (4, 4)),
        "enlarge2": layers.conv_transpose_spec(narrow, 1, (4, 4)),
    }


def quantized(p: dict, x: jax.Array) -> layers.Quantized:
    """Images (b, 784) to the nearest vectors (b, 7, 7, latent)."""
    h = x.reshape(-1, SIDE, SIDE, 1)
    for name in ("shrink1", "shrink2"):
        h = jax.nn.relu(layers.conv(p[name], h, stride=2, padding=1))
    return layers.vector_quantize(p["codebook"], layers.conv(p["code"], h))


def decoded(p: dict, values: jax.Array) -> jax.Array:
    """Vectors (b, 7, 7, latent) to logits of white (b, 784)."""
    h = jax.nn.relu(layers.conv(p["read"], values))
    h = jax.nn.relu(layers.conv_transpose(p["enlarge1"], h, stride=2, padding=1))
    return layers.conv_transpose(p["enlarge2"], h, stride=2, padding=1).reshape(-1, PIXELS)


def loss(params, batch, ctx) -> LossOutput:
    """Nats of the pixels given their words, and the squares by which codes and vectors miss each other."""
    x = binarize(batch["x"], ctx.draw)
    words = quantized(params, x)
    nll = pixel_nll(decoded(params, words.values), x)
    missed = params["codebook"]["table"].shape[1] * (words.codebook + 0.25 * words.commitment)
    metrics = {"nll": jnn.metrics.mean(nll, batch["weight"])}
    return LossOutput(nll + missed.sum((-2, -1)), batch["weight"], metrics=metrics)


def prior_loss(params, batch, ctx) -> LossOutput:
    """Nats of the words of an image, one after the other, behind its class."""
    logits = transformer(params, batch["x"][:, :-1], key=ctx.key)
    return LossOutput(jnn.losses.cross_entropy(logits, batch["x"][:, 1:]).sum(-1), batch["weight"])


def written(params: dict, part: dict[str, np.ndarray], config: Config) -> dict[str, np.ndarray]:
    """The words of images, (n, 1 + 49), behind their class, which is a word of its own."""
    ids = jax.jit(lambda x: quantized(params, binarize(x, jax.random.key(config.seed))).ids)
    words = in_chunks(lambda batch: ids(batch["x"]), {"x": part["x"]}, 1000).reshape(-1, WORDS)
    return {"x": np.concatenate([config.codes + part["y"][:, None], words], 1).astype(np.int32)}


def experiment(config: Config) -> Outcome:
    """Trains the autoencoder, then the prior of its words; tests both."""
    data = datasets.mnist(config.data_dir, config.dataset)
    adam = lambda steps: optax.adam(optax.cosine_decay_schedule(config.learning_rate, steps))
    batches, validation = Batches(data.train, config.batch_size, seed=config.seed), in_order(data.validation, 500)
    own = {"every": 500, "validation": validation, "name": "autoencoder"}
    state, history = train(config, network_spec(config), loss, adam(config.steps), batches, **own)
    words = datasets.Data(*(written(state.params, part, config) for part in data[:3]))
    prior, _ = train(
        dataclasses.replace(config, steps=config.prior_steps),
        transformer_spec(config.codes + len(CLASSES[config.dataset]), 1 + WORDS, layers=2, heads=4, embed=config.embed),
        prior_loss,
        adam(config.prior_steps),
        Batches(words.train, config.batch_size, seed=config.seed),
        every=500,
        validation=in_order(words.validation, 500),
        name="prior",
    )
    nll = float(evaluate(loss, state, in_order(data.test, 500))["nll"].value())
    of_words = float(evaluate(prior_loss, prior, in_order(words.test, 500))["loss"].value())
    used = np.bincount(words.test["x"][:, 1:].ravel(), minlength=config.codes) / words.test["x"][:, 1:].size
    metrics = {
        "test_nll": nll,
        "test_words_nll": of_words,
        "test_words_nll_uniform": WORDS * math.log(config.codes),
        "test_bits_per_dimension": bits_per_dimension(nll + of_words, PIXELS),
        "codebook_perplexity": float(np.exp(-np.sum(used * np.log(np.maximum(used, 1e-12))))),
    }
    params = {"autoencoder": state.params, "prior": prior.params}
    return Outcome(params, metrics, history, figures(params, data.test, config))


def figures(params: dict, test: dict[str, np.ndarray], config: Config) -> dict[str, Any]:
    """What the prior writes of each class, and what becomes of test images."""
    p, names, vocab = params["autoencoder"], CLASSES[config.dataset], params["prior"]["embed"]["table"].shape[0]
    grey = lambda values: np.asarray(jax.nn.sigmoid(decoded(p, values))).reshape(-1, SIDE, SIDE)

    def samples() -> np.ndarray:
        prompt = config.codes + jnp.repeat(jnp.arange(10), 10)[:, None]
        only = lambda tokens, lengths: jnp.broadcast_to(jnp.arange(vocab) < config.codes, (len(tokens), vocab))
        drawn = generate(params["prior"], prompt, WORDS, TRANSFORMER, key=jax.random.key(config.seed), allow=only)
        return grey(p["codebook"]["table"][drawn.tokens[:, 1:]].reshape(-1, GRID, GRID, config.latent))

    x = (test["x"][:10] > 0.5).astype(np.float32)
    pairs = lambda: np.concatenate([x.reshape(-1, SIDE, SIDE), grey(quantized(p, jnp.asarray(x)).values)])
    return {
        "What the prior writes, class by class (mean greys).": lambda: pictures.sheet(samples(), 10, names),
        "Test images, and what became of them.": lambda: pictures.sheet(pairs(), 10, ["image", "decoded"]),
    }


if __name__ == "__main__":
    launch(experiment, Config)
