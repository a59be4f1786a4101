"""Networks that forecast all steps of a horizon at once, as a table: what declares each, and what computes it.

    DIRECT["tcn"].spec(kind, known, width, outputs)
    DIRECT["tcn"].apply(p, past, known, kind, key=key, rate=rate) -> (b, horizon, outputs)

N-BEATS, N-HiTS and PatchTST read a series alone; the TCN and the LSTM also where in each cycle a step is, and give what
they know at the last step to a linear map.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.series import Kind
from jnn.layers import linear, linear_spec, lstm_cell, lstm_cell_spec, rnn, stacked_rnn
from jnn.models import nbeats, nbeats_spec, nhits, nhits_spec, patchtst, patchtst_spec, tcn, tcn_spec
from jnn.param import Spec


class Forecaster(NamedTuple):
    """What declares a network, and what computes it: see above."""

    spec: Callable[[Kind, int, int, int], Spec]
    apply: Callable[..., jax.Array]


def nhits_sizes(kind: Kind) -> dict[str, tuple[int, ...]]:
    """Pools and steps between knots of three blocks: the first sees eight steps at once, and writes two knots."""
    pools = (8, 4, 1) if kind.context % 8 == 0 else (4, 2, 1)
    return {"pools": pools, "steps": (kind.horizon // 2, max(kind.horizon // 4, 1), 1)}


def _nhits_spec(kind: Kind, known: int, width: int, outputs: int) -> Spec:
    return nhits_spec(kind.context, kind.horizon, **nhits_sizes(kind), width=width, outputs=outputs)


def _patchtst_spec(kind: Kind, known: int, width: int, outputs: int) -> Spec:
    size = kind.horizon + kind.horizon % 2
    how = {"patch": size, "stride": size // 2, "embed": width // 2, "hidden": width, "layers": 2}
    return patchtst_spec(kind.context, kind.horizon, **how, outputs=outputs)


def _out_spec(kind: Kind, width: int, outputs: int) -> Spec:
    return linear_spec(width, (kind.horizon, outputs), axes=("hidden", "time", "outputs"))


def _tcn_spec(kind: Kind, known: int, width: int, outputs: int) -> Spec:
    blocks = (kind.context // 4).bit_length()  # which see all of the context
    return {"tcn": tcn_spec(1 + known, (width // 4,) * blocks), "out": _out_spec(kind, width // 4, outputs)}


def _lstm_spec(kind: Kind, known: int, width: int, outputs: int) -> Spec:
    return {"layers": [lstm_cell_spec(1 + known, width // 2)], "out": _out_spec(kind, width // 2, outputs)}


def _steps(past: jax.Array, known: jax.Array) -> jax.Array:
    """What is known of each step that is read (b, context, features)."""
    return jnp.concatenate([past[..., None], known[:, : past.shape[1]]], -1)


def _tcn(p, past, known, kind, *, key, rate):
    return linear(p["out"], tcn(p["tcn"], _steps(past, known), key=key, rate=rate)[:, -1])


def _lstm(p, past, known, kind, *, key, rate):
    states, _ = stacked_rnn(partial(rnn, lstm_cell), p["layers"], _steps(past, known), key=key, rate=rate)
    return linear(p["out"], states[:, -1])


DIRECT = {
    "nbeats": Forecaster(
        lambda kind, known, width, outputs: nbeats_spec(kind.context, kind.horizon, width=width, outputs=outputs),
        lambda p, past, known, kind, *, key, rate: nbeats(p, past, kind.horizon),
    ),
    "nhits": Forecaster(_nhits_spec, lambda p, past, known, kind, *, key, rate: nhits(p, past, kind.horizon)),
    "patchtst": Forecaster(
        _patchtst_spec, lambda p, past, known, kind, *, key, rate: patchtst(p, past, key=key, rate=rate)
    ),
    "tcn": Forecaster(_tcn_spec, _tcn),
    "lstm": Forecaster(_lstm_spec, _lstm),
}
