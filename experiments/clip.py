"""CLIP and SigLIP: emoji and their names in one space, by a softmax or by sigmoids.

Data      1,636 emoji with their names, 32x32, without flags; families (one person of any sex, age or skin, clocks,
          other near-duplicates) stay together. A fifth of the families tests, a tenth validates, one picture of each.
Networks  of pictures: convolutions to 16, 32 and 64 channels with 2x2 max pooling, dense 256; of texts: a bag of
          letter n-grams ("Enriching Word Vectors with Subword Information", Bojanowski et al., 2017), or sentence
          vectors of MiniLM as it was published, frozen; and in both cases a hidden layer. Vectors of 64.
Losses    "Learning Transferable Visual Models From Natural Language Supervision", Radford et al., 2021; "Sigmoid Loss
          for Language Image Pre-Training", Zhai et al., 2023, whose bias begins at minus the log of the batch.
Training  Adam, cosine from 1e-3 to 0, batches of 128; pictures turned, moved, scaled and mirrored.
Run       python -m experiments.clip [--texts letters]        (pip install 'jnn[experiments,images,text]')
Measured  one seed, 229 test pictures and their names: recall at 1 and 5 of names by pictures, then of pictures by
          names, and how often a category is told by its name. CLIP and MiniLM 0.087, 0.231, 0.100, 0.258, 0.306;
          SigLIP and MiniLM 0.044, 0.170, 0.044, 0.153, 0.301; CLIP and letters 0.066, 0.170, 0.066, 0.175, 0.253;
          SigLIP and letters 0.035, 0.100, 0.017, 0.083, 0.201. By chance 0.004 and 0.022; the largest category is
          0.197. All four: 170 s of processor time. SigLIP has learned less in 400 steps: recall at 5 in training is
          0.44 (letters), CLIP's 0.96.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import emoji, retrieval
from experiments.harness import Outcome, launch
from experiments.minilm import sentence_vectors
from experiments.options import Common
from experiments.training import named, train
from jnn import layers
from jnn.data import Batches, in_order, random_affine, random_flip
from jnn.initializers import constant
from jnn.losses import clip_loss, siglip_loss
from jnn.models import cnn, cnn_spec, mlp, mlp_spec
from jnn.train import LossOutput

MINILM = 384  # numbers of a sentence's vector


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Pictures and words in one space."""

    steps: int = 400
    workdir: str = "runs/clip"
    methods: tuple[Literal["clip", "siglip"], ...] = ("clip", "siglip")
    texts: tuple[Literal["letters", "minilm"], ...] = ("letters", "minilm")
    words: tuple[str, ...] = ("smiling face", "red fruit", "musical instrument", "flower", "boat", "bird", "clothes")
    batch_size: int = 128
    learning_rate: float = 1e-3
    channels: tuple[int, ...] = (16, 32, 64)
    dense: int = 256
    embed: int = 64
    dropout: float = 0.3


def network_spec(config: Config, method: str, texts: str) -> dict:
    """Declares both towers, the scale of cosines, and for SigLIP their bias."""
    size = (emoji.SIDE, emoji.SIDE, 3)
    grams = {"grams": layers.embedding_bag_spec(emoji.BUCKETS, config.dense)} if texts == "letters" else {}
    head = mlp_spec((config.dense if grams else MINILM, config.dense, config.embed))
    number = lambda value: jnn.Param((), constant(value), ())
    bias = {"bias": number(-math.log(config.batch_size))} if method == "siglip" else {}
    scale = number(math.log(10 if bias else 1 / 0.07))
    image = cnn_spec(size, config.channels, config.dense, config.embed)
    return {"image": image, "text": grams | {"head": head}, "log_scale": scale} | bias


def image_vectors(p: dict, x: jax.Array, *, rate: float = 0.0, key: jax.Array | None = None) -> jax.Array:
    """Pictures (n, y, x, 4) to vectors of length 1 (n, embed); in training of another view of each."""
    if key is not None:
        x = random_affine(x, degrees=15, translate=0.08, scale=(0.8, 1.2), key=jnn.path_key(key, "affine"))
        x = random_flip(x, key=jnn.path_key(key, "flip"))
    return layers.unit_norm(cnn(p["image"], emoji.on_white(x) / 255.0 - 0.5, key=key, rate=rate))


