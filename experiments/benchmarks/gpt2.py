"""GPT-2's training step (124M parameters) on the devices that are here, beside what the pre-flight says of them.

python -m experiments.benchmarks.gpt2 --machine h100:1 [--rows 16] [--mesh data=-1] [--remat names]

AdamW with float32 masters, products in bfloat16, rows of 1,024 random tokens that stay on the devices. "measured" is
the median of five stretches of steps; "predicted" is the pre-flight of the same step on the machine of that name: its
roofline as it is scheduled, and the bytes of the compiled program. The pre-flight is a bound, not a forecast.

See "Language Models are Unsupervised Multitask Learners", Radford et al., 2019; its vocabulary filled up to 128's.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from jnn.inspect import format_table
from jnn.losses import cross_entropy
from jnn.models import transformer, transformer_spec
from jnn.parallel import layout, sharded_state, sharded_step
from jnn.preflight import Report, TrainingJob, preflight, topology
from jnn.train import LossOutput


@dataclasses.dataclass(frozen=True)
class Config:
    """GPT-2's step, measured and predicted."""

    machine: str  # these devices as the pre-flight calls them: h100:1, h200:8, v5e:2x2, cpu:1
    mesh: str = "data=-1"
    rows: int = 16  # of one step, on all devices together
    context: int = 1024
    layers: int = 12
    heads: int = 12
    embed: int = 768
    vocab: int = 50304
    microbatches: int = 1
    remat: Literal["none", "dots", "names", "full"] = "dots"
    steps: int = 10  # of one stretch


def job(config: Config) -> TrainingJob:
    """The step, for the pre-flight and for the devices."""
    sizes = {"layers": config.layers, "heads": config.heads, "embed": config.embed}
    spec = transformer_spec(config.vocab, config.context, **sizes)
    remat = None if config.remat == "none" else config.remat

    def loss(params, batch, ctx):
        return LossOutput(cross_entropy(transformer(params, batch["x"], key=ctx.key, remat=remat), batch["y"]))

    batch = {name: jax.ShapeDtypeStruct((config.rows, config.context), jnp.int32) for name in "xy"}
    options = {"compute_dtype": jnp.bfloat16, "microbatches": config.microbatches}
    return TrainingJob(spec, loss, optax.adamw(3e-4), batch, options=options)


def measure(config: Config, job: TrainingJob) -> tuple[float, float]:
    """Seconds of a step, and the most bytes that a device has held; nan where it does not say."""
    key, place = jax.random.key(0), layout(job.spec, config.mesh)
    state = sharded_state(job.optimizer, key, place)
    step = sharded_step(job.loss, job.optimizer, key, place, **job.options)
    tokens = np.random.default_rng(0).integers(0, config.vocab, (config.rows, config.context + 1), np.int32)
    batch, losses, seconds = step.put({"x": tokens[:, :-1], "y": tokens[:, 1:]}), [], []
    for _ in range(6):  # the first stretch compiles
        start = time.perf_counter()
        for _ in range(config.steps):
            state, metrics = step(state, batch)
        losses.append(float(metrics["loss"].value()))
        seconds.append((time.perf_counter() - start) / config.steps)
    if not losses[-1] < losses[0]:
        raise RuntimeError(f"gpt2: the loss did not fall: {losses}.")
    held = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", math.nan)
    return statistics.median(seconds[1:]), held


def compare(seconds: float, held: float, report: Report) -> str:
    """A table of what was measured, what was predicted, and the one over the other; "-" where nothing is known."""
    line, tokens = report.roofline, report.work.tokens or 0
    least = math.nan if line is None else line.seconds
    mfu = math.nan if line is None else line.mfu(1.0)  # of a step of one second
    pairs = {
        "ms a step": (seconds * 1e3, least * 1e3),
        "tokens a second": (tokens / seconds, tokens / least),
        "MFU": (mfu / seconds, mfu / least),
        "GB on a device": (held / 1e9, (report.fit.needed or math.nan) / 1e9),
    }
    show = lambda value: "-" if math.isnan(value) else f"{value:.4g}"
    rows = [[name, show(ours), show(theirs), show(ours / theirs)] for name, (ours, theirs) in pairs.items()]
    return format_table(["", "measured", "predicted", "measured / predicted"], rows)


def main(config: Config) -> None:
    """Predicts, measures and prints."""
    try:
        devices = len(topology(config.machine).devices)
    except (ValueError, RuntimeError) as error:
        raise SystemExit(f"gpt2: --machine: {error}") from None
    if devices != len(jax.devices()):
        found = f"{len(jax.devices())} of {jax.devices()[0].device_kind}"
        raise SystemExit(f"gpt2: {config.machine} has {devices} devices, found {found}.")
    trained = job(config)
    report = preflight(trained, config.machine, config.mesh)
    print(f"{len(jax.devices())} x {jax.devices()[0].device_kind}; {report.work.parameters:,} parameters; {config}")
    print(compare(*measure(config, trained), report))


if __name__ == "__main__":
    main(tyro.cli(Config))
