"""Law 8's exceptions, and law 10 over a table of models: resumed = uninterrupted, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.data import Batches
from jnn.layers import batch_norm, linear, linear_spec
from jnn.train import Checkpoints, Context, LossOutput, create_state, digest, fit, gradient_sums, make_step
from tests.table import BLOCKS, of_a_large_model

KEY = jax.random.key(0)
MODELS = [row for row in BLOCKS if row.spec and (row.noisy or row.name in ("experts", "batch_norm"))]


@pytest.fixture
def trained(row):
    """A run of a row of the table, whatever its outputs are: `(folder, steps)`, all of one compiled step."""
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(len(row.example(rng)))]
    columns = zip(*[row.example(rng) for _ in range(16)], strict=True)
    batches = Batches(dict(zip(names, map(np.stack, columns), strict=True)), 4, seed=0)

    def loss(params, batch, ctx):
        out = row.apply(params, *[jnp.asarray(batch[name]) for name in names], key=ctx.key)
        floats = [x for x in jax.tree.leaves(out) if jnp.issubdtype(x.dtype, jnp.floating) and x.shape[:1] == (4,)]
        return LossOutput(sum(jnp.square(x).reshape(4, -1).mean(-1) for x in floats), batch["weight"])

    optimizer = optax.adamw(1e-2)
    step, params = make_step(loss, optimizer, KEY, ema_decay=0.9, clip_norm=1.0), jnn.init(row.spec, KEY)

    def run(folder, steps):
        with Checkpoints(folder) as checkpoints:
            state = create_state(params, optimizer, ema=True)
            return fit(step, state, batches, steps=steps, every=2, checkpoints=checkpoints)

    return run


@pytest.mark.parametrize("row", [of_a_large_model(row) for row in MODELS], ids=lambda row: row.name)
def test_law_10_resumed_equals_uninterrupted(trained, tmp_path):
    whole, history = trained(tmp_path / "whole", 6)
    trained(tmp_path / "parts", 4)
    parts, again = trained(tmp_path / "parts", 6)
    assert digest(parts) == digest(whole)
    assert again == history


def sums_of(loss, params, batch, k=1):
    ctx = Context(KEY, KEY, jnp.int32(0))
    return jax.jit(lambda p, b: gradient_sums(loss, p, b, ctx, microbatches=k)[0].gradients)(params, batch)


def contrastive(params, batch, ctx):
    """Each row against all others of its part."""
    z = linear(params, batch["x"])
    return LossOutput(jnn.losses.cross_entropy(z @ z.T, jnp.arange(z.shape[0])))


def normalized(params, batch, ctx):
    y, seen = batch_norm({}, linear(params, batch["x"]))
    return LossOutput(jnp.square(y - batch["x"][:, :2]).mean(-1), stats=seen)


@pytest.mark.parametrize("loss", [contrastive, normalized])
def test_law_8_does_not_hold_where_rows_see_each_other(loss):
    """Two parts then are two small batches: their gradients add up, to something else than that of the whole."""
    params = jnn.init(linear_spec(3, 2), KEY)
    batch = {"x": jax.random.normal(KEY, (8, 3))}
    whole = sums_of(loss, params, batch)
    halves = [sums_of(loss, params, {"x": batch["x"][i::2]}) for i in range(2)]
    parts = sums_of(loss, params, batch, k=2)
    for a, b in zip(jax.tree.leaves(parts), jax.tree.leaves(jax.tree.map(jnp.add, *halves)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert float(optax.tree.norm(jax.tree.map(jnp.subtract, parts, whole))) > 1e-2
