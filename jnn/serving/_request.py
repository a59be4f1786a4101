"""A request for text: what was asked for, and how far it has come."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np

from jnn.generation import Sampling, Transcript

Outcome = Literal["stop", "length", "cancelled", "timeout", "failed"]


@dataclasses.dataclass(frozen=True)
class GenerationRequest:
    """Generation request: what is asked of an engine.

    Attributes:
      prompt: tokens, at least one.
      steps: how many tokens may be drawn.
      sampling: how; its numbers are numbers, and there is no top-k.
      seed: of what is drawn: the text is that of `jnn.generate` with `jax.random.key(seed)`.
      ends: tokens that end the text.
      stop: strings that do; the engine needs a tokenizer for them.
      seconds: after which it ends unfinished, from the moment it is asked.
    """

    prompt: tuple[int, ...]
    steps: int
    sampling: Sampling
    seed: int = 0
    ends: frozenset[int] = frozenset()
    stop: tuple[str, ...] = ()
    seconds: float = math.inf


@dataclasses.dataclass(eq=False)
class Request:
    """A request that an engine has taken.

    Attributes:
      ask: what was asked for.
      tokens: the prompt, and what was drawn, the token that ended it among them.
      log_probs: of what was drawn, as the model has them.
      outcome: why it ended, or None.
      asked, first, ended: by the engine's clock, when it came, had its first token, and ended.
      cached: how many tokens of the prompt were in shared pages when it was admitted first.
      pages: what it holds now, in order.
      read: how many of its tokens these remember.
    """

    ask: GenerationRequest
    asked: float
    transcript: Transcript | None
    key: np.ndarray
    tokens: list[int]
    log_probs: list[float] = dataclasses.field(default_factory=list)
    outcome: Outcome | None = None
    first: float | None = None
    ended: float | None = None
    cached: int | None = None
    pages: list[int] = dataclasses.field(default_factory=list)
    read: int = 0

    @property
    def drawn(self) -> list[int]:
        """The tokens behind the prompt."""
        return self.tokens[len(self.ask.prompt) :]

    @property
    def left(self) -> int:
        """How many tokens may come yet."""
        return len(self.ask.prompt) + self.ask.steps - len(self.tokens)

    @property
    def unread(self) -> int:
        """How many of its tokens are still to be read before the last one is, and the next is drawn."""
        return len(self.tokens) - 1 - self.read


@dataclasses.dataclass(frozen=True)
class RequestOutput:
    """Request output: what one call of the device, or the host, brought a request.

    Attributes:
      tokens, log_probs: that are new.
      text: what is new and settled of its text.
      outcome: why it has ended with this, or None. The request itself goes on while its news are on their way.
    """

    request: Request
    tokens: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    text: str = ""
    outcome: Outcome | None = None
