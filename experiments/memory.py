"""Catastrophic forgetting and its cures: five tasks after one another, by consolidation, distillation and replay.

Data      MNIST; a fifth of the 60,000 validates. As in "Three scenarios for continual learning" (van de Ven and Tolias,
          2019): "domain" is permuted MNIST, all ten digits with other places of the pixels in each task (five here, ten
          there); "task" and "class" are split MNIST, two digits a task. In "task" it is told which two are asked for,
          in "class" they are among all that have come.
Network   784-200-200-10 (there 400 units for split, 1,000 for permuted), of which classes that are not asked for are
          left out.
Methods   none: on from what the last task has left. EWC: "Overcoming catastrophic forgetting in neural networks",
          Kirkpatrick et al., 2017, a penalty for each earlier task; online EWC: one around the last one, with the sum
          of their information ("Progress & Compress", Schwarz et al., 2018). LwF: "Learning without Forgetting", Li
          and Hoiem, 2016: the network before says what the new task's images were to it. Replay: 500 examples by
          reservoir sampling, as "On Tiny Episodic Memories in Continual Learning", Chaudhry et al., 2019. Joint: on
          all that has come, which no cure may.
Training  Adam 1e-3, anew for each task; batches of 128, 300 steps a task. EWC's strength validates best among powers of
          ten, by EWC, from 10 to 10,000 for "domain", of 1,000 and 10,000 for "task"; "class" has that of "task".
Run       python -m experiments.memory [--scenarios class] [--methods ewc --strength 1e4] [--part validation]
Measured  average accuracy on the tests, one seed, of "domain" the mean of two (none 0.780 and 0.735, LwF 0.301 and
          0.430, the others within 0.004 of each other):
                      none    EWC     online EWC  LwF     replay  joint
            domain    0.757   0.912   0.913       0.365   0.908   0.943
            task      0.910   0.991   0.991       0.995   0.993   0.995
            class     0.199   0.232   0.226       0.198   0.892   0.968
          One busy CPU core, 15 minutes, a scenario and a method a run.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import continual
from experiments.continual import CLASSES, PIXELS, opened, reservoir
from experiments.datasets import Data, together
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import classified, evaluate, named, train
from jnn.data import in_order
from jnn.losses import cross_entropy, diagonal_fisher, distillation_loss, ewc_penalty
from jnn.models import mlp, mlp_spec
from jnn.train import LossOutput

Scenario = Literal["domain", "task", "class"]
Method = Literal["none", "ewc", "online_ewc", "lwf", "replay", "joint"]
STRENGTHS = {"domain": 1e2, "task": 1e4, "class": 1e4}  # of EWC's penalty
MEASURES = {
    "accuracy": continual.average_accuracy,
    "backward_transfer": continual.backward_transfer,
    "forgetting": continual.forgetting,
}


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Five tasks after one another."""

    steps: int = 300  # of each task
    workdir: str = "runs/memory"
    scenarios: tuple[Scenario, ...] = get_args(Scenario)
    methods: tuple[Method, ...] = get_args(Method)
    part: Literal["test", "validation"] = "test"  # what accuracies are of
    batch_size: int = 128
    learning_rate: float = 1e-3
    width: int = 200
    strength: float | None = None  # of EWC's penalty; None for the scenario's own
    samples: int = 500  # of a task, for its Fisher information
    examples: int = 500  # that replay keeps, of all tasks together
    temperature: float = 2.0  # of the network before


def logits(params: dict, x: jax.Array) -> jax.Array:
    """Images (n, 784) uint8 to scores (n, 10)."""
    return mlp(params, x.astype(jnp.float32) / 255, key=None)


def among(open_: jax.Array, scores: jax.Array) -> jax.Array:
    """Scores of the classes that are asked for; of others none."""
    return jnp.where(open_, scores, -jnp.inf)


def answers(params: dict, batch: dict, ctx: Any) -> LossOutput:
    """What is measured, of every method."""
    return classified(among(batch["open"], logits(params, batch["x"])), batch)


def loss(params: dict, batch: dict, ctx: Any, config: Config, strength: float) -> LossOutput:
    """Cross-entropy; and what is given of the tasks before, by EWC or the network before."""
    scores, given = logits(params, batch["x"]), ctx.given or {}
    values = cross_entropy(among(batch["open"], scores), batch["y"])
    penalty = sum((ewc_penalty(params, *one) for one in given.get("past", ())), start=jnp.zeros(()))
    if "before" in given:
        before = logits(given["before"], batch["x"])
        soften = lambda head: distillation_loss(
            among(head[None], scores), among(head[None], before), temperature=config.temperature
        )
        kept = jax.vmap(soften)(given["heads"]).mean(0)
        values = given["share"] * values + (1 - given["share"]) * kept
    return LossOutput(values, batch["weight"], penalty=strength * penalty)


