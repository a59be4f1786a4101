"""What a service has done and holds, in the text that Prometheus reads."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import get_args

from jnn.serving._engine import Engine
from jnn.serving._request import Outcome, Request

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class Histogram:
    """How many values lie up to each bound.

    >>> seconds = Histogram()
    >>> seconds.add(0.2)
    >>> list(seconds.lines("wait"))[3:5]
    ['wait_bucket{le="0.1"} 0', 'wait_bucket{le="0.3"} 1']
    """

    def __init__(self) -> None:
        self._counts, self._sum = [0] * (len(SECONDS) + 1), 0.0

    def add(self, value: float) -> None:
        """One value more."""
        self._counts[bisect.bisect_left(SECONDS, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        """As Prometheus reads it."""
        yield f"# TYPE {name} histogram"
        for bound, count in zip((*SECONDS, math.inf), itertools.accumulate(self._counts), strict=True):
            yield f'{name}_bucket{{le="{"+Inf" if bound == math.inf else bound}"}} {count}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {sum(self._counts)}"


class Meter:
    """Serving metrics of an engine.

    Attributes:
      refused: how many requests found the queue full.
      outcomes: how many ended, by how.
      first, whole, step: seconds to a first token, to an end, and of a step.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self.refused = engine, 0
        self.outcomes: Counter[str] = Counter()
        self.shared = 0
        self.first, self.whole, self.step = Histogram(), Histogram(), Histogram()

    def ended(self, request: Request) -> None:
        """A request has its outcome."""
        self.outcomes[str(request.outcome)] += 1
        self.shared += request.cached or 0
        if request.first is not None:
            self.first.add(request.first - request.asked)
        if request.ended is not None:
            self.whole.add(request.ended - request.asked)

    def text(self) -> str:
        """Everything, in Prometheus' format."""
        return "\n".join([*self._counters(), *self._gauges(), *self._histograms(), ""])

    def _counters(self) -> Iterator[str]:
        yield "# TYPE jnn_requests_total counter"
        for outcome in get_args(Outcome):
            yield f'jnn_requests_total{{outcome="{outcome}"}} {self.outcomes[outcome]}'
        counts = {
            "refused": self.refused,
            "preempted": self._engine.scheduler.preempted,
            "prompt_tokens_read": self._engine.prompt_tokens,
            "prompt_tokens_shared": self.shared,
            "tokens_drawn": self._engine.drawn_tokens,
        }
        for name, value in counts.items():
            yield f"# TYPE jnn_{name}_total counter"
            yield f"jnn_{name}_total {value}"

    def _gauges(self) -> Iterator[str]:
        pool, scheduler = self._engine.pool, self._engine.scheduler
        states = {"used": pool.pages - pool.free, "kept": pool.kept, "blank": pool.free - pool.kept}
        yield "# TYPE jnn_pages gauge"
        for state, count in states.items():
            yield f'jnn_pages{{state="{state}"}} {count}'
        for name, count in (("running", len(scheduler.running)), ("waiting", len(scheduler.waiting))):
            yield f"# TYPE jnn_requests_{name} gauge"
            yield f"jnn_requests_{name} {count}"

    def _histograms(self) -> Iterator[str]:
        yield from self.first.lines("jnn_first_token_seconds")
        yield from self.whole.lines("jnn_request_seconds")
        yield from self.step.lines("jnn_step_seconds")
