"""An engine in a thread of its own, asked from others: a bounded queue, news to whom they concern, and an end.

    with Service(engine, queue=64) as service:
        request = service.submit(GenerationRequest(...), tell)      tell(news), from the engine's thread
        service.cancel(request)

Laws: whoever was told of no end is told of one, also where the service is closed or the engine fails; what is cancelled
gives its pages back before the next call of the device.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from jnn.serving._engine import Engine
from jnn.serving._meter import Meter
from jnn.serving._request import GenerationRequest, Request, RequestOutput

Tell = Callable[[RequestOutput], Any]


class QueueFull(Exception):
    """Full queue: there are as many requests as the service takes."""


class ServiceClosed(Exception):
    """Closed service: it ends, or its engine has failed."""


class Service:
    """Serving thread: runs an engine while there is something to do.

    Args:
      engine: nobody else may step it.
      queue: how many requests may wait beside those that the engine draws at a time.

    Attributes:
      meter: what was done so far.
      failure: what broke the engine, or one of those who are told; or None.
    """

    def __init__(self, engine: Engine, queue: int) -> None:
        self.engine, self.queue, self.meter = engine, queue, Meter(engine)
        self.failure: Exception | None = None
        self._tell: dict[Request, Tell] = {}
        self._new: list[Request] = []
        self._unwanted: list[Request] = []
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="jnn serving", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def open(self) -> int:
        """How many requests wait or run."""
        return len(self._tell)

    def submit(self, ask: GenerationRequest, tell: Tell) -> Request:
        """A request, whose news go to `tell` until its outcome is among them.

        Raises:
          TypeError, ValueError: the engine cannot serve it.
          QueueFull: too many wait already.
          ServiceClosed: nothing is served any more.
        """
        request = self.engine.request(ask)
        with self._changed:
            if self._closed or self.failure is not None:
                raise ServiceClosed(
                    "The server is closing." if self.failure is None else f"The engine failed: {self.failure}"
                )
            if self.open >= self.engine.plan.rows + self.queue:
                self.meter.refused += 1
                raise QueueFull(f"{self.open} requests are being served or wait already. Try again later.")
            self._tell[request] = tell
            self._new.append(request)
            self._changed.notify()
        return request

    def cancel(self, request: Request) -> None:
        """Ends a request soon, unless it has ended."""
        with self._changed:
            if request in self._tell:
                self._unwanted.append(request)
                self._changed.notify()

    def close(self) -> None:
        """Cancels what is left, and ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self.failure is None and (changes := self._changes()) is not None:
            try:
                self._step(*changes)
            except Exception as error:  # of the device, such as no memory: the pools may be gone
                self.failure = error
        with self._changed:  # from here on `submit` refuses
            self._closed = True
            for request in list(self._tell):
                request.outcome = request.outcome or ("cancelled" if self.failure is None else "failed")
                self._pass_on(RequestOutput(request, outcome=request.outcome))

    def _changes(self) -> tuple[list[Request], list[Request]] | None:
        """What was asked since, once there is something to do; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._new or self._unwanted or self._closed or self.engine.busy)
            if self._closed:
                return None
            changes, self._new, self._unwanted = (self._new, self._unwanted), [], []
            return changes

    def _step(self, new: list[Request], unwanted: list[Request]) -> None:
        for request in new:
            self.engine.add(request)
        for request in unwanted:
            self.engine.cancel(request)
        begun = time.monotonic()
        for news in self.engine.step():
            self._pass_on(news)
        self.meter.step.add(time.monotonic() - begun)

    def _pass_on(self, news: RequestOutput) -> None:
        tell = self._tell.get(news.request)
        if news.outcome is not None:
            self._tell.pop(news.request, None)
            self.meter.ended(news.request)
        try:
            if tell is not None:
                tell(news)
        except Exception as error:  # the others are told all the same
            self.failure = self.failure or error
