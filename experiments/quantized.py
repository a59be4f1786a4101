"""Networks that are quantized, each with what it is calibrated on and how it is scored; ways to quantize them.

trained(spec, params, network, data), sentence_encoder(data_dir, n), language_model(config, tokens) -> Subject
quantized(subject) -> {way: params}         one after another, when it is asked for
measured(subject, ways) -> {way: {"megabytes", "score", "milliseconds"}}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import datasets, minilm
from experiments.align import pretrained
from experiments.clocks import milliseconds
from experiments.footprints import accuracy
from experiments.options import Common
from experiments.retrieval import recalls
from jnn import losses, models
from jnn.compression import storage
from jnn.data import imdb, tinyshakespeare
from jnn.param import flatten, linear_maps
from jnn.quantization import awq, gptq, mse_scale, observe, quantize, quantize_activations

ROUNDS = 7  # of timing
WAYS = ("float32", "int8", "int8 inputs", "int8 inputs, static", "int4", "int4 AWQ", "int4 GPTQ")


class Subject(NamedTuple):
    """A network: run(p, x) -> outputs, compiled; what it is calibrated on, batch by batch; its score on a test set."""

    spec: Any
    params: Any
    run: Callable[[Any, Any], jax.Array]
    calibration: list[Any]
    score: Callable[[Any], float]
    unit: str
    example: Any  # what is timed
    group: int  # of weights that share a scale in 4 bits


def trained(spec: Any, params: Any, network: Callable[[Any, Any], jax.Array], data: datasets.Data) -> Subject:
    """A classifier: calibrated on 512 images that train, scored by its accuracy on all that test."""
    run, images = jax.jit(network), data.train["x"][:512]
    score = lambda p: accuracy(run, p, data.test)
    return Subject(spec, params, run, [images], score, "accuracy", data.test["x"][:64], 16)


def sentence_encoder(data_dir: str | None, n: int) -> Subject:
    """MiniLM: of n film reviews, how often the beginning's vector is nearest to that of its own end."""
    sizes, spec, params = minilm.pretrained(data_dir)

    @jax.jit
    def run(p: Any, batch: Any) -> jax.Array:
        hidden = models.encoder(p, batch["x"], sizes, key=None, lengths=batch["length"], remat=None)
        return models.mean_pool(hidden, lengths=batch["length"], unit=True)

    def halves(part: str, n: int) -> list[dict[str, np.ndarray]]:
        texts = [imdb(data_dir, part)[0][i] for i in np.random.default_rng(0).permutation(20_000)[:n]]
        cut = [minilm.word_pieces(texts, 32, data_dir, cut=side) for side in ("right", "left")]
        return [{"x": x, "length": lengths} for x, lengths in cut]

    test, calibration = halves("test", n), halves("train", 128)

    def recall(p: Any) -> float:
        first, last = (np.asarray(run(p, half)) for half in test)
        return recalls(first @ last.T)["texts_at_1"]

    one = {name: array[:8] for name, array in test[0].items()}
    return Subject(spec, params, run, calibration, recall, "recall at 1", one, 32)


def language_model(config: Common, tokens: int, context: int = 256) -> Subject:
    """SmolLM2: calibrated on so many tokens of Shakespeare, scored by its perplexity on as many of the last tenth."""
    sizes, params, tokenizer = pretrained(config)
    text, few = tinyshakespeare(config.data_dir), max(1, tokens // context)
    cut = int(0.9 * len(text))
    windows = lambda text: tokenizer.encode(text[: 8 * tokens])[: few * context].reshape(-1, 1, context)
    run = jax.jit(lambda p, x: models.decoder(p, x, sizes, key=None))
    nats = jax.jit(lambda p, x: losses.cross_entropy(models.decoder(p, x, sizes, key=None)[:, :-1], x[:, 1:]).mean())
    train, test = windows(text[:cut]), windows(text[cut:])
    perplexity = lambda p: float(np.exp(np.mean([nats(p, x) for x in test])))
    return Subject(models.decoder_spec(sizes), params, run, [*train], perplexity, "perplexity", test[0], 32)


def statistics(subject: Subject, of: tuple[str, ...]) -> Any:
    """What the linear maps meet in all of the calibration."""
    watch = jax.jit(lambda x: observe(subject.run, subject.params, subject.spec, x, of=of))
    return reduce(partial(jax.tree.map, jnp.add), map(watch, subject.calibration))


def the_rest(subject: Subject, p: Any, bits: int) -> Any:
    """p with its convolutions in so many bits, and its tables in 8."""
    found = flatten(subject.spec).items()
    kernels = [path for path, param in found if param.receptive and path.endswith("w")]
    tables = [path for path, param in found if path.endswith("table") and param.axes[0] == "vocab"]
    group = None if bits == 8 else subject.group
    p = quantize(p, subject.spec, bits=bits, group=group, where=kernels) if kernels else p
    return quantize(p, subject.spec, where=tables) if tables else p


def quantized(subject: Subject) -> Iterator[tuple[str, Any]]:
    """The network in all `WAYS`, one after another."""
    p, spec, rest = subject.params, subject.spec, partial(the_rest, subject)
    maps, four = [*linear_maps("quantized", spec)], {"bits": 4, "group": subject.group}
    yield "float32", p
    yield "int8", rest(quantize(p, spec, where=maps), 8)
    yield "int8 inputs", rest(quantize_activations(p, spec), 8)
    met = statistics(subject, ("histogram",))
    scales = {path: mse_scale(sums["histogram"]) for path, sums in met.items()}
    yield "int8 inputs, static", rest(quantize_activations(p, spec, scales), 8)
    yield "int4", rest(quantize(p, spec, where=maps, **four), 4)
    sums = statistics(subject, ("gram", "magnitude"))
    yield "int4 AWQ", rest(awq(p, spec, sums, **four), 4)
    yield "int4 GPTQ", rest(gptq(p, spec, sums, **four), 4)


def measured(subject: Subject, ways: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Size, score and processor time of each."""
    scores = {way: subject.score(p) for way, p in ways.items()}
    calls = {way: lambda p=p: jax.block_until_ready(subject.run(p, subject.example)) for way, p in ways.items()}
    taken = milliseconds(calls, ROUNDS, clock=time.process_time)
    return {
        way: {"megabytes": storage(p).total / 1e6, subject.unit: scores[way], "milliseconds": taken[way]}
        for way, p in ways.items()
    }
