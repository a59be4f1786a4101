"""What an update may be given, checked before anything is traced: its batch, its numbers, its lists of names.

check_batch(batch, ...)             leaves with one leading size, which the micro-batches divide
check_state(state, ema_decay)       a state that keeps an average iff one is made
check_ranges(...)                   numbers that mean something
check_names(option, names, known)   several names, each known
check_extra(names)                  no function of a batch that is not in one place
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.train._context import Batch


def check_batch(batch: Batch, *, calls: int = 1, microbatches: int = 1) -> None:
    """Raises ValueError unless every leaf has the same, divisible, non-zero leading size."""
    leading = 2 if calls > 1 else 1
    leaves = jax.tree_util.tree_leaves_with_path(batch)
    sizes = {jax.tree_util.keystr(path): jnp.shape(x)[:leading] for path, x in leaves}
    listed = [f"batch{name} {shape}" for name, shape in sizes.items()]
    found = ", ".join(listed[:8] + ["..."] * (len(listed) > 8)) or "no leaf at all"
    if lists := [name for name, x in _named(batch) if isinstance(x, list)]:
        raise TypeError(f"train step: batch[{lists[0]!r}] is a list, expected an array. Make it one: np.asarray(x).")
    if calls > 1 and any(shape[:1] != (calls,) for shape in sizes.values()):
        raise ValueError(
            f"train step: steps_per_call={calls} expects batches stacked to ({calls}, rows, ...), found {found}. fit "
            "stacks them for a step with the attribute steps_per_call: what wraps a step says so again, "
            f"wrapped.steps_per_call = {calls}. By hand: jax.tree.map(lambda *rows: np.stack(rows), *batches)."
        )
    if len(set(sizes.values())) != 1 or any(len(shape) < leading or 0 in shape for shape in sizes.values()):
        raise ValueError(
            f"train step: expected leaves with one common, non-empty leading size, found {found}. A number that all "
            "rows share is repeated for each, or read from ctx.step, ctx.memory or ctx.given. A batch of graphs is one "
            "row: jax.tree.map(lambda x: x[None], batch)."
        )
    (shape,) = set(sizes.values())
    checks.divides("train step", shape[-1], micro_batches=microbatches)


def _named(batch: Batch) -> Iterable[tuple[str, Any]]:
    return batch.items() if isinstance(batch, dict) else ()


def check_ranges(microbatches: int, clip_norm: Any, ema_decay: Any, stats_momentum: Any, compute_dtype: Any) -> None:
    """Raises ValueError for numbers that mean nothing; traced ones are taken as they are."""
    checks.count("update", "microbatches", microbatches)
    if compute_dtype is not None and not jnp.issubdtype(compute_dtype, jnp.floating):
        raise ValueError(f"update: expected a floating compute_dtype, such as jnp.bfloat16, found {compute_dtype}.")
    known = lambda x: isinstance(x, int | float)
    if known(clip_norm) and not clip_norm > 0:
        raise ValueError(f"update: expected clip_norm > 0, or inf to measure alone, found {clip_norm}.")
    for name, kept in (("ema_decay", ema_decay), ("stats_momentum", stats_momentum)):
        if known(kept) and not 0 <= kept <= 1:
            raise ValueError(f"update: expected {name} between 0 and 1, found {kept}.")


def check_names(option: str, names: Sequence[str], known: Iterable[str]) -> None:
    """Raises unless an option is several of the known names."""
    if isinstance(names, str):
        raise TypeError(f"update: {option} is several names, found {names!r}. Write {option}=({names!r},).")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"update: {option} names {unknown}, expected some of {', '.join(known)}.")


def check_state(state: Any, ema_decay: Any) -> None:
    """Raises for what is no state, TypeError, and for an average without a decay or the other way round, ValueError."""
    if not hasattr(state, "opt_state"):
        raise TypeError(
            f"update: expected a state from create_state(params, optimizer), found a {type(state).__name__}."
        )
    if (ema_decay is None) != (state.ema is None):
        found = "ema_decay alone" if state.ema is None else "an average in the state, and no ema_decay"
        raise ValueError(f"update: ema_decay=... and create_state(ema=True) go together; found {found}.")


def check_extra(names: Sequence[str]) -> None:
    """Raises ValueError where an optimizer is to evaluate the loss on the whole batch, of which there are parts."""
    if found := sorted({"value_fn", "grad_fn"} & set(names)):
        raise ValueError(
            f"update: extra={found} are the loss on the whole batch at once; micro-batches, lanes, slices and pmap cut "
            "it into parts with noise and statistics of their own. Use make_step, or sharded_step, without them."
        )