@jax.jit
def fisher(params: dict, x: jax.Array, open_: jax.Array, key: jax.Array) -> dict:
    """The diagonal Fisher information of images (n, 784) whose classes are these (10,)."""
    return diagonal_fisher(lambda p, x: among(open_[None], logits(p, x)), params, x, key=key)


def handed_on(config: Config, scenario: str, method: str, params: dict, task: Data, i: int, given: dict) -> dict:
    """What the loss of task i + 1 is given, once the task i has been learned."""
    asked = opened(scenario, {"task": np.arange(i + 1)}, i)["open"]  # of each task so far
    if method == "lwf":
        heads = np.unique(asked, axis=0)
        return {"before": params, "heads": heads, "share": np.float32(1 / (i + 2))}
    if method in ("ewc", "online_ewc"):
        key = jnn.path_key(jax.random.key(config.seed), f"fisher/{i}")
        needed, past = fisher(params, task.train["x"][: config.samples], asked[i], key), given.get("past", ())
        if method == "online_ewc" and past:
            needed, past = jax.tree.map(jnp.add, needed, past[0][1]), ()
        return {"past": (*past, (params, needed))}
    return {}


def accuracies(config: Config, scenario: str, state: Any, tasks: list[Data]) -> list[float]:
    """Accuracy on each of the tasks so far."""
    parts = [opened(scenario, task._asdict()[config.part], len(tasks) - 1) for task in tasks]
    return [float(evaluate(answers, state, in_order(part, 2000))["accuracy"].value()) for part in parts]


def learn(config: Config, scenario: str, method: str, tasks: list[Data]) -> tuple[dict, np.ndarray, list]:
    """Learns the tasks one after the other; the accuracy after each on each so far, and the history."""
    spec = mlp_spec((PIXELS, config.width, config.width, CLASSES))
    strength = STRENGTHS[scenario] if config.strength is None else config.strength
    params = jnn.init(spec, jnn.path_key(jax.random.key(config.seed), "init"))
    matrix, history, given, kept = np.full((len(tasks), len(tasks)), np.nan), [], {}, None
    for i, task in enumerate(tasks):
        new = opened(scenario, together([one.train for one in tasks[0 if method == "joint" else i : i + 1]]), i)
        old = None if kept is None else opened(scenario, kept, i)
        batches = continual.batches(new, old, i, config.batch_size, config.seed)
        state, rows = train(
            config,
            spec,
            partial(loss, config=config, strength=strength),
            optax.adam(config.learning_rate),
            batches,
            every=max(1, config.steps // 3),
            start=params,
            given=given or None,
            name=f"{scenario}_{method}_{i}" if i else f"{scenario}_first",  # alike for all methods: trained once
        )
        params = state.params
        history += [row | {"step": row["step"] + i * config.steps} for row in rows]
        matrix[i, : i + 1] = accuracies(config, scenario, state, tasks[: i + 1])
        given = handed_on(config, scenario, method, params, task, i, given)
        if method == "replay":
            seen = sum(len(earlier.train["y"]) for earlier in tasks[:i])
            kept = reservoir(kept, task.train, seen, config.examples, seed=config.seed)
    return params, matrix, history


def experiment(config: Config) -> Outcome:
    """Learns by each method in each scenario, and measures what is left of each task after each."""
    params, metrics, history, found = {}, {}, [], {}
    for scenario in config.scenarios:
        tasks = continual.tasks(scenario, config.data_dir)
        for method in config.methods:
            name = f"{scenario}_{method}"
            params[name], matrix, rows = learn(config, scenario, method, tasks)
            history += named(rows, name)
            found.setdefault(scenario, {})[method] = matrix
            metrics |= {f"{name}_{what}": measure(matrix) for what, measure in MEASURES.items()}
    figures = {
        f"Accuracy in {config.part}: after each task, on each so far.": partial(continual.matrices, found),
        "Average accuracy.": partial(continual.beside, found),
    }
    return Outcome(params, metrics, history, figures)


if __name__ == "__main__":
    launch(experiment, Config)
