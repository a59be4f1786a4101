"""What the device does for an engine: two programs over the pools of pages, which are written in place.

    prefill(p, pools, tokens, lengths, at, table, ...) -> pools              reads a chunk of a prompt
    decode(p, pools, rows, steps, ...) -> (tokens, log_probs, pools)         reads the last tokens, draws the next ones

All else that an engine knows lies on the host and goes with every call: who is in which row may change with each.

Law: what a row draws does not depend on the other rows, nor on how its steps are cut into calls; draw i after a prompt
is a function of the request's key and i, as in `jnn.generate`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn.cached_model import CachedModel
from jnn.generation import History, Sampling, adjusted_logits, token_log_prob
from jnn.param import Params

OPEN = float("inf")  # a probability that cuts nothing, to the last bit
NEUTRAL = Sampling(1.0, None, OPEN, 0.0, OPEN, 1.0, 0.0, 0.0)  # the numbers that do nothing


class Rows(NamedTuple):
    """What is drawn for each row of a batch.

    Attributes:
      tokens: (rows, size), prompt and text so far.
      prompt, lengths: (rows,), how many of them were given, and how many there are.
      left: (rows,), how many may come yet; 0 for a row of nobody's.
      table: (rows, n), the pages that hold all of the tokens but the last.
      keys: (rows, 2), uint32: data of PRNG keys.
      sampling: its numbers, (rows,) each.
    """

    tokens: Any
    prompt: Any
    lengths: Any
    left: Any
    table: Any
    keys: Any
    sampling: Sampling


@partial(jax.jit, static_argnames="model", donate_argnames="pools")
def prefill(
    p: Params,
    pools: dict[str, jax.Array],
    tokens: jax.Array,
    lengths: jax.Array,
    at: jax.Array,
    table: jax.Array,
    *,
    model: CachedModel,
) -> dict[str, jax.Array]:
    """The pools with the first `lengths` of each row's tokens read, which stand at `at`."""
    assert model.paged_chunk is not None  # see `Engine`
    _, cache = model.paged_chunk(p, tokens, pools | {"table": table, "next": at}, lengths=lengths)
    return {name: cache[name] for name in pools}


@partial(jax.jit, static_argnames=("model", "steps"), donate_argnames="pools")
def decode(
    p: Params, pools: dict[str, jax.Array], rows: Rows, *, model: CachedModel, steps: int
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """(rows, steps) tokens, -1 where none can be drawn, and their logarithms of probability; the pools."""
    chunk, table = model.paged_chunk, rows.table
    assert chunk is not None
    keys = jax.random.wrap_key_data(rows.keys)

    def one(state: tuple[Any, ...], i: jax.Array) -> tuple[tuple[Any, ...], tuple[jax.Array, jax.Array]]:
        tokens, lengths, pools = state
        goes_on = i < rows.left
        last = jnp.take_along_axis(tokens, lengths[:, None] - 1, -1)
        cache = pools | {"table": table, "next": lengths - 1}
        logits, cache = chunk(p, jnp.maximum(last, 0), cache, lengths=goes_on.astype(jnp.int32))
        drawing = jax.vmap(jax.random.fold_in)(keys, lengths - rows.prompt)
        token, log_prob = _draw(logits[:, 0, :], History(tokens, rows.prompt, lengths), drawing, rows)
        token = jnp.where(last[:, 0] < 0, -1, token)
        at = jax.lax.broadcasted_iota(jnp.int32, tokens.shape, 1)
        tokens = jnp.where((at == lengths[:, None]) & goes_on[:, None], token[:, None], tokens)
        return (tokens, lengths + goes_on, {name: cache[name] for name in pools}), (token, log_prob)

    begun = rows.tokens, rows.lengths, pools
    (_, _, pools), (tokens, log_probs) = jax.lax.scan(one, begun, jnp.arange(steps))
    return tokens.T, log_probs.T, pools


def _draw(logits: jax.Array, history: History, keys: jax.Array, rows: Rows) -> tuple[jax.Array, jax.Array]:
    """A token for each row, and its logarithm of probability; what no row asks for is not computed."""
    sampling = rows.sampling
    named = {name: jnp.asarray(value) for name, value in vars(sampling).items() if value is not None}
    asked = [named[name] != getattr(NEUTRAL, name) for name in named if name != "temperature"]
    busy = rows.left > 0
    plain = Sampling(sampling.temperature)
    scores = jax.lax.cond(
        (jnp.stack(asked).any(0) & busy).any(),
        lambda: adjusted_logits(logits, sampling, history),
        lambda: adjusted_logits(logits, plain, history),
    )
    token = jax.lax.cond(
        ((named["temperature"] > 0) & busy).any(),
        lambda: jax.vmap(jax.random.categorical)(keys, scores).astype(jnp.int32),
        lambda: scores.argmax(-1).astype(jnp.int32),
    )
    return token_log_prob(logits, token)
