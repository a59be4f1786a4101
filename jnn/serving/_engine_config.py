"""How much an engine takes at a time: the sizes that its programs are compiled for."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class EngineConfig:
    """Engine config: sizes. Programs are compiled for few sizes, and the smallest that holds what there is runs.

    Attributes:
      rows: how many texts are drawn at a time, at most.
      pages, page: how many pages the cache has, and how many tokens one holds.
      longest: how many tokens a request may have, prompt and text together; what the pages hold at most.
      steps: how many tokens a call draws: as long a newcomer waits, and a text that has ended keeps its row.
      chunk: how many tokens of prompts a call reads, between two that draw: of one, or of several that are short.

    >>> plan = EngineConfig(rows=16, pages=256, page=16, longest=2048)
    >>> plan.row_sizes, plan.widths, plan.chunks
    ((1, 4, 16), (8, 32, 128), (16, 32, 128))
    """

    rows: int = 16
    pages: int = 512
    page: int = 16
    longest: int = 2048
    steps: int = 4
    chunk: int = 128

    @property
    def row_sizes(self) -> tuple[int, ...]:
        """How many rows a batch may have: one client alone does not pay for many."""
        return _fourths(self.rows)

    @property
    def widths(self) -> tuple[int, ...]:
        """How many pages of each row a call may look at."""
        return _fourths(-(-self.longest // self.page), at_least=8)

    @property
    def chunks(self) -> tuple[int, ...]:
        """How many tokens of each prompt a call reads, and of how many prompts then: `chunk` in all."""
        return _fourths(self.chunk, at_least=16)


def _fourths(most: int, at_least: int = 1) -> tuple[int, ...]:
    """The largest size, and quarters of it, as small as they are of use."""
    sizes = [most]
    while sizes[-1] > at_least:
        sizes.append(max(-(-sizes[-1] // 4), at_least))
    return tuple(reversed(sizes))
