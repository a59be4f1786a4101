"""Networks of any width, what they are trained on, and how they are parametrized: for `experiments.mup`.

make_task(name, config) -> Task                     "gpt" or "cnn"
parametrized(task, kind, width, base) -> MaximalUpdate
coordinates(task, kind, widths, rate, seed) -> rows of a coordinate check
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import jnn
from experiments import datasets
from experiments.corpus import divide, make_tokenizer, tokenize
from experiments.small_images import halve
from jnn.data import Batches, in_order, tinyshakespeare
from jnn.maximal_update import Coordinates, MaximalUpdate, coordinate_check, multiplied, scale_by_rates
from jnn.models import cnn, cnn_spec, transformer, transformer_spec

KINDS = ("standard", "mup")
HEAD = 16  # the size of a head: the wider a transformer, the more it has


class Task(NamedTuple):
    """A network of any width, and what it is trained on."""

    spec: Callable[[int], Any]
    apply: Callable[..., jax.Array]  # of parameters and x
    readout: tuple[str, ...]  # as `jnn.mup` takes it
    batches: Any
    validation: Sequence[dict[str, np.ndarray]]


def make_task(name: str, config: Any) -> Task:
    """A GPT, or a CNN."""
    if name == "gpt":
        text = tinyshakespeare(config.data_dir)
        divided = divide(text, None)
        tokenizer = make_tokenizer(None, text, divided[0], None)
        corpus = tokenize(tokenizer, divided, packed=False)
        spec = lambda width: transformer_spec(
            len(tokenizer), config.context, layers=2, heads=width // HEAD, embed=width, bias=False
        )
        batches = corpus.batches(config.context, config.batch_size, config.seed)
        apply = lambda p, x: transformer(p, x, key=None, remat=None)
        return Task(spec, apply, ("norm/*",), batches, corpus.validation(config.context, 64)[:8])
    images = lambda part: part | {"x": halve(part["x"].reshape(-1, 28, 28, 1))}
    training, validation = map(images, datasets.mnist(config.data_dir, "fashion_mnist")[:2])
    spec = lambda width: cnn_spec((14, 14, 1), (width // 4, width // 2), width, 10)
    batches = Batches(training, config.batch_size, seed=config.seed)
    apply = lambda p, x: cnn(p, x, key=None)
    return Task(spec, apply, (), batches, in_order({k: v[:2000] for k, v in validation.items()}, 500))


def parametrized(task: Task, kind: str, width: int, base: int) -> MaximalUpdate:
    """A network by one of width `base`; by itself, which changes nothing, in the standard parametrization."""
    return jnn.mup(task.spec(width), task.spec(width if kind == "standard" else base), readout=task.readout)


def coordinates(task: Task, kind: str, widths: Sequence[int], rate: float, seed: int) -> list[Coordinates]:
    """The sizes of logits over four steps, by width."""

    def build(width: int, key: jax.Array):
        scaled = parametrized(task, kind, width, widths[0])
        update = optax.chain(optax.scale_by_adam(b2=0.99), scale_by_rates(scaled.rates), optax.scale(-rate))
        apply = lambda params, x: task.apply(multiplied(params, scaled.multipliers), x)
        batch = task.batches[0]

        @jax.jit
        def step(state):
            params, inner = state
            loss = lambda params: jnn.losses.cross_entropy(apply(params, batch["x"]), batch["y"]).mean()
            updates, inner = update.update(jax.grad(loss)(params), inner, params)
            return optax.apply_updates(params, updates), inner

        params = jnn.init(scaled.spec, key)
        return (params, update.init(params)), step, lambda state: {"logits": apply(state[0], batch["x"])}

    return coordinate_check(build, widths, keys=[jax.random.key(seed)])
