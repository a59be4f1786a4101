"""Contrastive search: likely tokens that say something new.

Law: with alpha 0, or one candidate, it is greedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.generation._beam import pick, row_axes
from jnn.generation._calls import Generated, finished
from jnn.generation._checks import check_end, check_text
from jnn.generation._decode import Text, start, token_log_prob, written
from jnn.param import Params
from jnn.vectors import unit


def contrastive_search(
    p: Params,
    prompt: jax.Array,
    steps: int,
    model: CachedModel,
    *,
    top_k: int = 4,
    alpha: float = 0.6,
    end: int | Sequence[int] = (),
) -> Generated:
    """Contrastive search: of the likeliest tokens the one whose row is least like those of the text before it.

    See "A Contrastive Framework for Neural Text Generation", Su et al., 2022.

    Args:
      p, prompt, steps, model, end: as in `generate`; the model gives the rows that its logits are read from.
      top_k: how many tokens are looked at.
      alpha: what likeness to the text counts: a token's score is `(1 - alpha) probability - alpha likeness`, where
        likeness is the largest cosine between its row and one before.

    Returns:
      `Generated`.

    Raises:
      TypeError, ValueError: as `generate`; top_k or alpha make no sense, or the model gives no rows.

    >>> from jnn.models import TRANSFORMER, transformer_spec
    >>> from jnn.param import init
    >>> p = init(transformer_spec(26, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> contrastive_search(p, jnp.array([1, 2]), 5, TRANSFORMER).tokens.shape
    (7,)
    """
    where = "contrastive_search"
    size, vocab = check_text(where, p, prompt, steps, model), model.vocab(p)
    checks.count(where, "top_k", top_k)
    if top_k > vocab or not 0 <= alpha <= 1:
        raise ValueError(f"{where}: expected top_k in 1..{vocab} and an alpha from 0 to 1, found {top_k} and {alpha}.")
    if model.rows is None or model.read_out is None:
        raise ValueError(
            f"{where}: expected a model that gives the rows its logits are read from (`rows`, `read_out`)."
        )
    *leading, t = prompt.shape
    how = {"model": model, "size": size, "top_k": top_k, "end": check_end(where, end, vocab)}
    found = _search(p, prompt.reshape(-1, t), np.int32(steps), np.float32(alpha), **how)
    shaped = jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]) if x.ndim else x, found)
    return finished(where, shaped, t + steps, end)


@partial(jax.jit, static_argnames=("model", "size", "top_k", "end"))
def _search(
    p: Params,
    prompt: jax.Array,
    steps: jax.Array,
    alpha: jax.Array,
    *,
    model: CachedModel,
    size: int,
    top_k: int,
    end: tuple[int, ...],
) -> Text:
    read, read_out = model.rows, model.read_out
    assert read is not None
    assert read_out is not None
    (many, t), axes = prompt.shape, row_axes(model, p, size)
    seen, cache = read(p, prompt, model.cache(p, size, leading=(many,)))
    rows = jnp.zeros((many, size, seen.shape[-1]), jnp.float32).at[:, :t].set(unit(seen))

    def one(state: tuple[Text, Any, jax.Array, jax.Array]) -> tuple[Text, Any, jax.Array, jax.Array]:
        text, cache, rows, logits = state
        logs = jax.nn.log_softmax(logits.astype(jnp.float32))
        best, tokens = jax.lax.top_k(logs, top_k)
        wide = pick(cache, axes, jnp.repeat(jnp.arange(many), top_k))
        found, wide = read(p, tokens.reshape(-1, 1), wide)
        found = found.reshape(many, top_k, -1)
        there = jax.lax.broadcasted_iota(jnp.int32, (many, top_k, size), 2) < t + text.drawn
        alike = jnp.where(there, jnp.einsum("rkd,rsd->rks", unit(found), rows), -jnp.inf).max(-1)
        which = ((1 - alpha) * jnp.exp(best) - alpha * alike).argmax(-1)[:, None]
        token, log_prob = token_log_prob(logits, jnp.take_along_axis(tokens, which, 1)[:, 0])
        chosen = jnp.take_along_axis(found, which[..., None], 1)
        rows = jax.lax.dynamic_update_slice(rows, unit(chosen), (0, t + text.drawn, 0))
        cache = pick(wide, axes, jnp.arange(many) * top_k + which[:, 0])
        return written(text, token, log_prob, end), cache, rows, read_out(p, chosen[:, 0])

    goes_on = lambda state: (state[0].drawn < steps) & ~state[0].done.all()
    begun = start(prompt, None, size), cache, rows, read_out(p, seen[:, -1])
    return jax.lax.while_loop(goes_on, one, begun)[0]
