"""Cox's partial likelihood: who of those at risk has the event next, whatever the hazard over time.

    cox_partial_likelihood(log_hazards, times, events, ties="efron")

The rows of a cohort see each other. Under micro-batches, lanes or devices each part is a cohort of its own rows.
Memory and time are those of a sort of n rows: no array of pairs is made.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import masked
from jnn.precision import wide


def cox_partial_likelihood(
    log_hazards: jax.Array,
    times: jax.Array,
    events: jax.Array,
    *,
    mask: jax.Array | None = None,
    ties: Literal["breslow", "efron"] = "efron",
) -> jax.Array:
    """Cox partial negative log-likelihood: the loss of proportional hazards models, such as DeepSurv.

    See "Regression Models and Life-Tables", Cox, 1972; of ties "Covariance Analysis of Censored Survival Data",
    Breslow, 1974, and "The Efficiency of Cox's Likelihood Function for Censored Data", Efron, 1977.

    Args:
      log_hazards: (..., n), floating point: one for each row of a cohort of n.
      times: the same shape: of the event, or of being last seen without one.
      events: the same shape: 1 where there was one, 0 where the row is censored.
      mask: the same shape: 0 or False for padded rows, which nobody meets.
      ties: what events at one time count: "breslow", all of them at risk until the last; "efron", each on average.

    Returns:
      (..., n): minus the log-share of each row that has its event among the hazards of those at risk then; 0 for the
      others. How a tie's cost is divided among its rows is arbitrary; their sum is not.

    Raises:
      TypeError: log_hazards are not floating point.
      ValueError: shapes differ, or are empty, or there is no such rule for ties.

    >>> hazards, times = jnp.zeros(3), jnp.array([1.0, 2.0, 3.0])
    >>> cox_partial_likelihood(hazards, times, jnp.array([1, 0, 1]))
    Array([1.0986123, 0.       , 0.       ], dtype=float32)
    """
    checks.floats("cox_partial_likelihood", log_hazards)
    checks.same_shape("cox_partial_likelihood", log_hazards=log_hazards, times=times, events=events)
    if ties not in ("breslow", "efron"):
        raise ValueError(f'cox_partial_likelihood: expected ties="breslow" or "efron", found {ties!r}.')
    there = masked("cox_partial_likelihood", mask, log_hazards.shape)
    hazards = jnp.where(there, wide(log_hazards), 0.0)
    cohorts = [x.reshape(-1, x.shape[-1]) for x in (hazards, times, there & (events != 0), there)]
    return _of_cohorts(*cohorts, efron=ties == "efron").reshape(log_hazards.shape)


@partial(jax.jit, static_argnames="efron")
def _of_cohorts(*cohorts: jax.Array, efron: bool) -> jax.Array:
    return jax.vmap(partial(_of_cohort, efron=efron))(*cohorts)


def _of_cohort(hazards: jax.Array, times: jax.Array, events: jax.Array, there: jax.Array, *, efron: bool) -> jax.Array:
    """One number per row of one cohort."""
    # the latest first, at equal times events before censored rows; padding is last of all
    order = jnp.lexsort((events, times, there))[::-1]
    hazards -= jax.lax.stop_gradient(jnp.max(hazards))  # only their differences count, and small ones have more digits
    h, t, event, real = hazards[order], times[order], events[order], there[order]
    starts = jnp.concatenate([jnp.ones(1, bool), (t[1:] != t[:-1]) | (real[1:] != real[:-1])])
    tie, position = jnp.cumsum(starts) - 1, jnp.arange(len(t))
    first, last = (of(position, tie, len(t)) for of in (jax.ops.segment_min, jax.ops.segment_max))
    at_risk = jax.lax.cumlogsumexp(h)[last[tie]]  # all whose time is as late, ties included
    if efron:
        # events of a tie leave one after the other: of d, the one after l others sees l / d of their hazards gone
        d = jax.ops.segment_sum(event.astype(h.dtype), tie, len(t))[tie]
        gone = (position - first[tie]).astype(h.dtype) / jnp.where(event, d, 1.0)
        tied = jax.ops.segment_sum(jnp.where(event, jnp.exp(h - at_risk), 0.0), tie, len(t))[tie]
        at_risk += jnp.log1p(-jnp.where(event, gone * jnp.minimum(tied, 1), 0.0))  # 1, and what rounding adds
    values = jnp.where(event, at_risk - h, 0.0)
    return jnp.zeros_like(values).at[order].set(values)
