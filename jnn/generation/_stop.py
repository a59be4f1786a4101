"""Strings that end a text: looked for on the host, between calls of the device.

Laws: where a text ends does not depend on how many tokens a call draws; a call decodes as much, however long the text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jnn.generation._checks import check_tokenizer
from jnn.generation._decode import Text
from jnn.generation._tokenizer import Detokenizer
from jnn.generation._transcript import Transcript

Transcripts = dict[tuple[int, ...], Transcript]  # by the row of a batch


@dataclasses.dataclass(frozen=True)
class Stop:
    """Stop strings, and what decodes the text that is searched."""

    where: str
    strings: Sequence[str]
    tokenizer: Detokenizer | None

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

    def transcripts(self, text: Text) -> Transcripts:
        """What is known of each text, which is nothing but its prompt; of none without stop strings."""
        if not self.strings or self.tokenizer is None:
            return {}
        tokens, prompt = np.asarray(text.tokens), np.asarray(text.prompt)
        of = lambda row: Transcript(self.tokenizer, tokens[row][: prompt[row]].tolist(), self.strings)
        return {row: of(row) for row in np.ndindex(prompt.shape)}


def cut(text: Text, transcripts: Transcripts) -> Text:
    """Texts, of which those that have a stop string end with the token that completes it."""
    if not transcripts:
        return text
    tokens, prompt, lengths, done = (np.array(x) for x in (text.tokens, text.prompt, text.lengths, text.done))
    for row, transcript in transcripts.items():
        drawn = tokens[row][prompt[row] : lengths[row]].tolist()
        there = drawn[: drawn.index(-1)] if -1 in drawn else drawn  # what cannot be drawn is no text
        if (stops := transcript.stops(there)) is not None:
            lengths[row], done[row] = prompt[row] + stops, True
    return text._replace(lengths=jnp.asarray(lengths), done=jnp.asarray(done))
