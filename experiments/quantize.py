"""Four networks in 8 and 4 bits: the nearest integers, fitted to data, trained with them; bytes, scores, time.

Data      MNIST and CIFAR-10, as in `experiments.mnist` and `cifar10`; film reviews of IMDB ("Learning Word Vectors for
          Sentiment Analysis", Maas et al., 2011); Shakespeare (char-rnn's). What calibrates is of what trains.
Networks  784-128-64-10 and conv 3-32-64, dense 512, trained here; MiniLM, 6 layers, and SmolLM2-135M-Instruct, as
          published (`weights/minilm/`, `weights/smollm2/`; the latter's file has 4 bits, which float32 stands for).
Ways      int8, a scale an output; inputs in 8 bits, too, by each token's scale ("LLM.int8()", Dettmers et al., 2022) or
          one of least squared error, calibrated; int4 in groups of 16 (of MiniLM and SmolLM2 32), and by AWQ (Lin et
          al., 2023) and GPTQ (Frantar et al., 2022); tables stay in 8 bits. Trained so (LSQ, Esser et al., 2020): the
          two classifiers in 4 bits, a scale an output, without and with `--tuning-steps` of fake quantization.
Scores    test accuracy; of 256 reviews, how often a beginning's vector is nearest to its own end's; perplexity.
Training  Adam 1e-3, batches of 64.
Run       python -m experiments.quantize
Measured  one seed, a busy core; megabytes and score. MNIST: float32 0.44, 0.9671; int8 0.11, 0.9672; int4 0.08, 0.9661;
          AWQ 0.9655; GPTQ 0.9670; int4 a scale an output 0.06, 0.9667, trained so 0.9704. CIFAR-10: 8.49, 0.6715; 2.13,
          0.6712; 1.59, 0.6655; 0.6612; 0.6645; 1.07, 0.6618, 0.6819. MiniLM: 90.3, 0.148; 23.4, 0.152; 19.4, 0.156;
          0.148; 0.156 (standard error 0.022). With times: docs/quantization.md. SmolLM2 has not been run here; the
          nearest integers of it are there, measured otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import jax
import optax
from matplotlib.figure import Figure

import jnn
from experiments import datasets, pictures, quantized
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.quantized import Subject, measured
from experiments.training import classified, named, train
from jnn.data import Batches
from jnn.models import cnn, cnn_spec, mlp, mlp_spec
from jnn.quantization import fake_quantized, quantize, step_sizes
from jnn.terminal import say
from jnn.train import LossOutput

Network = Callable[[Any, Any], jax.Array]
CLASSIFIERS: dict[str, tuple[Any, Network, Callable[[str | None], datasets.Data]]] = {
    "mnist": (mlp_spec((784, 128, 64, 10)), partial(mlp, key=None), datasets.mnist),
    "cifar10": (
        cnn_spec((32, 32, 3), (32, 64), 512, 10),
        lambda p, x: cnn(p, datasets.scale_images(x), key=None, rate=0.0),
        datasets.cifar10,
    ),
}


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Four networks in 8 and 4 bits."""

    steps: int = 1500
    workdir: str = "runs/quantize"
    networks: tuple[Literal["mnist", "cifar10", "minilm", "smollm2"], ...] = ("mnist", "cifar10", "minilm", "smollm2")
    batch_size: int = 64
    learning_rate: float = 1e-3
    tuning_steps: int = 300  # of training in 4 bits
    test_reviews: int = 256
    tokens: int = 2048  # that calibrate the language model, and that test it


def learn(config: Config, name: str, loss: Any, data: datasets.Data, spec: Any, **start: Any) -> tuple[Any, Any]:
    """Parameters, and the curve."""
    adam, batches = optax.adam(config.learning_rate), Batches(data.train, config.batch_size, seed=config.seed)
    state, history = train(config, spec, loss, adam, batches, every=max(1, config.steps // 5), name=name, **start)
    return state.params, named(history, name)


def classifier(config: Config, name: str) -> tuple[Subject, dict[str, Any], list[Any]]:
    """A network that is trained here, what training in 4 bits makes of it, and the curves."""
    spec, network, read = CLASSIFIERS[name]
    data = read(config.data_dir)
    plain = lambda params, batch, ctx: classified(network(params, batch["x"]), batch)
    params, history = learn(config, name, plain, data, spec)

    def aware(both: Any, batch: Any, ctx: Any) -> LossOutput:
        seen = fake_quantized(both["params"], spec, bits=4, scales=both["steps"])
        return classified(network(seen, batch["x"]), batch)

    begin = {"params": params, "steps": step_sizes(params, spec, bits=4)}
    tuning = dataclasses.replace(config, steps=config.tuning_steps, learning_rate=config.learning_rate / 4)
    declared = {"params": spec, "steps": jnn.spec_of(begin["steps"])}
    both, curve = learn(tuning, f"{name}_in_4_bits", aware, data, declared, start=begin)
    in_4_bits = {
        "int4 an output": quantize(params, spec, bits=4),
        "int4 an output, trained so": quantize(both["params"], spec, bits=4, scales=both["steps"]),
    }
    return quantized.trained(spec, params, network, data), in_4_bits, history + curve


def published(config: Config, name: str) -> tuple[Subject, dict[str, Any], list[Any]]:
    """A network that somebody else has trained."""
    if name == "minilm":
        return quantized.sentence_encoder(config.data_dir, config.test_reviews), {}, []
    return quantized.language_model(config, config.tokens), {}, []


def experiment(config: Config) -> Outcome:
    """Quantizes one network after another, in all ways."""
    found, history, kept = {}, [], {}
    for name in config.networks:
        subject, more, curves = (classifier if name in CLASSIFIERS else published)(config, name)
        found[name] = measured(subject, dict(quantized.quantized(subject)) | more)
        history += curves
        kept |= {name: subject.params} if name in CLASSIFIERS else {}
        for way, row in found[name].items():
            say(f"{name}, {way}: " + ", ".join(f"{value:.4g} {unit}" for unit, value in row.items()))
    figures = {f"{name}: bytes, score and time.": partial(draw, ways) for name, ways in found.items()}
    return Outcome(kept, found, history, figures)


def draw(ways: Mapping[str, Mapping[str, float]]) -> Figure:
    """A network: a panel a measure, a row a way."""
    measures = next(iter(ways.values()))
    return pictures.dots({measure: {way: [row[measure]] for way, row in ways.items()} for measure in measures})


if __name__ == "__main__":
    launch(experiment, Config)
