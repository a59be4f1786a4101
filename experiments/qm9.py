"""Properties of molecules by message passing: the gap between orbitals and the energy, from where the atoms are.

Data      QM9 ("Quantum chemistry structures and properties of 134 kilo molecules", Ramakrishnan et al., 2014): 5,000
          molecules drawn from all train, 1,000 others validate and 1,000 others test; atoms and their places as
          density functional theory has them. HOMO-LUMO gap, and internal energy at 0 K (U0), both in eV.
Network   as SchNet ("SchNet: A continuous-filter convolutional neural network for modeling quantum interactions",
          Schütt et al., 2017): three rounds in which each atom of 64 features hears its twelve nearest within 5
          angstrom, each through a filter of its distance (32 Gaussians). Atoms add up to the energy; the gap is
          their mean. One network tells both, and what least squares of the counts of atoms leave of them.
Training  absolute errors in deviations; Adam, 100 steps of warm-up to 2e-3, cosine to 0, batches of 32.
Run       python -m experiments.qm9
Measured
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import pictures
from experiments.chunks import in_chunks
from experiments.geometry import CUTOFF, ELEMENTS, PROPERTIES, Parts, least_squares, molecules, pairs
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import train
from jnn import graphs, layers
from jnn.data import Batches, in_order
from jnn.graphs import Edges, Graph
from jnn.models import mlp, mlp_spec
from jnn.train import LossOutput

GAUSSIANS = 32


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Properties of molecules, by where their atoms are."""

    steps: int = 3000
    workdir: str = "runs/qm9"
    examples: int = 5000  # that train; a fifth as many validate, and test
    width: int = 64
    layers: int = 3
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup: int = 100


def network_spec(config: Config) -> dict:
    d = config.width
    one = {
        "filter": mlp_spec((GAUSSIANS, d, d)),
        "in": layers.linear_spec(d, d, axes=("embed", "hidden"), bias=False),
        "out": mlp_spec((d, d, d)),
    }
    return {
        "atoms": layers.embed_spec(int(ELEMENTS.max()) + 1, d),
        "layers": [one] * config.layers,
        "out": mlp_spec((d, d // 2, len(PROPERTIES))),
    }


def shifted_softplus(x: jax.Array) -> jax.Array:
    """Softplus that is 0 at 0; smooth, as energies are."""
    return jax.nn.softplus(x) - jnp.log(2.0)


def network(p: dict, batch: dict) -> jax.Array:
    """Gap and energy (b, 2) of molecules, scaled."""
    h = layers.embed(p["atoms"], batch["x"])
    graph, distances = as_graph(batch, h)
    centres, apart = jnp.linspace(0, CUTOFF, GAUSSIANS, retstep=True)
    near = jnp.exp(-0.5 * ((distances[..., None] - centres[None, None]) / apart) ** 2)
    fades = 0.5 * (jnp.cos(jnp.pi * distances / CUTOFF) + 1)[..., None]
    dense = partial(mlp, key=None, activation=shifted_softplus)
    for one in p["layers"]:
        filters = fades * dense(one["filter"], near)
        h = h + dense(one["out"], told(graph._replace(nodes=layers.linear(one["in"], h), edge_features=filters)))
    each = dense(p["out"], h)
    means, sums = (graphs.pool_nodes(each, graph, aggregate=how)[:, 0] for how in (graphs.segment_mean, sum_of_atoms))
    return jnp.stack([means[:, 0], sums[:, 1]], -1)


def sum_of_atoms(x: jax.Array, ids: jax.Array, n: int, *, mask: jax.Array | None = None) -> jax.Array:
    """Sums, over about as many atoms as a molecule has, so that both properties begin at one scale."""
    return graphs.segment_sum(x, ids, n, mask=mask) / 18


def told(graph: Graph) -> jax.Array:
    """What each atom hears: a continuous-filter convolution, a case of a graph network."""
    filtered = lambda edge, sender, *_: edge * sender
    heard = lambda node, sent, received, _: received
    return graphs.graph_network(graph, update_edge=filtered, update_node=heard).nodes


def as_graph(batch: dict, h: jax.Array) -> tuple[Graph, jax.Array]:
    """Molecules along a leading axis, with edges to each atom from its neighbours, and their lengths."""
    rows, count, each = batch["senders"].shape
    flat = lambda x: x.reshape(rows, count * each)
    receivers = jnp.broadcast_to(jnp.repeat(jnp.arange(count), each), (rows, count * each))
    there, distances = batch["x"] > 0, flat(batch["distances"])
    edges = Edges(flat(batch["senders"]), receivers, distances < CUTOFF)
    owners = jnp.zeros_like(batch["x"])
    return Graph(h, edges, None, owners, there, jnp.ones((rows, 1), bool)), distances


def loss(params: Any, batch: dict, ctx: Any, scale: np.ndarray) -> LossOutput:
    """Absolute errors in deviations, and of each property in eV."""
    errors = jnp.abs(network(params, batch) - batch["y"])
    metrics = {
        f"{name}_mae": jnn.metrics.mean(errors[:, i] * scale[i], batch["weight"]) for i, name in enumerate(PROPERTIES)
    }
    return LossOutput(errors.sum(-1), batch["weight"], metrics=metrics)


def experiment(config: Config) -> Outcome:
    """Trains, validates, and tests beside means and least squares."""
    few = max(1, config.examples // 5)
    found = molecules(config.data_dir, {"train": config.examples, "validation": few, "test": few})
    schedule = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.warmup, config.steps)
    state, history = train(
        config,
        network_spec(config),
        partial(loss, scale=found.scale),
        optax.adam(schedule),
        Batches(found.parts["train"], config.batch_size, seed=config.seed),
        every=250,
        validation=in_order(found.parts["validation"], 250),
        clip_norm=1.0,
    )
    predict = jax.jit(network)
    told = in_chunks(lambda batch: predict(state.params, batch), found.parts["test"], 250)
    predictions = {"": found.in_ev("test", told), **baselines(found)}
    errors = {name: abs(values - found.targets["test"]).mean(0) for name, values in predictions.items()}
    return Outcome(
        params=state.params,
        metrics={
            f"{how}{name}_mae": e for how, each in errors.items() for name, e in zip(PROPERTIES, each, strict=True)
        },
        history=history,
        figures={
            "Gap of the molecules that test.": lambda: pictures.against(
                found.targets["test"][:, 0], predictions[""][:, 0], "eV"
            ),
            "Energy of them, less what the counts of atoms say.": lambda: pictures.against(
                *(values[:, 1] - found.rest["test"][:, 1] for values in (found.targets["test"], predictions[""])), "eV"
            ),
        },
    )


def baselines(found: Parts) -> dict[str, np.ndarray]:
    """Predictions (n, 2) of those that test: the training's mean, least squares of atoms, and of pairs, too."""
    trained, test = found.parts["train"], found.parts["test"]
    return {
        "mean_": np.broadcast_to(found.targets["train"].mean(0), found.targets["test"].shape),
        "atoms_": found.rest["test"],
        "pairs_": found.in_ev("test", least_squares(pairs(trained), trained["y"], pairs(test), ridge=1e-3)),
    }


if __name__ == "__main__":
    launch(experiment, Config)
