"""Continuous batching: requests for text come and go while others are drawn, in one batch over one pool of pages.

    engine = Engine(p, model, EngineConfig(...), tokenizer)
    request = engine.submit(GenerationRequest(...))
    for news in engine.step(): ...              one call of the device or a few: what is new
    engine.cancel(request)

It is of one thread; `Service` runs it in one and is asked from others.

Laws: every request gets the text that `jnn.generate` gives it alone, whatever runs beside it, waits, or is cancelled;
one that comes waits for the end of a step, and for no other's end while there are rows and pages; see `Scheduler`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jnn.cached_model import CachedModel
from jnn.generation import Detokenizer, Transcript
from jnn.param import Params
from jnn.serving._batch import chunks_of, key_data, rows_of
from jnn.serving._checks import check_ask, check_model, check_plan
from jnn.serving._engine_config import EngineConfig
from jnn.serving._pages import PagePool
from jnn.serving._programs import decode, prefill
from jnn.serving._request import GenerationRequest, Outcome, Request, RequestOutput
from jnn.serving._scheduler import Scheduler


class Engine:
    """Serving engine: draws the texts of many requests at a time.

    Args:
      p: the model's parameters.
      model: such as `jnn.models.TRANSFORMER` or `jnn.models.decoder_model(config)`; it needs a paged cache.
      plan: how much at a time.
      tokenizer: what decodes tokens, such as a `tokenizers.Tokenizer`; without one there are tokens and no text.
      clock: of the seconds that requests may take.

    Attributes:
      pool, scheduler: what it stands on.
      prompt_tokens, drawn_tokens: how many were read and drawn so far.

    Raises:
      TypeError, ValueError: there is no paged cache, p is not the model's, or the plan or tokenizer make no sense.

    >>> import jax
    >>> from jnn.generation import GREEDY
    >>> from jnn.models import TRANSFORMER, transformer_spec
    >>> from jnn.param import init
    >>> p = init(transformer_spec(26, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> engine = Engine(p, TRANSFORMER, EngineConfig(rows=2, pages=8, page=4, longest=32, steps=4))
    >>> one, two = (engine.submit(GenerationRequest(prompt, 5, GREEDY)) for prompt in ((1, 2), (3, 4, 5)))
    >>> while engine.busy:
    ...     news = engine.step()
    >>> one.outcome, len(one.tokens), len(two.tokens), engine.pool.free
    ('length', 7, 8, 8)
    """

    def __init__(
        self,
        p: Params,
        model: CachedModel,
        plan: EngineConfig,
        tokenizer: Detokenizer | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_model(p, model, tokenizer)
        check_plan(plan)
        self.plan, self.vocab = plan, model.vocab(p)
        self.longest = min(plan.longest, model.longest(p) or plan.longest)
        self.pool = PagePool(plan.pages, plan.page)
        self.scheduler = Scheduler(self.pool, plan.rows, plan.steps)
        self.prompt_tokens = self.drawn_tokens = 0
        self._p, self._model, self._tokenizer, self._clock = p, model, tokenizer, clock
        self._news: list[RequestOutput] = []
        self._nobody = key_data(0)
        assert model.paged_cache is not None
        empty = model.paged_cache(p, plan.pages, plan.page, jnp.zeros((1, 1), jnp.int32))
        self._pools = {name: empty[name] for name in empty if name not in ("table", "next")}

    @property
    def busy(self) -> bool:
        """Whether a request waits or runs."""
        return bool(self.scheduler.running or self.scheduler.waiting or self._news)

    def submit(self, ask: GenerationRequest) -> Request:
        """A request from now on, behind all others.

        Raises:
          TypeError, ValueError: it cannot be served by this engine.
        """
        request = self.request(ask)
        self.add(request)
        return request

    def request(self, ask: GenerationRequest) -> Request:
        """What `add` takes, of another thread too: nothing of the engine changes.

        Raises:
          TypeError, ValueError: it cannot be served by this engine.
        """
        check_ask(ask, self.vocab, self.longest, self._tokenizer)
        transcript = None if self._tokenizer is None else Transcript(self._tokenizer, ask.prompt, ask.stop)
        return Request(ask, self._clock(), transcript, key_data(ask.seed), list(ask.prompt))

    def add(self, request: Request) -> None:
        """Puts a request behind all others."""
        self.scheduler.add(request)

    def cancel(self, request: Request, outcome: Outcome = "cancelled") -> None:
        """Ends a request now, unless it has ended."""
        if request.outcome is None:
            self._end(request, outcome)
            self._tell(request, len(request.drawn))

    def step(self) -> list[RequestOutput]:
        """What is new after some prompts were read and some tokens of each text were drawn."""
        now = self._clock()
        for request in [*self.scheduler.running, *self.scheduler.waiting]:
            if now - request.asked >= request.ask.seconds:
                self.cancel(request, "timeout")
        self.scheduler.admit()
        self._read()
        self._draw()
        news, self._news = self._news, []
        return news

    def warm(self) -> None:
        """Compiles what may be needed later; nothing is drawn, and no page is written."""
        for size in self.plan.chunks:
            for rows in {1, self.plan.chunk // size}:
                self._prefill([], rows, size)
        for rows in self.plan.row_sizes:
            for width in self.plan.widths:
                self._decode([], rows, width)

    def _read(self) -> None:
        """A call's tokens of prompts, of the oldest among them: as many of each as gives the call most to read."""
        unread = [request for request in self.scheduler.running if request.unread]
        some = {size: unread[: self.plan.chunk // size] for size in self.plan.chunks}
        useful = lambda size: sum(min(request.unread, size) for request in some[size])
        size = max(self.plan.chunks, key=lambda size: (useful(size), -size))
        if reading := some[size]:
            self._prefill(reading, self.plan.chunk // size if len(reading) > 1 else 1, size)
        for request in reading:
            count = min(request.unread, size)
            self.prompt_tokens += count
            self.scheduler.has_read(request, request.read + count)

    def _prefill(self, reading: list[Request], rows: int, size: int) -> None:
        batch = chunks_of(reading, rows, size, self.plan.widths[-1])
        self._pools = prefill(self._p, self._pools, *batch, model=self._model)

    def _draw(self) -> None:
        """Tokens of all texts whose prompts are read."""
        for request in list(self.scheduler.running):  # the oldest first: pages that run out are the youngest's
            if request in self.scheduler.running and not request.unread:
                ahead = min(self.plan.steps, request.left)
                self.scheduler.grow(request, len(request.tokens) - 1 + ahead)
        if ready := [request for request in self.scheduler.running if not request.unread]:
            most = max(len(request.tokens) for request in ready) + self.plan.steps
            width = next((n for n in self.plan.widths if n * self.plan.page >= most), self.plan.widths[-1])
            rows = next(n for n in self.plan.row_sizes if n >= len(ready))
            for request, tokens, logs in zip(ready, *self._decode(ready, rows, width), strict=False):
                self._write(request, tokens[: request.left], logs)

    def _decode(self, ready: list[Request], rows: int, width: int) -> tuple[list[list[int]], list[list[float]]]:
        batch = rows_of(ready, rows, width, self.plan.page, self._nobody)
        drawn, logs, self._pools = decode(self._p, self._pools, batch, model=self._model, steps=self.plan.steps)
        return np.asarray(drawn).tolist(), np.asarray(logs).tolist()

    def _write(self, request: Request, tokens: list[int], logs: list[float]) -> None:
        """Adds what was drawn, up to where the text ends."""
        known = len(request.drawn)
        broken = tokens.index(-1) if -1 in tokens else len(tokens)
        until, outcome = _ending(request, tokens[:broken])
        request.tokens += tokens[:until]
        request.log_probs += logs[:until]
        if broken < len(tokens) and outcome is None:
            outcome = "failed"
        elif request.left == 0:
            outcome = outcome or "length"
        if request.first is None:
            request.first = self._clock()
        self.drawn_tokens += until
        self.scheduler.has_read(request, len(request.tokens) - 1)
        if outcome is not None:
            self._end(request, outcome)
        self._tell(request, known)

    def _end(self, request: Request, outcome: Outcome) -> None:
        self.scheduler.remove(request)
        request.outcome, request.ended = outcome, self._clock()

    def _tell(self, request: Request, known: int) -> None:
        drawn, text = request.drawn, ""
        if request.transcript is not None:
            seen = drawn[:-1] if drawn and drawn[-1] in request.ask.ends else drawn
            text = (request.transcript.grown if request.outcome is None else request.transcript.last)(seen)
        self._news.append(
            RequestOutput(request, tuple(drawn[known:]), tuple(request.log_probs[known:]), text, request.outcome)
        )


def _ending(request: Request, tokens: list[int]) -> tuple[int, Outcome | None]:
    """How many of these tokens belong to the text, and whether it ends with them."""
    ends = [at for at, token in enumerate(tokens) if token in request.ask.ends]
    until = ends[0] + 1 if ends else len(tokens)
    if request.transcript is not None and request.ask.stop:
        seen = tokens[: until - 1] if ends else tokens[:until]
        if (stops := request.transcript.stops(request.drawn + seen)) is not None:
            return stops - len(request.drawn), "stop"
    return until, "stop" if ends else None