def text_vectors(p: dict, batch: dict, *, rate: float = 0.0, key: jax.Array | None = None) -> jax.Array:
    """Texts, as bags of n-grams or as sentence vectors, to vectors of length 1 (n, embed)."""
    keys = (None, None) if key is None else jax.random.split(key)
    bag = "grams" in p["text"]
    x = layers.embedding_bag(p["text"]["grams"], batch["grams"], lengths=batch["length"]) if bag else batch["sentence"]
    x = layers.dropout(x, rate, key=keys[0])
    return layers.unit_norm(mlp(p["text"]["head"], x, key=keys[1], rate=rate))


def loss(params: dict, batch: dict, ctx: Any, config: Config) -> LossOutput:
    """What a picture costs among the batch's texts, and for CLIP a text among its pictures; and recall at 5."""
    keys = [None, None] if ctx.key is None else [jnn.path_key(ctx.key, name) for name in ("image", "text")]
    images = image_vectors(params, batch["x"], rate=config.dropout, key=keys[0])
    texts = text_vectors(params, batch, rate=config.dropout, key=keys[1])
    scale, there = jnp.exp(params["log_scale"]), batch["weight"] > 0
    if "bias" in params:
        values = siglip_loss(images, texts, scale, params["bias"], mask=there)
    else:
        values = clip_loss(images, texts, scale, mask=there)
    found = jnn.metrics.recall_at_k(images @ texts.T, jnp.eye(len(images)), 5, batch["weight"])
    return LossOutput(values, batch["weight"], metrics={"texts_at_5": found})


def read(texts: str, captions: list[str], data_dir: str | None) -> dict[str, np.ndarray]:
    """Captions as the text tower reads them."""
    return emoji.letter_ngrams(captions) if texts == "letters" else {"sentence": sentence_vectors(captions, data_dir)}


def measured(images: np.ndarray, texts: np.ndarray, pairs: emoji.Pairs) -> dict[str, float]:
    """Recalls among test pictures; and their categories by the names of these, and by the captions that train.

    Args:
      images: vectors of the test's pictures.
      texts: vectors of all captions, and behind them of the categories' names.
      pairs: what they are of.
    """
    own, known, n = pairs.data.test["row"], pairs.data.train["row"], len(pairs.captions)
    means = np.stack([texts[known[pairs.category[known] == i]].mean(0) for i in range(len(pairs.categories))])
    classes = {"name": texts[n : n + len(means)], "captions": means / np.linalg.norm(means, axis=1, keepdims=True)}
    right = {f"category_by_{by}": (images @ c.T).argmax(1) == pairs.category[own] for by, c in classes.items()}
    return retrieval.recalls(images @ texts[own].T) | {name: float(np.mean(hits)) for name, hits in right.items()}


def experiment(config: Config) -> Outcome:
    """Trains two towers by each loss for each kind of texts, and looks for what they have not seen."""
    pairs = emoji.emoji_pairs(config.data_dir)
    test, n = pairs.data.test, len(pairs.captions) + len(pairs.categories)
    params: dict[str, Any] = {}
    history: list[dict[str, float]] = []
    metrics = {f"chance_{name}": value for name, value in retrieval.chance(len(test["row"])).items()}
    metrics["chance_category"] = float(np.bincount(pairs.category[test["row"]]).max() / len(test["row"]))
    figures: dict[str, Any] = {}
    shown, captions = emoji.on_white(test["x"]) / 255, [pairs.captions[row] for row in test["row"]]
    for texts in config.texts:
        known = read(texts, [*pairs.captions, *pairs.categories, *config.words], config.data_dir)
        with_texts = lambda part, known=known: part | {name: rows[part["row"]] for name, rows in known.items()}
        training, validation = map(with_texts, pairs.data[:2])
        for method in config.methods:
            name, spec = f"{method}_{texts}", network_spec(config, method, texts)
            state, rows = train(
                config,
                spec,
                partial(loss, config=config),
                optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
                Batches(training, config.batch_size, seed=config.seed, drop_last=True),
                every=50,
                validation=in_order(validation, len(validation["row"])),
                name=name,
            )
            params[name] = state.params
            history += named(rows, name)
            images = np.asarray(jax.jit(image_vectors)(state.params, test["x"]))
            vectors = np.asarray(jax.jit(text_vectors)(state.params, known))
            metrics |= {f"{name}_{what}": value for what, value in measured(images, vectors, pairs).items()}
            scores, typed = images @ vectors[test["row"]].T, vectors[n:] @ images.T
            figures |= retrieval.figures(name, shown, captions, scores, dict(zip(config.words, typed, strict=True)))
    return Outcome(params, metrics, history, figures)


if __name__ == "__main__":
    launch(experiment, Config)
