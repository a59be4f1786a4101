"""What an engine is given makes sense, or one clear error says what does not."""

from __future__ import annotations

import dataclasses
from typing import Any

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.generation import Tokenizer
from jnn.generation import check_sampling as check_numbers
from jnn.serving._engine_config import EngineConfig
from jnn.serving._request import GenerationRequest


def check_model(model: Any) -> None:
    """Raises unless each sequence may have a position of its own."""
    if not isinstance(model, CachedModel):
        raise TypeError(f"Engine: expected a model such as jnn.models.TRANSFORMER, found {checks.describe(model)}.")
    if model.paged_cache is None or model.paged_chunk is None:
        raise ValueError(
            "Engine: expected a model with a paged cache, such as jnn.models.TRANSFORMER or decoder_model(config), and "
            "this one has none. `jnn.generate` draws from it."
        )


def check_plan(plan: EngineConfig) -> None:
    """Raises unless a request of the longest kind fits the pages."""
    for name, value in dataclasses.asdict(plan).items():
        checks.count("EngineConfig", name, value)
    if plan.longest > plan.pages * plan.page:
        raise ValueError(
            f"EngineConfig: {plan.pages} pages of {plan.page} tokens hold no request of {plan.longest}. Take "
            f"pages={-(-plan.longest // plan.page)} at least, or longest={plan.pages * plan.page} at most."
        )


def check_ask(ask: GenerationRequest, vocab: int, longest: int, tokenizer: Tokenizer | None) -> None:
    """Raises unless an engine can serve it."""
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
    for what, one, expected in (("stop", ask.stop, "strings"), ("ends", ask.ends, "tokens")):
        if isinstance(one, str | int):
            raise TypeError(
                f"GenerationRequest: expected several {expected} as {what}, found {one!r}. Give them in a tuple or a "
                "set."
            )
    if ask.sampling.top_k is not None:
        raise ValueError(f"Requests share one program: expected a top_k of None, found {ask.sampling.top_k}.")
    check_numbers("GenerationRequest", ask.sampling, vocab, ask.seed, ())
    if ask.stop and (tokenizer is None or not all(ask.stop)):
        raise ValueError(f"Stop strings need a tokenizer, and are not empty: found {ask.stop} and {tokenizer}.")
