"""A classifier of token sequences: embed, recurrent layers, one state read out, linear.

`cell` and `readout` are functions. Layers read in both directions iff their parameters have a
"backward" half. Laws: what stands past an example's length changes nothing; leading axes are free.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.layers import (
    Carry,
    Cell,
    bidirectional,
    bidirectional_spec,
    dropout,
    embed,
    embed_spec,
    linear,
    linear_spec,
    lstm_cell,
    lstm_cell_spec,
    rnn,
    stacked_rnn,
)
from jnn.param import Spec, check_key
from jnn.precision import wide

Readout = Callable[[jax.Array, Carry, jax.Array | None], jax.Array]


def recurrent_classifier_spec(
    vocab: int,
    d: int,
    hidden: int,
    classes: int,
    *,
    layers: int = 1,
    cell_spec: Callable[..., Spec] = lstm_cell_spec,
    both_ways: bool = False,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a `recurrent_classifier`.

    Args:
      vocab: how many tokens there are.
      d: the size of an embedding.
      hidden: the size of a state, in each direction.
      classes: how many logits.
      layers: how many recurrent layers.
      cell_spec: `(d_in, d_hidden, *, dtype) -> spec`: `lstm_cell_spec`, `gru_cell_spec`, `rnn_cell_spec` or a partial.
      both_ways: whether each layer reads backwards too.
      dtype: of all.

    Returns:
      {"embed": ..., "layers": [one spec a layer], "out": ...}

    >>> spec = recurrent_classifier_spec(100, 8, 16, 2, layers=2, both_ways=True)
    >>> spec["layers"][1]["forward"]["input"]["w"].shape, spec["out"]["w"].shape
    ((32, 4, 16), (32, 2))
    """
    d_out = 2 * hidden if both_ways else hidden
    cells = [cell_spec(d if i == 0 else d_out, hidden, dtype=dtype) for i in range(layers)]
    return {
        "embed": embed_spec(vocab, d, dtype=dtype),
        "layers": [bidirectional_spec(cell) for cell in cells] if both_ways else cells,
        "out": linear_spec(d_out, classes, axes=("hidden", "classes"), dtype=dtype),
    }


def last_state(y: jax.Array, carry: Carry, lengths: jax.Array | None) -> jax.Array:
    """Last state, the one that has seen everything: after the last valid step, and backwards after step 0.

    >>> h = jnp.ones((4, 2))
    >>> last_state(jnp.zeros((4, 3, 2)), (h, h), None).shape
    (4, 2)
    """
    if isinstance(carry, dict):
        return jnp.concatenate([_h(carry["forward"]), _h(carry["backward"])], axis=-1)
    return _h(carry)


def mean_state(y: jax.Array, carry: Carry, lengths: jax.Array | None) -> jax.Array:
    """Mean state of the valid steps; zero where there is none.

    >>> y = jnp.array([[1.0], [3.0], [0.0]])
    >>> mean_state(y, None, jnp.array(2)).tolist()
    [2.0]
    """
    if lengths is None:
        return jnp.mean(y, axis=-2)
    total = jnp.sum(wide(y), axis=-2)  # steps past the length are zero
    return (total / jnp.maximum(lengths, 1)[..., None]).astype(y.dtype)


def recurrent_classifier(
    p: dict[str, Any],
    tokens: jax.Array,
    *,
    key: jax.Array | None,
    lengths: jax.Array | None = None,
    cell: Cell = lstm_cell,
    readout: Readout = last_state,
    rate: float = 0.0,
) -> jax.Array:
    """Recurrent classifier: logits of a sequence of tokens.

    See "Supervised Sequence Labelling with Recurrent Neural Networks", Graves, 2012.

    Args:
      p: as declared by `recurrent_classifier_spec`.
      tokens: (..., t), integers. Past an example's length any token of the vocabulary may stand.
      key: for dropout, or None for no noise.
      lengths: (...), integers in 0..t: how many tokens of each example are valid. None: all.
      cell: the function that belongs to the spec's `cell_spec`.
      readout: `(y, carry, lengths) -> (..., h)`: `last_state` or `mean_state`.
      rate: the probability of dropping, between layers and before the logits.

    Returns:
      (..., classes), in the parameters' dtype.

    Raises:
      TypeError: tokens or lengths are not integers.
      ValueError: tokens are empty, or have no time axis; lengths do not fit them.

    >>> from jnn.param import init
    >>> p = init(recurrent_classifier_spec(100, 8, 16, 2), jax.random.key(0))
    >>> recurrent_classifier(p, jnp.ones((4, 9), int), lengths=jnp.array([9, 1, 5, 2]), key=None).shape
    (4, 2)
    """
    checks.params("recurrent_classifier", p, "embed", "out")
    check_key("recurrent_classifier", key, optional=True)
    checks.integers("recurrent_classifier", tokens, ndim=1, name="tokens")
    p = gather(p)
    between, above = (None, None) if key is None else jax.random.split(key)
    layer = functools.partial(bidirectional if "backward" in p["layers"][0] else rnn, cell)
    y, carries = stacked_rnn(layer, p["layers"], embed(p["embed"], tokens), key=between, rate=rate, lengths=lengths)
    return linear(p["out"], dropout(readout(y, carries[-1], lengths), rate, key=above))


def _h(carry: Carry) -> jax.Array:
    """The state of a cell's carry: its first leaf."""
    return jax.tree.leaves(carry)[0]
