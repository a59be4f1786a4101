"""What products mean beside their shapes, said where they are made and read where FLOPs are counted.

    with pairs(36, 64): ...         of all pairs of rows so many meet: under a mask, say; the innermost counts
    with products(13, 15): ...      multiplications are those of a convolution, of which so many are with true elements
    with busy(4, 5): ...            so much of it is the model's, the rest is for nothing; these multiply
    with again(): ...               computed before: the hardware's alone, as what `jax.checkpoint` computes again
    Marks.of(scope) -> Marks        what these say of an equation, by the scope that it stands in

They are named scopes, so that they go through every transformation, and any code may write them by `jax.named_scope`:
`pairs_36_of_64`.
"""

from __future__ import annotations

import contextlib
import math
import re
from fractions import Fraction
from typing import NamedTuple

import jax

_MARK = re.compile(r"(pairs|products|busy)_(\d+)_of_(\d+)")
_AGAIN = "rematted_computation"  # as jax.checkpoint calls it

Scope = contextlib.AbstractContextManager[None]


def pairs(part: int, of: int) -> Scope:
    """Pairs mark: the products within are of `of` pairs of rows, of which `part` meet."""
    return jax.named_scope(f"pairs_{part}_of_{of}")


def products(part: int, of: int) -> Scope:
    """Products mark: multiplications within are a convolution's, of which `part` of `of` are with true elements."""
    return jax.named_scope(f"products_{part}_of_{of}")


def busy(part: int, of: int) -> Scope:
    """Busy mark: of what is done within, `part` of `of` is the model's; the rest is for nothing."""
    return jax.named_scope(f"busy_{part}_of_{of}")


def again() -> Scope:
    """Recomputation mark: what is done within was done before."""
    return jax.named_scope(_AGAIN)


class Marks(NamedTuple):
    """Marks of an equation."""

    left: Fraction  # of its products: those that are computed
    model: Fraction  # of these: the model's
    multiplies: bool  # whether multiplications are products

    @classmethod
    def of(cls, scope: str) -> Marks:
        """What a scope says, as `equation.source_info.name_stack` has it.

        >>> Marks.of("attention/pairs_36_of_64/busy_4_of_5/dot_general")
        Marks(left=Fraction(9, 16), model=Fraction(4, 5), multiplies=False)
        """
        found = [(kind, Fraction(int(part), int(of))) for kind, part, of in _MARK.findall(scope)]
        left = [part for kind, part in found if kind != "busy"]
        model = [part for kind, part in found if kind == "busy"] + [Fraction()] * (_AGAIN in scope)
        multiplies = any(kind == "products" for kind, _ in found)
        return cls(math.prod(left[-1:], start=Fraction(1)), math.prod(model, start=Fraction(1)), multiplies)
