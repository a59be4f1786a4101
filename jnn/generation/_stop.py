"""Strings that end a text: looked for on the host, between calls of the device.

Law: where a text ends does not depend on how many tokens a call draws.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jnn.generation._checks import check_tokenizer
from jnn.generation._decode import Text
from jnn.generation._transcript import Tokenizer, Transcript


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
        if self.tokenizer is not None:
            check_tokenizer(self.where, self.tokenizer)
        if self.strings and (self.tokenizer is None or not all(isinstance(one, str) and one for one in self.strings)):
            raise ValueError(
                f"{self.where}: expected stop strings that are not empty, and the tokenizer whose decode(tokens) gives "
                f"their text, found {self.strings} and {self.tokenizer}."
            )

    def cut(self, text: Text) -> Text:
        """Texts, of which those that have a stop string end with the token that completes it."""
        if not self.strings or self.tokenizer is None:
            return text
        tokens, lengths, done = (np.array(x) for x in (text.tokens, text.lengths, text.done))
        for row in np.ndindex(lengths.shape):
            given, drawn = int(text.prompt[row]), tokens[row][: int(lengths[row])].tolist()
            there = drawn[: drawn.index(-1)] if -1 in drawn else drawn  # what cannot be drawn is no text
            transcript = Transcript(self.tokenizer, there[:given], self.strings)
            if (stops := transcript.stops(there[given:])) is not None:
                lengths[row], done[row] = given + stops, True
        return text._replace(lengths=jnp.asarray(lengths), done=jnp.asarray(done))
