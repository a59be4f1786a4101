"""A decoder's training step: what the loss by parts of a vocabulary saves and costs, and what depth costs to compile.

python -m experiments.benchmarks.decoders [--rounds 5] [--remat dots]

Of SmolLM2-135M's shape, AdamW, all in float32: the bytes of the compiled step, and of the gradient of the loss alone
with respect to hidden states and the table, with the whole logits and without; and, where there are rounds, seconds of
a step. Then seconds from a new function to its compiled step, of a shallow decoder and a deep one of the same width.
Ways take turns; a ratio of seconds is the median of the rounds'.

See "SmolLM2: When Smol Goes Big", Allal et al., 2025; "Cut Your Losses in Large-Vocabulary Language Models", Wijmans et
al., 2025.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

import jnn
from experiments.options import description
from jnn.inspect import format_bytes, format_table, memory
from jnn.losses import chunked_cross_entropy, cross_entropy
from jnn.models import DecoderConfig, decoder, decoder_hidden, decoder_spec
from jnn.remat import Remat
from jnn.train import LossFn, LossOutput, create_state, make_step

ADAMW = optax.adamw(3e-4)


@dataclasses.dataclass(frozen=True)
class Config:
    """A decoder's training step in memory, time and compilation."""

    vocab: int = 49152
    layers: int = 30
    heads: int = 9
    kv_heads: int = 3
    embed: int = 576
    hidden: int = 1536
    rows: int = 4
    context: int = 512
    chunk: int = 4096  # of the vocabulary
    remat: Literal["none", "dots", "names", "full"] = "full"
    shallow: int = 2
    deep: int = 48
    rounds: int = 3  # 0: nothing is run, and compiled once


def shape(config: Config, layers: int) -> DecoderConfig:
    """The decoder, tied, of so many layers."""
    sizes = {name: getattr(config, name) for name in ("vocab", "heads", "kv_heads", "embed", "hidden")}
    return DecoderConfig(**sizes, layers=layers, tied=True)


def losses(config: Config) -> dict[str, LossFn]:
    """The loss with all logits at once, and by parts of the vocabulary."""
    decoding = shape(config, config.layers)
    remat: Remat = None if config.remat == "none" else config.remat

    def whole(params, batch, ctx):
        return LossOutput(cross_entropy(decoder(params, batch["x"], decoding, key=ctx.key, remat=remat), batch["y"]))

    def chunked(params, batch, ctx):
        hidden = decoder_hidden(params, batch["x"], decoding, key=ctx.key, remat=remat)
        return LossOutput(chunked_cross_entropy(hidden, params["embed"]["table"], batch["y"], chunk=config.chunk))

    return {"whole": whole, "chunked": chunked}


def lowered_step(config: Config, spec: Any, loss: LossFn) -> jax.stages.Lowered:
    """The step, traced for arrays that are not there."""
    state = jax.eval_shape(lambda: create_state(jnn.init(spec, jax.random.key(0)), ADAMW))
    batch = {name: jax.ShapeDtypeStruct((config.rows, config.context), jnp.int32) for name in "xy"}
    return make_step(loss, ADAMW, jax.random.key(1)).lower(state, batch)


def bytes_of_loss(config: Config) -> dict[str, int]:
    """What the gradient of the loss alone holds beside hidden states, table and their gradients."""
    hidden = jax.ShapeDtypeStruct((config.rows, config.context, config.embed), jnp.float32)
    table = jax.ShapeDtypeStruct((config.vocab, config.embed), jnp.float32)
    labels = jax.ShapeDtypeStruct((config.rows, config.context), jnp.int32)
    ways: dict[str, Callable[..., jax.Array]] = {
        "whole": lambda x, table, y: cross_entropy(x @ table.T, y).sum(),
        "chunked": lambda x, table, y: chunked_cross_entropy(x, table, y, chunk=config.chunk).sum(),
    }
    compiled = {
        name: jax.jit(jax.grad(way, (0, 1))).lower(hidden, table, labels).compile() for name, way in ways.items()
    }
    return {name: memory(program).temporaries for name, program in compiled.items()}


def step_seconds(config: Config) -> dict[str, list[float]]:
    """Seconds of a step, of each loss in turns; the first of each compiles, and is not among them."""
    spec, tokens = decoder_spec(shape(config, config.layers)), np.random.default_rng(0)
    rows = tokens.integers(0, config.vocab, (config.rows, config.context + 1), np.int32)
    batch, found = {"x": rows[:, :-1], "y": rows[:, 1:]}, {name: [] for name in losses(config)}
    steps = {name: make_step(loss, ADAMW, jax.random.key(1)) for name, loss in losses(config).items()}
    state = create_state(jnn.init(spec, jax.random.key(0)), ADAMW)
    for _ in range(config.rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            state, metrics = step(state, batch)
            jax.block_until_ready((state, metrics))
            found[name].append(time.perf_counter() - start)
    return {name: seconds[1:] for name, seconds in found.items()}


def compile_seconds(config: Config, layers: int) -> float:
    """Seconds from a new loss to its compiled step."""
    deep = dataclasses.replace(config, layers=layers)
    spec, loss = decoder_spec(shape(config, layers)), losses(deep)["chunked"]
    jax.clear_caches()
    start = time.perf_counter()
    lowered_step(deep, spec, loss).compile()
    return time.perf_counter() - start


def bytes_table(config: Config) -> str:
    """What is held, with the whole logits and without."""
    spec = decoder_spec(shape(config, config.layers))
    steps = {name: memory(lowered_step(config, spec, loss).compile()) for name, loss in losses(config).items()}
    sizes = {
        "a step, arguments and temporaries": {name: m.arguments + m.temporaries for name, m in steps.items()},
        "a step, temporaries": {name: m.temporaries for name, m in steps.items()},
        "the loss alone, temporaries": bytes_of_loss(config),
    }
    rows = [[name, *map(format_bytes, x.values()), f"{x['chunked'] / x['whole']:.2f}"] for name, x in sizes.items()]
    return format_table(["bytes of", *steps, "chunked / whole"], rows)


def seconds_table(what: str, seconds: dict[str, list[float]]) -> str:
    """The least seconds of two ways that took turns, and the median of the ratios of a round."""
    one, other = seconds
    ratio = statistics.median(b / a for a, b in zip(seconds[one], seconds[other], strict=True))
    row = ["seconds", *(f"{min(found):.2f}" for found in seconds.values()), f"{ratio:.2f}"]
    return format_table([what, one, other, f"{other} / {one}"], [row])


def main(config: Config) -> None:
    """Compiles, measures and prints."""
    print(config)
    print(bytes_table(config), flush=True)
    if config.rounds:
        print(seconds_table("a step", step_seconds(config)), flush=True)
    depths = {f"{layers} layers": layers for layers in (config.shallow, config.deep)}
    compile_seconds(config, config.shallow + 1)  # what the first program of a process costs is no matter of depth
    rounds = [{name: compile_seconds(config, n) for name, n in depths.items()} for _ in range(max(1, config.rounds))]
    print(seconds_table("to compile", {name: [found[name] for found in rounds] for name in depths}))


if __name__ == "__main__":
    main(tyro.cli(Config, description=description(__doc__)))
