"""What `generate` and its relatives are given makes sense, or one clear error says what does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.param import Params, check_key

ROUND = 64  # rows of a cache: texts of nearly one length need one program


def check_text(where: str, p: Params, prompt: jax.Array, steps: Any, model: Any, lengths: Any = None) -> int:
    """How many tokens there has to be room for, once prompt and steps make sense."""
    if not isinstance(model, CachedModel):
        raise TypeError(
            f"{where}: expected a model, such as jnn.models.TRANSFORMER or jnn.models.decoder_model(config), found "
            f"{checks.describe(model)}."
        )
    checks.drawn(where, p)
    checks.integers(where, prompt, ndim=1, name="prompt")
    checks.in_range(where, prompt, vocab := model.vocab(p), what="tokens", of="rows in its table")
    if not isinstance(steps, int | np.integer) or steps < 1:
        raise ValueError(f"{where}: expected steps >= 1, a whole number, found {steps}, of {vocab} tokens each.")
    if lengths is not None:
        _check_lengths(where, prompt, lengths, model)
    return room(where, prompt.shape[-1], int(steps), model.longest(p))


def room(where: str, t: Any, steps: int, longest: int | None, *, beyond: int = 0) -> int:
    """How many tokens a cache is for, `beyond` of them only perhaps."""
    if longest is None:
        return -(-(t + steps + beyond) // ROUND) * ROUND if isinstance(t, int) else t + steps + beyond
    if isinstance(t, int) and t + steps > longest:  # a symbolic t is seen when it is known: as NaN
        raise ValueError(
            f"{where}: a prompt of {t} and {steps} steps exceed the {longest} learned positions. "
            "Call it again with the last tokens as the prompt."
        )
    return longest  # one cache for every prompt, and so one compiled step


def _check_lengths(where: str, prompt: jax.Array, lengths: Any, model: CachedModel) -> None:
    checks.integers(where, lengths, name="lengths")
    if lengths.shape != prompt.shape[:-1]:
        raise ValueError(f"{where}: expected lengths {prompt.shape[:-1]}, one of each prompt, found {lengths.shape}.")
    found, t = (None if isinstance(lengths, jax.core.Tracer) else np.asarray(lengths)), prompt.shape[-1]
    if found is not None and (found.min() < 1 or found.max() > t):
        raise ValueError(f"{where}: expected lengths in 1..{t}, as a row has {t}, found {found.min()}..{found.max()}.")
    if model.paged_cache is None:
        raise ValueError(
            f"{where}: prompts of different lengths need a model with a paged cache, and this one has none. Give "
            "prompts of one length together, without lengths."
        )


def check_goes_back(where: str, model: Any) -> None:
    """A model whose cache may be set back."""
    if isinstance(model, CachedModel) and (model.paged_cache is None or model.paged_chunk is None):
        raise ValueError(
            f"{where}: what was guessed wrongly is taken back, which needs a model with a paged cache, and this one "
            "has none. Give it paged_cache and paged_chunk, or take jnn.generate."
        )


def check_keys(where: str, key: Any, leading: tuple[int, ...]) -> jax.Array | None:
    """A typed key, or one for each row, or None."""
    if isinstance(key, jax.Array) and key.ndim and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape == leading:
            return key
        raise ValueError(f"{where}: expected one key, or keys {leading}, one a row, found keys {key.shape}.")
    if key is None:
        return None
    check_key(where, key)
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    return jax.random.wrap_key_data(key)


def check_end(where: str, end: Any, vocab: int) -> tuple[int, ...]:
    """The tokens that end a text."""
    tokens = end_tokens(end)
    if not all(isinstance(token, int | np.integer) and 0 <= token < vocab for token in tokens):
        raise ValueError(f"{where}: expected an end token in 0..{vocab - 1}, or several, found {end}.")
    return tuple(map(int, tokens))


def end_tokens(end: Any) -> tuple[Any, ...]:
    """One token or several, of any kind of collection, in a tuple: it is gone through more than once."""
    numbers = end.tolist() if isinstance(end, np.ndarray | jax.Array) else end
    return tuple(numbers) if isinstance(numbers, Iterable) else (numbers,)


def check_tokenizer(where: str, tokenizer: Any) -> None:
    """Raises unless it decodes tokens."""
    if not callable(getattr(tokenizer, "decode", None)):
        raise TypeError(
            f"{where}: expected a tokenizer whose decode(tokens) gives their text, such as a tokenizers.Tokenizer, "
            f"found {checks.describe(tokenizer)}."
        )
