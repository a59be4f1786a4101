"""Weights of recurrent cells as torch and Keras store them, as ours: nothing is lost, both biases stay.

    cell_from_torch(weight_ih, weight_hh, ...) -> params     of an `rnn_cell`, `lstm_cell`, `gru_cell`, ...
    layers_from_torch(state_dict) -> [params, ...]           all layers and directions of a module
    cell_from_keras(kernel, recurrent_kernel, bias)          of the same cells but the projected one

Gates are an axis of their own here, rows of one matrix in torch, columns in Keras. They stand in torch's order, which
is Keras's too but for the GRU, whose first two are swapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.param import Params


def cell_from_torch(
    weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None, weight_hr: Any = None
) -> Params:
    """Recurrent weights of torch, one layer and direction: of RNN, LSTM or GRU, which their shapes tell.

    Args:
      weight_ih: (gates * h, d), as all arrays of NumPy or JAX.
      weight_hh: (gates * h, h), or (gates * h, r) with a projection.
      bias_ih, bias_hh: (gates * h,), or None for no biases.
      weight_hr: (r, h), of an LSTM with `proj_size`.

    Returns:
      {"input": {"w": (d, gates, h), "b": (gates, h)}, "recurrent": {"w": (h, gates, h), "b": (gates, h)}}; without the
      axis of gates if there is one; with "projection": {"w": (h, r)} for weight_hr.

    Raises:
      ValueError: the arrays do not make 1, 3 or 4 gates of one size.

    >>> cell_from_torch(np.ones((12, 5)), np.ones((12, 3)))["input"]["w"].shape
    (5, 4, 3)
    """
    arrays = {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias_ih": bias_ih, "bias_hh": bias_hh}
    h = np.shape(weight_hh if weight_hr is None else weight_hr)[1]
    cell = _cell("cell_from_torch", arrays, h, turned=True)
    return cell if weight_hr is None else {**cell, "projection": {"w": jnp.asarray(weight_hr).T}}


def layers_from_torch(state: Mapping[str, Any]) -> list[Params]:
    """Recurrent layers of torch: the state dict of an RNN, LSTM or GRU, as parameters for `stacked_rnn`.

    Args:
      state: names such as "weight_ih_l0" and "bias_hh_l1_reverse" to arrays of NumPy or JAX.

    Returns:
      One entry for each layer, from the bottom up: a cell's parameters, or {"forward": ..., "backward": ...}, for
      `bidirectional`, where there are names in "_reverse".

    Raises:
      ValueError: it has no layer 0, or names that are not those of these modules.

    >>> state = {"weight_ih_l0": np.ones((9, 5)), "weight_hh_l0": np.ones((9, 3))}
    >>> [p["input"]["w"].shape for p in layers_from_torch(state)]
    [(5, 3, 3)]
    """
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for name, array in state.items():
        what, _, place = name.rpartition("_l")
        layer, _, direction = place.partition("_")
        known = what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        if not (known and layer.isdigit() and direction in ("", "reverse")):
            raise ValueError(
                f"layers_from_torch: expected names such as 'weight_ih_l0', found {name!r}. Give the state dict of the "
                "recurrent module alone, its prefix cut off."
            )
        found.setdefault(int(layer), {}).setdefault(direction, {})[what] = array
    if sorted(found) != list(range(len(found))) or not found:
        raise ValueError(f"layers_from_torch: expected layers 0, 1, ... each once, found {sorted(found)}.")
    cells = [{way: cell_from_torch(**arrays) for way, arrays in found[i].items()} for i in range(len(found))]
    return [{"forward": c[""], "backward": c["reverse"]} if "reverse" in c else c[""] for c in cells]


def cell_from_keras(kernel: Any, recurrent_kernel: Any, bias: Any = None) -> Params:
    """Recurrent weights of Keras: of SimpleRNN, LSTM or GRU (`reset_after=True`), which their shapes tell.

    Args:
      kernel: (d, gates * h), of NumPy or JAX.
      recurrent_kernel: (h, gates * h).
      bias: (gates * h,), or the GRU's (2, gates * h); None for none.

    Returns:
      As `cell_from_torch`; the GRU's gates are reordered from update, reset, new.

    Raises:
      ValueError: the arrays do not make 1, 3 or 4 gates of one size, or the GRU's bias has one row, as with
        `reset_after=False`, which is another function than `gru_cell`.

    >>> cell_from_keras(np.ones((5, 9)), np.ones((3, 9)), np.ones((2, 9)))["recurrent"]["b"].shape
    (3, 3)
    """
    h = np.shape(recurrent_kernel)[0]
    gru = np.shape(recurrent_kernel)[1] == 3 * h
    if gru and bias is not None and np.ndim(bias) == 1:
        raise ValueError(
            f"cell_from_keras: expected the bias (2, {3 * h}) of a GRU with reset_after=True, found {np.shape(bias)}: "
            "with reset_after=False the reset gate acts before the product, which gru_cell does not."
        )
    rows = (bias, None) if bias is None or np.ndim(bias) == 1 else (bias[0], bias[1])
    arrays = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": rows[0], "recurrent bias": rows[1]}
    cell = _cell("cell_from_keras", arrays, h, turned=False)
    return jax.tree.map(lambda a: a[..., np.array([1, 0, 2]), :], cell) if gru else cell


def _cell(name: str, arrays: dict[str, Any], h: int, *, turned: bool) -> Params:
    """A cell's parameters of its two weights and two biases; the gates are rows of the weights if they are turned."""
    n = np.shape(arrays[next(iter(arrays))])[0 if turned else -1] // h
    w, u, b, c = (a if a is None else jnp.asarray(a).T if turned else jnp.asarray(a) for a in arrays.values())
    if n not in (1, 3, 4) or any(a is not None and a.shape[-1] != n * h for a in (w, u, b, c)):
        found = {key: np.shape(a) for key, a in arrays.items() if a is not None}
        raise ValueError(f"{name}: expected the weights of 1, 3 or 4 gates for a state of {h}, found {found}.")
    cut = lambda a: a if n == 1 else a.reshape(*a.shape[:-1], n, h)
    part = lambda w, b: {"w": cut(w)} if b is None else {"w": cut(w), "b": cut(b)}
    return {"input": part(w, b), "recurrent": part(u, c)}
