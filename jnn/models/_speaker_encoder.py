"""Speaker encoder: an utterance as a point of the unit sphere, near those of the same voice.

    speaker_encoder(p, x, lengths=...) -> (..., embed)

Law: what lies behind an utterance's length changes nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.layers import linear, linear_spec, lstm_cell, lstm_cell_spec, rnn, stacked_rnn
from jnn.param import Spec
from jnn.vectors import unit


def speaker_encoder_spec(
    d: int,
    hidden: int = 256,
    embed: int = 256,
    *,
    layers: int = 3,
    recurrent_bias: bool = False,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a `speaker_encoder`.

    Args:
      d: numbers a frame, such as 40 mel bands.
      hidden: the size of a state.
      embed: of what comes out.
      layers: of LSTMs.
      recurrent_bias: whether gates have two biases, as torch's have.
      dtype: of all.

    Returns:
      {"lstm": [one spec a layer], "out": ...}

    >>> spec = speaker_encoder_spec(40, recurrent_bias=True)  # Resemblyzer's
    >>> len(spec["lstm"]), spec["out"]["w"].shape
    (3, (256, 256))
    """
    sizes = (d, *[hidden] * (layers - 1))
    return {
        "lstm": [lstm_cell_spec(size, hidden, recurrent_bias=recurrent_bias, dtype=dtype) for size in sizes],
        "out": linear_spec(hidden, embed, axes=("hidden", "embed"), dtype=dtype),
    }


def speaker_encoder(p: dict[str, Any], x: jax.Array, *, lengths: jax.Array | None = None) -> jax.Array:
    """Speaker encoder, whose outputs are called d-vectors: the last state of LSTMs, through a ReLU, of length 1.

    See "Generalized End-to-End Loss for Speaker Verification", Wan, Wang, Papir and Lopez Moreno, 2018; the ReLU is
    that of Resemblyzer, whose published weights fit `speaker_encoder_spec(40, recurrent_bias=True)`.

    Args:
      p: as `speaker_encoder_spec` declares.
      x: (..., t, d), floating point: frames, such as of a mel spectrogram.
      lengths: (...), integers in 0..t: how many frames of each utterance there are. None: all.

    Returns:
      (..., embed), in x's dtype, of length 1; zeros where every unit is off.

    Raises:
      TypeError: x is not floating point, or lengths are not integers.
      ValueError: shapes do not fit.

    >>> from jnn.param import init
    >>> p = init(speaker_encoder_spec(8, 16, 4, layers=2), jax.random.key(0))
    >>> speaker_encoder(p, jnp.ones((3, 9, 8)), lengths=jnp.array([9, 1, 5])).shape
    (3, 4)
    """
    checks.params("speaker_encoder", p, "out")
    checks.floats("speaker_encoder", x, ndim=2)
    p = gather(p)
    _, carries = stacked_rnn(partial(rnn, lstm_cell), p["lstm"], x, lengths=lengths, key=None)
    return unit(jax.nn.relu(linear(p["out"], carries[-1][0]))).astype(x.dtype)
