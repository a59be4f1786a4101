"""Scaling laws: the loss of a decoder by its parameters and its tokens, and what is best for so much compute.

Data      37 plays of Shakespeare and 233 addresses of presidents, by characters; every tenth document validates, of
          which 256,000 characters are read. tinyshakespeare is left out, for its plays are among the 37.
Network   decoder-only transformer, 2 layers, heads of 8, rotary positions, context 64, tied read-out, no biases.
Training  Adam (0.9, 0.99), 8 rows a step, warmed up over a tenth and then straight to 0: each budget of tokens is a run
          of its own, whose length is a hyperparameter; each width is a program. One rate for all widths, by muP.
Law       L(N, D) = E + A / N^alpha + B / D^beta ("Training Compute-Optimal Large Language Models", Hoffmann et al.,
          2022, third approach), N all parameters. No run that it is fitted to costs more than 6 N D = 7.5e11 FLOPs, and
          none reads a character twice. The widest network has no part in it: it is predicted, then trained.
Run       python -m experiments.scaling
Measured  29 runs: E 1.25 (0.87-1.42, 95 % of a bootstrap over runs), alpha 0.44 (0.28-0.56), beta 0.61 (0.25-0.82); the
          best N grows as compute to the power of 0.58 (0.37-0.68), and is 47,000 by 7.5e11 FLOPs, with 56 characters a
          parameter. Of 406,656 parameters, never fitted, 1.724 (1.703-1.773) is predicted after 512,000 characters and
          1.722 measured, 1.588 (1.566-1.654) and 1.553 after as many again: there it is better than the interval says.
          Counted by `jnn.inspect`, a token costs 8.5 N (the narrowest) to 6.3 N. Eight minutes of one core, one seed.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import scaling_pictures
from experiments.harness import Outcome, launch
from experiments.old_texts import old_texts
from experiments.options import Common
from experiments.plans import EachItsLength
from experiments.refusals import refuse
from experiments.scaling_law import Law, Runs, bootstrap, exponent, interval, law_of
from experiments.small_decoders import HEAD, Decoder
from experiments.training import train
from jnn.data import Batches, in_order
from jnn.launch import USAGE
from jnn.sweep import Choice, Found, GridSampler, Structure, Sweep, search
from jnn.terminal import say

CONTEXT, CLIP, HELD_OUT = 64, 1.0, 4000  # characters of a row, a norm, rows
MOST = 7.5e11  # FLOPs of a run that the law is fitted to


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """The loss of a decoder by its parameters and tokens."""

    steps: int = 8000  # of the longest run; others have a half, a fourth, an eighth and a sixteenth
    workdir: str = "runs/scaling"
    widths: tuple[int, ...] = (8, 16, 24, 32, 48, 64, 96, 128)  # multiples of 8; the last is predicted
    batch_size: int = 8
    learning_rate: float = 0.012
    repeats: int = 200  # of the bootstrap


def lengths(config: Config) -> tuple[int, ...]:
    """Steps of runs: a sixteenth to all."""
    return tuple(sorted({max(1, config.steps // 2**k) for k in range(5)}))


def all_runs(config: Config, decoders: dict[int, Decoder], training: Any, validation: Any) -> Found:
    """Every width but the last for every length that it can afford, as one search without a choice."""
    devices = jax.devices() if jax.device_count() > 1 else None

    def sweep(width: int) -> Sweep:
        own = decoders[width]
        how = {"devices": devices, "clip_norm": CLIP}
        return Sweep(own.scaled.spec, own.loss, own.adam, training, config.batch_size, **how)

    space = {"width": Structure(*decoders), "steps": Choice(*lengths(config))}
    space["learning_rate"] = Choice(config.learning_rate)
    sampler, tokens = GridSampler(space, points=1), config.batch_size * CONTEXT
    affordable = lambda point: 6 * decoders[point["width"]].params * point["steps"] * tokens <= MOST
    sampler.points = [point for point in sampler.points if affordable(point)]
    where = {"folder": Path(config.workdir) / "sweep", "seed": config.seed, "save_seconds": config.save_seconds}
    return search(sweep, space, EachItsLength(len(sampler.points), lengths(config)), sampler, validation, **where)


def measured(config: Config, found: Found, decoders: dict[int, Decoder]) -> Runs:
    """What came of every run that did not break down, by its number."""
    numbers = [i for i in found.log.steps() if found.log.alive(i)]
    values = [found.values(i) for i in numbers]
    n, d = ([decoders[v["width"]].params for v in values], [v["steps"] * config.batch_size * CONTEXT for v in values])
    return Runs(np.array(n), np.array(d), np.array([found.value(i) for i in numbers]))


def widest(config: Config, own: Decoder, training: Any, validation: Any) -> tuple[Any, Runs]:
    """The last width as ordinary runs, over whatever mesh: parameters at the end, and what came of them."""
    batches, losses, steps = Batches(training, config.batch_size, seed=config.seed), [], lengths(config)[1:3]
    for length in steps:
        adam = own.adam({"steps": float(length), "learning_rate": config.learning_rate})
        how = {"every": length, "validation": in_order(validation, 500), "name": f"widest-{length}", "clip_norm": CLIP}
        once = dataclasses.replace(config, steps=length)
        state, history = train(once, own.scaled.spec, own.loss, adam, batches, **how)
        losses.append(history[-1]["val/loss"])
    return state.params, Runs(
        np.full(len(steps), own.params), np.array(steps) * config.batch_size * CONTEXT, np.array(losses)
    )


def measured_alone(runs: Runs, held: Runs) -> dict[str, Any]:
    """How many runs there are, and what was measured of those that no law has seen."""
    return {"runs": len(runs.losses)} | {f"held_out_{d}": {"measured": loss} for _, d, loss in zip(*held, strict=True)}


def summary(runs: Runs, held: Runs, law: Law, laws: list[Law]) -> dict[str, Any]:
    """The law with its intervals, how the best size grows, and what it says of the runs that it has not seen."""
    found = measured_alone(runs, held) | law._asdict() | {"exponent": exponent(law)}
    found |= {f"{name}_interval": interval([getattr(one, name) for one in laws]) for name in Law._fields}
    found["exponent_interval"] = interval([exponent(one) for one in laws])
    found["error"] = np.abs(law.loss(runs.n, runs.d) - runs.losses).mean()
    for n, d in zip(held.n, held.d, strict=True):
        found[f"held_out_{d}"]["predicted"] = float(law.loss(n, d))
        found[f"held_out_{d}"]["interval"] = interval([one.loss(n, d) for one in laws])
    return found


def figures(runs: Runs, held: Runs, law: Law, laws: list[Law]) -> dict[str, Any]:
    """What the law says, drawn beside what was measured."""
    frontier = partial(scaling_pictures.frontier, runs, held, law, laws)
    best_sizes = partial(scaling_pictures.best_sizes, runs, law, laws)
    return {
        "Loss over compute, and the law's frontier; the widest was predicted.": frontier,
        "What is best for so much compute, with 95 % of the bootstrap.": best_sizes,
    }


def experiment(config: Config) -> Outcome:
    """Trains the widest and all others, fits the law to these, and asks it about the former."""
    if any(width % HEAD for width in config.widths) or len(config.widths) < 3:
        refuse(f"--widths: expected three or more multiples of {HEAD}, found {config.widths}.", USAGE)
    training, validation, vocab = old_texts(CONTEXT, config.data_dir)
    apart = max(1, len(validation["x"]) // HELD_OUT)  # over all documents
    validation = {name: x[::apart][:HELD_OUT] for name, x in validation.items()}
    decoders = {width: Decoder(vocab, width) for width in config.widths}
    params, held = widest(config, decoders.pop(config.widths[-1]), training, validation)
    runs = measured(config, all_runs(config, decoders, training, validation), decoders)
    rows = {name: x[: config.batch_size] for name, x in training.items()} | {"weight": np.ones(config.batch_size)}
    counted = {f"flops_{width}": decoder.flops(rows) for width, decoder in decoders.items()}
    if (law := law_of(runs)) is None:
        say(
            f"scaling: {len(runs.losses)} runs of {len(set(runs.n))} sizes and {len(set(runs.d))} lengths determine no "
            "law of five numbers, and none is given: more --widths and --steps do."
        )
        return Outcome(params, measured_alone(runs, held) | counted)
    laws = bootstrap(runs, config.repeats, seed=config.seed)
    return Outcome(params, summary(runs, held, law, laws) | counted, figures=figures(runs, held, law, laws))


if __name__ == "__main__":
    launch(experiment, Config)
