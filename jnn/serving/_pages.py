"""Pages of a cache that many sequences share: which are free, who uses which, and whose tokens are remembered.

    pool = PagePool(pages, page)
    pool.shared(tokens) -> [page, ...]       whole pages that hold the beginning of these tokens already
    pool.take() -> page or None              one to write to
    pool.remember(tokens, pages)             whole pages of a sequence may be shared from now on
    pool.give_back(pages)                    the sequence needs them no longer

It is of the host alone: it names pages, and the arrays that they are of lie elsewhere.

Laws: a page is free, kept for its tokens, or used by as many sequences as took it and have not given it back; a page
that is taken has one user; a page is shared only once it is whole, and is not written again while anyone uses it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import numpy as np


class PagePool:
    """Page pool: `pages` of `page` tokens each.

    What nobody uses is kept for the next sequence that begins with the same tokens, until a page is needed: then the
    one that was used least recently is given away, of one sequence the last one first.

    Attributes:
      pages, page: how many there are, and how many tokens one holds.
      users: of each page, how many sequences use it.

    >>> pool = PagePool(4, 2)
    >>> mine = [pool.take(), pool.take()]
    >>> pool.remember([7, 8, 9], mine)
    >>> pool.shared([7, 8, 5]) == mine[:1], pool.free
    (True, 2)
    """

    def __init__(self, pages: int, page: int) -> None:
        if pages < 1 or page < 1:
            raise ValueError(f"PagePool: expected at least one page of at least one token, found {pages} of {page}.")
        self.pages, self.page = pages, page
        self.users = [0] * pages
        self._blank = list(range(pages))
        self._kept: OrderedDict[int, None] = OrderedDict()  # known and unused, least recently used first
        self._known: dict[bytes, int] = {}
        self._names: dict[int, bytes] = {}

    @property
    def free(self) -> int:
        """How many pages can be taken."""
        return len(self._blank) + len(self._kept)

    @property
    def kept(self) -> int:
        """How many of the free ones hold tokens that may be asked for again."""
        return len(self._kept)

    def take(self) -> int | None:
        """A page of nobody's, or None."""
        if self._blank:
            page = self._blank.pop()
        elif self._kept:
            page, _ = self._kept.popitem(last=False)
            del self._known[self._names.pop(page)]
        else:
            return None
        self.users[page] = 1
        return page

    def shared(self, tokens: Sequence[int]) -> list[int]:
        """The pages that hold the first tokens, from now on used by one sequence more."""
        found = []
        for name in self._chain(tokens):
            if (page := self._known.get(name)) is None:
                break
            self.users[page] += 1
            self._kept.pop(page, None)
            found.append(page)
        return found

    def remember(self, tokens: Sequence[int], pages: Sequence[int]) -> None:
        """Makes known what is in the pages of a sequence; of two that hold the same, the first stays known."""
        for name, page in zip(self._chain(tokens), pages, strict=False):
            if name not in self._known and page not in self._names:
                self._known[name], self._names[page] = page, name

    def give_back(self, pages: Sequence[int]) -> None:
        """One user fewer of each."""
        for page in reversed(pages):  # the last one is of use to the fewest
            if self.users[page] < 1:
                raise ValueError(f"PagePool: page {page} was given back, and nobody uses it.")
            self.users[page] -= 1
            if self.users[page] == 0:
                if page in self._names:
                    self._kept[page] = None
                else:
                    self._blank.append(page)

    def _chain(self, tokens: Sequence[int]) -> Iterator[bytes]:
        """A name for each whole page: of its tokens, and of all before them."""
        name = b""
        for at in range(0, len(tokens) - self.page + 1, self.page):
            held = np.asarray(tokens[at : at + self.page], np.int64).tobytes()
            name = hashlib.blake2b(name + held, digest_size=16).digest()
            yield name
