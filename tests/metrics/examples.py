"""Examples for metrics: arrays of one batch, and the weights of its rows with zeros among them."""

import jax
import jax.numpy as jnp
import numpy as np

from jnn import metrics as M


def classified(rng, n=64, classes=5):
    """Logits, labels (not every class occurs), and integer weights with zeros among them."""
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    return logits, rng.integers(0, rng.integers(2, classes + 1), n), rng.integers(0, 4, n)


def probable(rng, n=64):
    logits, *others = classified(rng, n)
    return np.array(jax.nn.softmax(2 * logits)), *others


def scored(rng, n=64):
    """Scores with ties, labels 0 and 1, weights."""
    return (rng.integers(0, 11, n) / 10).astype(np.float32), rng.integers(0, 2, n), rng.integers(0, 4, n)


def labelled(rng, n=64, outputs=3):
    """Scores and labels of several questions."""
    scores = (rng.integers(0, 11, (n, outputs)) / 10).astype(np.float32)
    return scores, ((scores + rng.uniform(size=scores.shape)) > 1).astype(int), rng.integers(0, 4, n)


def grouped(rng, n=64):
    scores, labels, weight = scored(rng, n)
    return scores, labels, rng.integers(0, 3, n), weight


def regressed(rng, n=64, outputs=3):
    targets = rng.normal(3, 2, (n, outputs)).astype(np.float32)
    return targets + rng.normal(size=targets.shape).astype(np.float32), targets, rng.integers(0, 4, n)


def positive(rng, n=64):
    return *(rng.uniform(0.5, 2, (n, 3)).astype(np.float32) for _ in range(2)), rng.integers(0, 4, n)


def scaled(rng, n=64):
    predictions, targets, weight = positive(rng, n)
    return predictions, targets, rng.uniform(0.5, 2, n).astype(np.float32), weight


def quantiles(rng, n=64):
    predictions, targets, weight = regressed(rng, n)
    return predictions, targets[:, 0], weight


def intervals(rng, n=64):
    low, targets, weight = regressed(rng, n)
    return low, low + 1, targets, weight


def ranked(rng, n=64, items=6):
    """Scores without ties, graded relevance (of some queries none), weights."""
    scores = rng.permuted(np.tile(np.arange(items, dtype=np.float32), (n, 1)), axis=1)
    relevance = rng.integers(0, 3, (n, items)) * rng.integers(0, 2, (n, items)) * (rng.uniform(size=(n, 1)) < 0.8)
    return scores, relevance.astype(np.float32), rng.integers(0, 4, n)


def clustered(rng, n=64):
    labels = rng.integers(0, 5, n)
    return np.where(rng.uniform(size=n) < 0.6, labels % 4, rng.integers(0, 4, n)), labels, rng.integers(0, 4, n)


def rated(rng, n=64, categories=4):
    """How many of two to six raters chose each category."""
    return rng.multinomial(rng.integers(2, 7, n), rng.dirichlet(np.ones(categories), n)), rng.integers(0, 4, n)


def segmented(rng, n=64, size=4):
    """Pairs (class, instance) of pixels, some without a class; predictions are the targets, half of them changed."""
    draw = lambda: np.stack([rng.integers(-1, 2, (n, size, size)), rng.integers(0, 2, (n, size, size))], -1)
    targets, other = draw(), draw()
    changed = rng.uniform(size=(n, size, size, 1)) < rng.uniform(0, 1, (n, 1, 1, 1))
    return np.where(changed, other, targets), targets, rng.integers(0, 4, n)


def numbered(rng, n=64, size=6):
    """Numbers of instances, 0 for none; found ones are the true ones under other numbers, some pixels changed."""
    targets, other = rng.integers(0, 4, (2, n, size, 1)).repeat(size, -1)
    changed = rng.uniform(size=(n, size, size)) < rng.uniform(0, 0.6, (n, 1, 1))
    return np.where(changed, other, targets * 3 % 5), targets, rng.integers(0, 4, n)


def featured(rng, n=64, size=3):
    return rng.normal(3, 1, (n, size)).astype(np.float32), rng.integers(0, 4, n)


def imaged(rng, n=64, size=3, bands=3):
    """Images of several bands, and what became of them."""
    y = rng.uniform(0.5, 2, (n, size, size, bands)).astype(np.float32)
    return y + 0.3 * rng.normal(size=y.shape).astype(np.float32), y, rng.integers(0, 4, n)


def signals(rng, n=64, time=16):
    y = rng.normal(size=(n, time)).astype(np.float32)
    return y + 0.3 * rng.normal(size=y.shape).astype(np.float32), y, rng.integers(0, 4, n)


def texts(rng, n=16):
    """Sentences of few words, and what came of them; weights."""
    words = np.array(["the", "a", "cat", "Dog", "sat", "on", "mat.", "3.5", "it's", "well-known"])
    hypotheses, references = np.empty(n, object), np.empty(n, object)
    for i in range(n):
        sentence = words[rng.integers(0, len(words), rng.integers(1, 12))]
        changed = np.where(rng.uniform(size=len(sentence)) < 0.3, rng.choice(words, len(sentence)), sentence)
        references[i], hypotheses[i] = " ".join(sentence), " ".join(changed[: rng.integers(1, 13)])
    return hypotheses, references, rng.integers(0, 4, n)


def host(metric, *arrays):
    """Eager, then merged: the number that a report prints."""
    return M.merge(metric(*map(jnp.asarray, arrays))).value()


def repeated(arrays):
    """Rows as often as their weights say: what a metric without weights may be compared on."""
    *arrays, weight = arrays
    return tuple(np.repeat(x, weight, axis=0) for x in arrays)
