"""Quantum circuits that classify, simulated, beside a perceptron of as many parameters; and where they cannot learn.

Data      two moons (scikit-learn), 1,280 points to train, 320 to validate, 400 to test; the 1,797 digits as 4x4 pixels.
Network   variational: the input as angles of two qubits, or the 16 pixels as amplitudes of four; 16 layers of RX, RY,
          RZ and a ring of CNOT ("Circuit-centric quantum classifiers", Schuld et al., 2020). reuploading: 8 layers of
          which every rotation has a feature, scaled, in its angle ("Data re-uploading for a universal quantum
          classifier", Perez-Salinas et al., 2020). Of both a linear map reads the expectations of Z. mlp: a hidden
          layer of tanh, of the width that has as many parameters.
Training  Adam, cosine from 0.03 to 0, batches of 64; ten initial values of each network, side by side under `vmap`.
Plateaus  "Barren plateaus in quantum neural network training landscapes", McClean et al., 2018: of random circuits of
          2 to 10 qubits the variance of a derivative, which is taken by the parameter-shift rule.
Run       python -m experiments.quantum
Measured  test accuracy, mean and deviation over ten initial values, seed 0. Moons, 102 parameters each: reuploading
          0.979+-0.003, mlp 0.975+-0.003, variational 0.915 by all ten. Digits: reuploading 0.895+-0.019 (five initial
          values) and variational 0.882+-0.009 of 242 parameters, mlp 0.919+-0.009 of 253. The state of a trained
          circuit is NumPy's to 2.3e-7, its gradient that by shifted angles to 2.2e-7. Over 2,000 circuits of depth 64
          the variance is 0.064 of 2 qubits, 0.00025 of 10: as 2^(-0.99 qubits).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import circuits, datasets, pictures
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import named, train
from jnn import layers
from jnn.data import Batches, in_order
from jnn.initializers import glorot_uniform
from jnn.losses import cross_entropy
from jnn.models import mlp, mlp_spec
from jnn.terminal import say
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Quantum circuits that classify."""

    steps: int = 1600
    workdir: str = "runs/quantum"
    batch_size: int = 64
    learning_rate: float = 0.03
    layers: int = 8  # of the circuit by re-uploading; the other one has twice as many, of half the parameters each
    restarts: int = 10
    qubits: int = 10  # the most of a random circuit
    depth: int = 64  # of these
    samples: int = 2000  # of these, for a variance
    steps_per_call: int = 20


@dataclasses.dataclass(frozen=True)
class Task:
    """What is classified: its data, and how many qubits it gets, whose first state is made of its features."""

    data: Callable[[], datasets.Data]
    features: int
    classes: int
    qubits: int
    embedding: Callable[[jax.Array], jax.Array]


TASKS = {
    "moons": Task(datasets.moons, 2, 2, 2, layers.angle_embedding),
    "digits": Task(datasets.digits_4x4, 16, 10, 4, layers.amplitude_embedding),
}
NETWORKS = ("variational", "reuploading", "mlp")


def network_spec(config: Config, task: Task, name: str) -> dict:
    """Declares a circuit and a linear map that reads it, or a perceptron of about as many parameters."""
    circuit = layers.data_reuploading_spec(task.qubits, config.layers)
    if name == "variational":
        circuit = layers.quantum_circuit_spec(task.qubits, 2 * config.layers)
    spec = {"circuit": circuit, "readout": layers.linear_spec(task.qubits, task.classes)}
    if name != "mlp":
        return spec
    width = round((jnn.count_params(spec) - task.classes) / (task.features + 1 + task.classes))
    return mlp_spec((task.features, width, task.classes), init=glorot_uniform)


def network(p: dict, x: jax.Array, task: Task, name: str) -> jax.Array:
    """Features (b, features) to logits (b, classes)."""
    if name == "mlp":
        return mlp(p, x, key=None, activation=jnp.tanh)
    if name == "reuploading":
        measured = layers.data_reuploading(p["circuit"], x)
    else:
        measured = layers.z_expectations(layers.entangling_layers(p["circuit"], task.embedding(x)))
    return layers.linear(p["readout"], measured)


