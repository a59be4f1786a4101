"""Who is served when: requests wait in the order in which they came, and hold pages while they run.

    scheduler.add(request)                  waits
    scheduler.admit() -> [request, ...]     the first ones, while there are rows and pages for them
    scheduler.grow(request, count)          pages for this many tokens, if need be those of the youngest
    scheduler.remove(request)               it ends, waiting or running

A request is admitted once there are pages for its tokens and for those of one call more, not for all that it may draw:
few draw all that they may. Where pages run out, the youngest waits again, first in line: it gives its pages back, its
tokens are kept, and are read again later, mostly from pages that still hold them.

Laws: requests are admitted in the order in which they came; the oldest never waits for another; a request that would
fit an empty pool ends; when none is left, no page is used.
"""

from __future__ import annotations

from collections import deque

from jnn.serving._pages import PagePool
from jnn.serving._request import Request


class Scheduler:
    """Scheduler of up to `rows` requests at a time over a pool of pages; `ahead` tokens are drawn a call.

    Attributes:
      waiting: in the order in which they came.
      running: the same.
      preempted: how often a request had to wait again.
    """

    def __init__(self, pool: PagePool, rows: int, ahead: int) -> None:
        self.pool, self.rows, self.ahead = pool, rows, ahead
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self.preempted = 0

    def add(self, request: Request) -> None:
        """Behind all others."""
        self.waiting.append(request)

    def admit(self) -> list[Request]:
        """Those that run from now on, with pages for what they hold."""
        admitted = []
        while self.waiting and len(self.running) < self.rows and self._settle(self.waiting[0]):
            admitted.append(request := self.waiting.popleft())
            self.running.append(request)
        return admitted

    def _settle(self, request: Request) -> bool:
        """Pages for its tokens, those that hold the first ones already among them; none if there are too few."""
        shared = self.pool.shared(request.tokens[:-1])
        if self._pages(len(request.tokens) + min(self.ahead, request.left)) - len(shared) > self.pool.free:
            self.pool.give_back(shared)
            return False
        request.pages, request.read = shared, len(shared) * self.pool.page
        if request.cached is None:
            request.cached = request.read
        self._take(request, len(request.tokens))
        return True

    def grow(self, request: Request, count: int) -> bool:
        """Whether it holds pages for `count` tokens now; if not, it was the youngest, and waits."""
        while not self._take(request, count):
            youngest = self.running[-1]
            self._wait_again(youngest)
            if youngest is request:
                return False
        return True

    def _take(self, request: Request, count: int) -> bool:
        while len(request.pages) < self._pages(count):
            if (page := self.pool.take()) is None:
                return False
            request.pages.append(page)
        return True

    def _wait_again(self, request: Request) -> None:
        self.running.remove(request)
        self._empty(request)
        self.waiting.appendleft(request)  # older than all that wait, since they are admitted in order
        self.preempted += 1

    def has_read(self, request: Request, count: int) -> None:
        """Its first `count` tokens are in its pages: whole ones may be shared."""
        if count // self.pool.page > request.read // self.pool.page:
            self.pool.remember(request.tokens[:count], request.pages)
        request.read = count

    def remove(self, request: Request) -> None:
        """It is served no longer."""
        (self.running if request in self.running else self.waiting).remove(request)
        self._empty(request)

    def _empty(self, request: Request) -> None:
        self.pool.give_back(request.pages)
        request.pages, request.read = [], 0

    def _pages(self, count: int) -> int:
        return -(-count // self.pool.page)
