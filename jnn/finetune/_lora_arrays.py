"""A LoRA as it is saved: its arrays by path, and the alpha without which they are no product.

    lora_arrays(lora, alpha=8) -> {name: array}         for `write_safetensors`, or whatever else keeps arrays by name
    load_lora(spec, arrays) -> (lora, alpha)

Law: what is read back is put beside weights as it was trained: `with_lora(p, lora, alpha=alpha)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jnn import checks
from jnn.param import Params, Spec, flatten, load

ALPHA = "alpha"  # no path of a LoRA: these end in "lora/down" and the like


def lora_arrays(lora: Params, *, alpha: float | None) -> dict[str, Any]:
    """LoRA (or DoRA) as it is saved: arrays by path, and its alpha beside them.

    Args:
      lora: as `lora_spec` declares.
      alpha: as `with_lora` was given it in training; None is the rank.

    Returns:
      {path: array}, and "alpha": float32 ().

    Raises:
      TypeError: lora is no tree of parameters, or alpha no number.
      ValueError: alpha is not over 0; or None, and ranks differ, so that it is no one number.

    >>> import jax.numpy as jnp
    >>> lora = {"q": {"lora": {"down": jnp.ones((2, 1)), "up": jnp.ones((1, 3))}}}
    >>> sorted(lora_arrays(lora, alpha=8)), float(lora_arrays(lora, alpha=None)["alpha"])
    (['alpha', 'q/lora/down', 'q/lora/up'], 1.0)
    """
    checks.drawn("lora_arrays", lora)
    arrays = flatten(lora)
    ranks = {x.shape[-1] for path, x in arrays.items() if path.endswith("lora/down")}
    if not ranks:
        raise TypeError(f"lora_arrays: expected what lora_spec declares, found {checks.describe(lora)} without a LoRA.")
    if alpha is None and len(ranks) > 1:
        raise ValueError(
            f"lora_arrays: ranks {sorted(ranks)} differ, and so would an alpha of None. Give each its own."
        )
    number = min(ranks) if alpha is None else alpha
    like = next(iter(arrays.values()))
    number = checks.number("lora_arrays", "alpha", number, lambda x: x > 0, "over 0", like=like)
    return {ALPHA: np.float32(number), **arrays}


def load_lora(spec: Spec, arrays: Mapping[str, Any]) -> tuple[Params, float]:
    """LoRA (or DoRA) that was saved, and the alpha that it was trained with.

    Args:
      spec: as `lora_spec` gives it.
      arrays: what `lora_arrays` gave, such as `read_safetensors` reads it back.

    Returns:
      The parts and alpha, for `with_lora` or `merge_lora`.

    Raises:
      TypeError: spec is none.
      ValueError: there is no alpha, or arrays do not fit the spec, as of `jnn.load`.

    >>> import jax
    >>> from jnn.finetune import lora_spec
    >>> from jnn.layers import linear_spec
    >>> from jnn.param import init
    >>> spec = lora_spec({"q": linear_spec(2, 3)}, 1, where="*")
    >>> load_lora(spec, lora_arrays(init(spec, jax.random.key(0)), alpha=8))[1]
    8.0
    """
    if ALPHA not in arrays:
        raise ValueError(
            "load_lora: expected 'alpha' beside the arrays, as lora_arrays saves it, found none. Of PEFT it is "
            "lora_alpha in adapter_config.json; of a LoRA that was trained without one take jnn.load(spec, arrays)."
        )
    lora = load(spec, {name: x for name, x in arrays.items() if name != ALPHA})
    return lora, float(np.asarray(arrays[ALPHA]))
