"""SASRec: what comes next in a sequence of items, by causal self-attention to those before.

Laws: scores at t do not depend on items after t, so that rows shorter than the others are filled up behind; item 0 may
stand there.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import normal
from jnn.layers import (
    dropout,
    embed,
    embed_spec,
    layer_norm,
    layer_norm_spec,
    learned_positions,
    learned_positions_spec,
    scan_layers,
    unembed,
)
from jnn.models._transformer_block import transformer_block, transformer_block_spec
from jnn.param import Params, Spec, check_key, stack
from jnn.precision import add_bias
from jnn.remat import Remat


def sasrec_spec(
    items: int, context: int, d: int, *, layers: int = 2, heads: int = 1, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares SASRec, whose feed-forward networks are as wide as its stream.

    Args:
      items: how many there are.
      context: how many of them at most it looks at.
      d: the size of their vectors.
      layers, heads: how many blocks there are, and heads of each.
      dtype: of all.

    Returns:
      {"embed", "position", "blocks" (with a leading axis "layers"), "norm"}

    >>> sasrec_spec(1682, 50, 64)["blocks"]["up"]["w"].shape
    (2, 64, 64)
    """
    return {
        "embed": embed_spec(items, d, init=normal(d**-0.5), dtype=dtype),
        "position": learned_positions_spec(context, d, dtype=dtype),
        "blocks": stack(transformer_block_spec(d, heads, d, dtype=dtype), layers),
        "norm": layer_norm_spec(d, dtype=dtype),
    }


def sasrec(p: Params, items: jax.Array, *, key: jax.Array | None, rate: float = 0.0, remat: Remat = None) -> jax.Array:
    """SASRec, self-attentive sequential recommendation: after each item of a sequence, a score of every next one.

    See "Self-Attentive Sequential Recommendation", Kang and McAuley, 2018. The scores are logits for
    `jnn.losses.cross_entropy` over all items, which serves it better than the paper's loss of one sampled negative:
    "Turning Dross Into Gold Loss: is BERT4Rec really better than SASRec?", Klenitskiy and Vasilev, 2023.

    Args:
      p: as `sasrec_spec` declares.
      items: (..., t), integers in 0..items-1, the oldest first.
      key: noise for dropout, None for none.
      rate: of dropout, on what is read and on each residual branch.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., t, items), in the parameters' dtype.

    Raises:
      TypeError: items are not integers.
      ValueError: items are known to be out of range, or more than the context.

    >>> import jnn
    >>> p = jnn.init(sasrec_spec(20, 6, 8), jax.random.key(0))
    >>> sasrec(p, jnp.array([[3, 1, 4, 1, 5]]), key=None).shape
    (1, 5, 20)
    """
    checks.params("sasrec", p, "embed", "position", "blocks", "norm")
    for table in ("embed", "position"):
        checks.params("sasrec", p[table], "table", what=f"params[{table!r}]", adapted=table == "embed")
    check_key("sasrec", key, optional=True)
    checks.integers("sasrec", items, ndim=1, name="items")
    if (t := items.shape[-1]) > (context := p["position"]["table"].shape[0]):
        raise ValueError(f"sasrec: found {t} items a sequence, its params have {context} positions: give the last.")

    def block(p: Params, x: jax.Array, key: jax.Array | None, beside: None) -> jax.Array:
        return transformer_block(p, x, key=key, rate=rate, activation=jax.nn.relu)

    ends = gather({part: p[part] for part in p if part != "blocks"})
    x = embed(ends["embed"], items)
    x = x * x.shape[-1] ** 0.5
    x = add_bias(x, learned_positions(ends["position"], jnp.arange(t)))
    x = dropout(x, rate, key=None if key is None else jax.random.fold_in(key, 0))
    x = scan_layers(
        block, p["blocks"], constrain(x, "time", "embed"), "time", "embed", path="blocks", key=key, remat=remat
    )
    return unembed(ends["embed"], layer_norm(ends["norm"], x))
