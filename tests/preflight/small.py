"""A decoder that compiles in a second, and where its pre-flights go."""

import dataclasses
import functools
import sys

import jax
import jax.numpy as jnp
import optax
import pytest

from jnn.losses import cross_entropy
from jnn.models import transformer, transformer_spec
from jnn.preflight import TrainingJob, has_libtpu, preflight
from jnn.train import LossOutput

# sizes that no two axes share, so that a size says which axis it is of
VOCAB, TIME, LAYERS, HEADS, EMBED, HIDDEN, ROWS = 80, 12, 3, 4, 32, 56, 48

needs_libtpu = pytest.mark.skipif(
    not has_libtpu(), reason="no libtpu: pip install 'jnn[tpu]', or name its libtpu.so in TPU_LIBRARY_PATH"
)


def spec():
    return transformer_spec(VOCAB, TIME, layers=LAYERS, heads=HEADS, embed=EMBED, hidden=HIDDEN)


def loss(params, batch, ctx, remat="dots"):
    logits = transformer(params, batch["x"], key=ctx.key, remat=remat)
    return LossOutput(cross_entropy(logits, batch["y"]))


def batch(rows=ROWS, time=TIME):
    return {name: jax.ShapeDtypeStruct((rows, time), jnp.int32) for name in "xy"}


def small(loss=loss, rows=ROWS, optimizer=None, **options) -> TrainingJob:
    return TrainingJob(spec(), loss, optimizer or optax.adamw(1e-3), batch(rows), options=options)


@functools.cache
def report(mesh="data=2,fsdp=4"):
    """Of the small decoder on this process's eight devices."""
    return preflight(small(), "cpu:8", mesh, steps=3600)


def pretend(monkeypatch, fits):
    """Has a search compile nothing: what a pre-flight would say fits or not as is said of the job."""
    whole = report()

    def preflight(job, machine, mesh, **options):
        fit = dataclasses.replace(whole.fit, capacity=whole.fit.needed - (not fits(job)))
        return dataclasses.replace(whole, fit=fit)

    monkeypatch.setattr(sys.modules["jnn.preflight._search"], "preflight", preflight)
