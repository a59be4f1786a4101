"""A curve that is small whatever its length, and that says what is new of it.

curve = Curve();  curve.add(step, value, at)       `at`: a number that grows, such as that of a look at a file
curve.points                                       all of it, thinned
curve.since(at) -> (start, stretches)              what replaces all from that stretch on, for whoever saw it then
"""

from __future__ import annotations

from bisect import bisect_right

STRETCHES = 500  # of a curve at most: about what a plot has pixels
Point = tuple[float, float]  # step, value


class Curve:
    """Points of one metric: of each stretch of equally many the lowest and the highest, so that no spike is lost.

    A stretch is one point at first. Where there are too many, each two become one.

    Args:
      most: how many stretches there are at most; an even number.

    >>> curve = Curve(most=2)
    >>> for step, value in enumerate([1.0, 9.0, 2.0, 1.0, 0.0, 3.0]):
    ...     curve.add(step, value)
    >>> curve.points
    [(0, 1.0), (1, 9.0), (4, 0.0), (5, 3.0)]
    """

    def __init__(self, most: int = STRETCHES) -> None:
        self._most, self._size = most, 1  # points of a stretch
        self._whole: list[list[Point]] = []
        self._ended: list[int] = []  # when each of these was
        self._open: list[Point] = []
        self._begun = 0  # when the stretches last became others

    @property
    def points(self) -> list[Point]:
        """Up to two of each stretch, in their order."""
        return [point for stretch in (*self._whole, _ends(self._open)) for point in stretch]

    def add(self, step: float, value: float, at: int = 0) -> None:
        """One more point, at the end."""
        self._open.append((step, value))
        if len(self._open) < self._size:
            return
        if len(self._whole) == self._most:
            pairs = zip(self._whole[::2], self._whole[1::2], strict=True)
            self._whole = [_ends(first + second) for first, second in pairs]
            self._ended, self._begun, self._size = [at] * len(self._whole), at, 2 * self._size
        else:
            self._whole.append(_ends(self._open))
            self._ended.append(at)
            self._open = []

    def since(self, at: int) -> tuple[int, list[list[Point]]]:
        """The first stretch that is not as it was then, and all from there on; the last one may still grow."""
        start = 0 if self._begun > at else bisect_right(self._ended, at)
        return start, [*self._whole[start:], *([_ends(self._open)] if self._open else [])]


def _ends(stretch: list[Point]) -> list[Point]:
    """The lowest and the highest of some points, in their order."""
    if len(stretch) < 2:
        return stretch
    value = lambda i: stretch[i][1]
    return [stretch[i] for i in sorted({min(range(len(stretch)), key=value), max(range(len(stretch)), key=value)})]
