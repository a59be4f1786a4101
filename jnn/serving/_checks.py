"""What an engine is given makes sense, or one clear error says what does not."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.generation import Detokenizer, check_tokenizer
from jnn.generation import check_sampling as check_numbers
from jnn.param import Params
from jnn.serving._engine_config import EngineConfig
from jnn.serving._request import GenerationRequest


def check_model(p: Params, model: Any, tokenizer: Any) -> None:
    """Raises unless each sequence may have a position of its own, and what is drawn can be text, if it shall be."""
    if not isinstance(model, CachedModel):
        raise TypeError(f"Engine: expected a model such as jnn.models.TRANSFORMER, found {checks.describe(model)}.")
    if model.paged_cache is None or model.paged_chunk is None:
        raise ValueError(
            "Engine: expected a model with a paged cache, such as jnn.models.TRANSFORMER or decoder_model(config), and "
            "this one has none. `jnn.generate` draws from it."
        )
    checks.drawn("Engine", p)
    if tokenizer is not None:
        check_tokenizer("Engine", tokenizer)


def check_plan(plan: EngineConfig) -> None:
    """Raises unless a request of the longest kind fits the pages."""
    if not isinstance(plan, EngineConfig):
        raise TypeError(f"Engine: expected an EngineConfig, found {checks.describe(plan)}.")
    for name, value in dataclasses.asdict(plan).items():
        checks.count("EngineConfig", name, value)
    if plan.longest > plan.pages * plan.page:
        raise ValueError(
            f"EngineConfig: {plan.pages} pages of {plan.page} tokens hold no request of {plan.longest}. Take "
            f"pages={-(-plan.longest // plan.page)} at least, or longest={plan.pages * plan.page} at most."
        )


def check_ask(ask: GenerationRequest, vocab: int, longest: int, tokenizer: Detokenizer | None) -> None:
    """Raises unless an engine can serve it."""
    if not isinstance(ask, GenerationRequest):
        raise TypeError(f"Engine: expected a GenerationRequest, found {checks.describe(ask)}.")
    _check_kinds(ask)
    if not ask.prompt:
        raise ValueError("The prompt is empty: expected at least one token.")
    if not all(0 <= token < vocab for token in ask.prompt):
        raise ValueError(f"The prompt has tokens outside 0..{vocab - 1}.")
    checks.count("GenerationRequest", "steps", ask.steps)
    if len(ask.prompt) + ask.steps > longest:
        raise ValueError(
            f"A prompt of {len(ask.prompt)} tokens and up to {ask.steps} drawn ones exceed the {longest} that a "
            f"request may have here. Shorten the prompt, or ask for at most {max(longest - len(ask.prompt), 0)}."
        )
    if not all(0 <= token < vocab for token in ask.ends):
        raise ValueError(f"GenerationRequest: expected ends in 0..{vocab - 1}, found {sorted(ask.ends)}.")
    check_numbers("GenerationRequest", ask.sampling, vocab, ask.seed, ())
    if ask.sampling.top_k is not None:
        raise ValueError(f"Requests share one program: expected a top_k of None, found {ask.sampling.top_k}.")
    if ask.stop and (tokenizer is None or not all(ask.stop)):
        raise ValueError(f"Stop strings need a tokenizer, and are not empty: found {ask.stop} and {tokenizer}.")


def _check_kinds(ask: GenerationRequest) -> None:
    """Raises TypeError unless each field is of the kind that it should be."""
    kinds: tuple[tuple[str, Any, Any, str], ...] = (
        ("prompt", tuple | list, int | np.integer, "tokens in a tuple"),
        ("ends", frozenset | set | tuple | list, int | np.integer, "several tokens in a set"),
        ("stop", tuple | list | set | frozenset, str, "several strings in a tuple"),
    )
    for name, several, each, expected in kinds:
        found = getattr(ask, name)
        if not isinstance(found, several) or not all(isinstance(one, each) for one in found):
            raise TypeError(f"GenerationRequest: expected {expected} as {name}, found {repr(found)[:60]}.")
    if not isinstance(ask.seed, int | np.integer) or not -(2**63) <= ask.seed < 2**63:
        raise TypeError(f"GenerationRequest: expected a seed that is a whole number of 64 bits, found {ask.seed!r}.")
    if not isinstance(ask.seconds, int | float) or math.isnan(ask.seconds):
        raise TypeError(f"GenerationRequest: expected seconds as a number, found {ask.seconds!r}.")