def networks(p: dict, x: jax.Array, task: Task, name: str) -> jax.Array:
    """The same of a stack of networks: (b, restarts, classes)."""
    return jax.vmap(partial(network, task=task, name=name), in_axes=(0, None), out_axes=1)(p, x)


def loss(params: dict, batch: dict, ctx: Any, task: Task, name: str) -> LossOutput:
    """Cross-entropy of each example and network; networks share no parameter, so each follows its own gradient."""
    logits = networks(params, batch["x"], task, name)
    y = jnp.broadcast_to(batch["y"][:, None], logits.shape[:-1])
    right = (logits.argmax(-1) == y).mean(-1)
    metrics = {"accuracy": jnn.metrics.mean(right, batch["weight"])}
    return LossOutput(cross_entropy(logits, y), jnp.broadcast_to(batch["weight"][:, None], y.shape), metrics=metrics)


def classify(config: Config, task: Task, data: datasets.Data, name: str, run: str):
    """Trains a stack of networks of one kind: their parameters, the accuracy of each in testing, and the history."""
    state, history = train(
        config,
        jnn.stack(network_spec(config, task, name), config.restarts, "restarts"),
        partial(loss, task=task, name=name),
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(data.train, config.batch_size, seed=config.seed),
        every=100,
        validation=in_order(data.validation, config.batch_size),
        steps_per_call=config.steps_per_call,
        name=run,
    )
    right = networks(state.params, data.test["x"], task, name).argmax(-1) == data.test["y"][:, None]
    return state.params, np.asarray(right.mean(0)), named(history, run)


def experiment(config: Config) -> Outcome:
    """Trains and tests all, checks a state and a gradient, and looks for plateaus."""
    params, metrics, history, tested = {}, {}, [], {what: {} for what in TASKS}
    for what, task in TASKS.items():
        data = task.data()
        for name in NETWORKS:
            run = f"{what}_{name}"
            params[run], tested[what][name], rows = classify(config, task, data, name, run)
            history += rows
            metrics[f"accuracy_{run}"] = float(tested[what][name].mean())
            metrics[f"deviation_{run}"] = float(tested[what][name].std(ddof=min(1, config.restarts - 1)))
            metrics[f"parameters_{run}"] = jnn.count_params(network_spec(config, task, name))
    first = layers.amplitude_embedding(jnp.asarray(data.test["x"][0]))
    metrics |= circuits.differences(params["digits_variational"]["circuit"]["angles"][0], first)
    sizes, key = range(2, config.qubits + 1), jnn.path_key(jax.random.key(config.seed), "plateaus")
    variances = circuits.gradient_variances(sizes, config.depth, config.samples, key)
    if line := circuits.decay(sizes, variances[:, -1]):
        metrics["variance_powers_of_two_a_qubit"] = line[0]
    else:
        say(f"quantum: variances {variances[:, -1].tolist()} over {config.samples} circuits lie on no line.")
    figures = {
        "Two moons, by the first of the networks of each kind: how likely the second class is.": lambda: moons(params),
        "Accuracy in testing of networks that differ in their initial values.": lambda: pictures.dots(tested),
        "Barren plateaus: variance of a derivative over random circuits.": lambda: circuits.plateaus(sizes, variances),
    }
    return Outcome(params, metrics, history, figures)


def moons(params: dict):
    """Regions of the first network of each kind, with points that test."""
    task, test = TASKS["moons"], datasets.moons().test
    one = lambda name: jax.tree.map(lambda w: w[0], params[f"moons_{name}"])
    likely = {
        name: lambda x, name=name: jax.nn.softmax(network(one(name), jnp.asarray(x), task, name))[:, 1]
        for name in NETWORKS
    }
    return circuits.regions(likely, test["x"], test["y"])


if __name__ == "__main__":
    launch(experiment, Config)
