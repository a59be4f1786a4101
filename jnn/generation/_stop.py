"""Strings that end a text: looked for on the host, between calls of the device.

Law: where a text ends does not depend on how many tokens a call draws.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import jax.numpy as jnp
import numpy as np

from jnn.generation._decode import Text

BROKEN = "\ufffd"  # of bytes that are no text yet


class Tokenizer(Protocol):
    """What makes text of tokens, such as a `tokenizers.Tokenizer`."""

    def decode(self, ids: list[int], /) -> str:
        """The text of these tokens."""
        ...


@dataclasses.dataclass(frozen=True)
class Stop:
    """Stop strings, and what decodes the text that is searched."""

    where: str
    strings: Sequence[str]
    tokenizer: Tokenizer | None

    def __post_init__(self) -> None:
        if isinstance(self.strings, str):
            raise TypeError(
                f"{self.where}: expected several stop strings, found one str. Give stop=[{self.strings!r}]."
            )
        if self.strings and (self.tokenizer is None or not all(isinstance(one, str) and one for one in self.strings)):
            raise ValueError(
                f"{self.where}: expected stop strings that are not empty, and the tokenizer whose decode(tokens) gives "
                f"their text, found {self.strings} and {self.tokenizer}."
            )

    def cut(self, text: Text) -> Text:
        """Texts, of which those that have a stop string end with the token that completes it."""
        if not self.strings:
            return text
        tokens, lengths, done = (np.array(x) for x in (text.tokens, text.lengths, text.done))
        for row in np.ndindex(lengths.shape):
            given, drawn = int(text.prompt[row]), tokens[row][: int(lengths[row])].tolist()
            there = drawn[: drawn.index(-1)] if -1 in drawn else drawn  # what cannot be drawn is no text
            if (first := self._first(there, given)) is not None:
                lengths[row], done[row] = first, True
        return text._replace(lengths=jnp.asarray(lengths), done=jnp.asarray(done))

    def _first(self, tokens: list[int], given: int) -> int | None:
        """Where a text ends: the fewest tokens with a stop string behind what was given."""
        assert self.tokenizer is not None
        decode = self.tokenizer.decode
        has = lambda n: any(one in new_text(decode, tokens[:n], given) for one in self.strings)
        if not has(len(tokens)):
            return None
        return next(n for n in range(given + 1, len(tokens) + 1) if has(n))


def new_text(decode: Callable[[list[int]], str], tokens: list[int], given: int) -> str:
    """The text behind what was given, in which it is decoded: the first token may begin with a space there."""
    return decode(tokens)[len(decode(tokens[:given]).rstrip(BROKEN)) :]
